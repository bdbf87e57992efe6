//! The header of a NumPy array (`.npy`; numpy.lib.format, versions 1 to 3), and arrays whose first axis runs fastest.

use std::io::Read;

/// The bytes that every `.npy` begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Whether a file that begins with `start` is `.npy`.
pub fn is_npy(start: &[u8]) -> bool {
    start.starts_with(MAGIC)
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The system's reason.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It begins otherwise.
    #[error("not an .npy array")]
    NotNpy,
    /// A version that is not known.
    #[error("the .npy header has an unknown version")]
    Version,
    /// It is longer than the file.
    #[error("the .npy header is cut off")]
    CutOff,
    /// A field that it needs.
    #[error("the .npy header lacks '{0}'")]
    Lacks(&'static str),
    /// Its sizes are no whole numbers.
    #[error("the .npy header has no shape")]
    Shape,
    /// Elements of several numbers.
    #[error("structured arrays are not understood")]
    Structured,
    /// Elements of another type.
    #[error("elements of type '{0}' are not understood: save float32, float64, uint8 or int64")]
    Elements(String),
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
    pub fn read(bytes: &mut impl Read) -> Result<Self, NpyError> {
        let start = take(bytes, 8)?;
        if !is_npy(&start) {
            return Err(NpyError::NotNpy);
        }
        let bytes_of_length = match start.get(6) {
            Some(1) => 2,
            Some(2 | 3) => 4,
            _ => return Err(NpyError::Version),
        };
        let length = take(bytes, bytes_of_length)?;
        let length = length
            .iter()
            .rev()
            .fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
        let text = take(bytes, length)?;
        let text = String::from_utf8_lossy(&text);
        let field = |key: &'static str| {
            let after = text
                .split_once(&format!("'{key}':"))
                .map(|(_, after)| after.trim_start());
            after.ok_or(NpyError::Lacks(key))
        };
        let described = (field("descr")?.strip_prefix('\''))
            .and_then(|rest| rest.split_once('\''))
            .map(|(described, _)| described)
            .ok_or(NpyError::Structured)?;
        let (big_endian, code, width) = element(described).ok_or_else(|| NpyError::Elements(described.to_owned()))?;
        let shape = (field("shape")?.strip_prefix('('))
            .and_then(|rest| rest.split_once(')'))
            .and_then(|(sizes, _)| {
                let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
                sizes.map(|size| size.parse::<usize>().ok()).collect::<Option<Vec<_>>>()
            })
            .ok_or(NpyError::Shape)?;
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
fn take(bytes: &mut impl Read, count: u64) -> Result<Vec<u8>, NpyError> {
    let mut taken = Vec::new();
    bytes.by_ref().take(count).read_to_end(&mut taken)?;
    if taken.len() as u64 == count {
        Ok(taken)
    } else {
        Err(NpyError::CutOff)
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
