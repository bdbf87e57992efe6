//! The header of a NumPy array (`.npy`; numpy.lib.format, versions 1 to 3), and arrays whose first axis runs fastest.

use std::io::Read;

/// The bytes that every `.npy` begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Whether a file that begins with `start` is `.npy`.
pub fn is_npy(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// Type code of an element: `f`, `i`, `u`, `b`.
    pub code: u8,
    /// Bytes of an element.
    pub width: usize,
    /// Whether the elements are stored with their highest byte first.
    pub big_endian: bool,
    /// Whether the first axis runs fastest.
    pub fortran: bool,
    /// Bytes before the elements.
    pub start: u64,
}

impl NpyHeader {
    /// Reads a header; `bytes` then stand at the first element.
    ///
    /// # Errors
    /// What is wrong with it: it is cut off, of an unknown version, or its elements are no numbers.
    pub fn read(bytes: &mut impl Read) -> Result<Self, String> {
        let start = take(bytes, 8)?;
        if !is_npy(&start) {
            return Err("not an .npy array".to_owned());
        }
        let bytes_of_length = match start.get(6) {
            Some(1) => 2,
            Some(2 | 3) => 4,
            _ => return Err("the .npy header has an unknown version".to_owned()),
        };
        let length = take(bytes, bytes_of_length)?;
        let length = length
            .iter()
            .rev()
            .fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
        let text = take(bytes, length)?;
        let text = String::from_utf8_lossy(&text);
        let field = |key: &str| {
            let after = text
                .split_once(&format!("'{key}':"))
                .map(|(_, after)| after.trim_start());
            after.ok_or_else(|| format!("the .npy header lacks '{key}'"))
        };
        let described = (field("descr")?.strip_prefix('\''))
            .and_then(|rest| rest.split_once('\''))
            .map(|(described, _)| described)
            .ok_or("structured arrays are not understood")?;
        let (big_endian, code, width) = element(described).ok_or_else(|| {
            let advice = "save float32, float64, uint8 or int64";
            format!("elements of type '{described}' are not understood: {advice}")
        })?;
        let shape = (field("shape")?.strip_prefix('('))
            .and_then(|rest| rest.split_once(')'))
            .and_then(|(sizes, _)| {
                let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
                sizes.map(|size| size.parse::<usize>().ok()).collect::<Option<Vec<_>>>()
            })
            .ok_or("the .npy header has no shape")?;
        Ok(Self {
            fortran: field("fortran_order")?.starts_with("True"),
            shape,
            code,
            width,
            big_endian,
            start: 8 + bytes_of_length + length,
        })
    }
}

/// Reads that many bytes of a header. They are not asked for at once: what is declared need not be there.
fn take(bytes: &mut impl Read, count: u64) -> Result<Vec<u8>, String> {
    let mut taken = Vec::new();
    let read = bytes.by_ref().take(count).read_to_end(&mut taken);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if taken.len() as u64 == count {
        Ok(taken)
    } else {
        Err("the .npy header is cut off".to_owned())
    }
}

/// Byte order, type code and width of an element that is described like `<f4`.
fn element(described: &str) -> Option<(bool, u8, usize)> {
    let &[order @ (b'<' | b'>' | b'|' | b'='), code, width] = described.as_bytes() else {
        return None;
    };
    let width = usize::from(width.checked_sub(b'0')?);
    let known = match code {
        b'f' => [2, 4, 8].contains(&width),
        b'i' | b'u' => [1, 2, 4, 8].contains(&width),
        b'b' => width == 1,
        _ => false,
    };
    // One byte has no order.
    (known && (order != b'|' || width == 1)).then_some((order == b'>', code, width))
}

/// The elements of an array of that shape, whose first axis runs fastest in `values`, with the last axis running fastest.
pub fn by_rows<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut position = vec![0; shape.len()];
    let steps: Vec<usize> = shape
        .iter()
        .scan(1, |step, size| Some(std::mem::replace(step, *step * *size)))
        .collect();
    let mut at = 0;
    let mut rows = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        rows.push(values[at]);
        for axis in (0..shape.len()).rev() {
            position[axis] += 1;
            at += steps[axis];
            if position[axis] < shape[axis] {
                break;
            }
            at -= steps[axis] * shape[axis];
            position[axis] = 0;
        }
    }
    rows
}
