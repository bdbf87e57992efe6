//! Arrays of NumPy: `.npy`, and `.npz`, which is a zip archive of them. Every size in a header is checked against the bytes that
//! are there, and no more samples are read than are wanted.

use super::arrays::{Array, Elements};
use super::{DatasetError, Reason, element_count, fault};
use crate::files::LARGEST_DATA;
pub(super) use crate::files::is_npy;
use crate::files::{NpyHeader as Header, by_rows};
use std::io::{Read, Seek};

/// How many rows of an array are wanted, by its name and shape: all where `None`.
pub(super) type Wanted<'a> = &'a dyn Fn(&str, &[usize]) -> Option<usize>;

/// Whether a file that begins with `start` is a zip archive, as `.npz` is.
pub(super) fn is_npz(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

/// Bytes that one packed byte stands for at most (deflate).
const MAX_PACKED: u64 = 1032;

/// The arrays of an `.npz` archive by name, in its order.
pub(super) fn read_npz(
    archive: impl Read + Seek,
    name: &str,
    wanted: Wanted<'_>,
) -> Result<Vec<(String, Array)>, DatasetError> {
    let broken = |error: zip::result::ZipError| fault(name, format!("the archive cannot be read: {error}"));
    let mut archive = zip::ZipArchive::new(archive).map_err(broken)?;
    if archive.has_overlapping_files().map_err(broken)? {
        return Err(fault(name, "entries of the archive lie over each other".to_owned()));
    }
    // A large archive may be read in part; one that declares more than can have been packed in it is no archive of arrays.
    let mut declared = (0_u64, 0_u64);
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(broken)?;
        declared.0 = declared.0.saturating_add(entry.size());
        declared.1 = declared.1.saturating_add(entry.compressed_size());
    }
    if declared.0 > LARGEST_DATA && declared.0 / MAX_PACKED > declared.1 {
        let most = LARGEST_DATA >> 30;
        return Err(fault(name, format!("the archive unpacks to more than {most} GiB")));
    }
    let mut room = LARGEST_DATA;
    (0..archive.len())
        .map(|at| {
            let entry = archive.by_index(at).map_err(broken)?;
            let array = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
            // An entry must not grow past the size that the archive declares.
            let size = entry.size();
            let path = format!("{name}: {array}");
            let read = Source {
                bytes: entry.take(size),
                length: size,
                path: &path,
            };
            let parsed = read.array(&mut room, |shape| wanted(&array, shape))?;
            Ok((array, parsed))
        })
        .collect()
}

/// Reads an `.npy` of `length` bytes.
pub(super) fn read_npy(bytes: impl Read, length: u64, path: &str, wanted: Wanted<'_>) -> Result<Array, DatasetError> {
    let source = Source { bytes, length, path };
    source.array(&mut { LARGEST_DATA }, |shape| wanted("", shape))
}

/// The whole of an `.npy` that is in memory.
pub(super) fn parse_npy(bytes: &[u8], path: &str) -> Result<Array, DatasetError> {
    read_npy(bytes, bytes.len() as u64, path, &|_, _| None)
}

/// What an array is read from.
struct Source<'a, R> {
    bytes: R,
    /// Bytes that it declares to have.
    length: u64,
    /// What to call it in messages.
    path: &'a str,
}

impl<R: Read> Source<'_, R> {
    fn fault(&self, reason: impl Into<Reason>) -> DatasetError {
        fault(self.path, reason)
    }

    /// Reads that many bytes; `what` is missing if there are fewer. They are not asked for at once: what is declared need not be there.
    fn take(&mut self, count: u64, what: &str) -> Result<Vec<u8>, DatasetError> {
        let mut taken = Vec::new();
        let read = self.bytes.by_ref().take(count).read_to_end(&mut taken);
        read.map_err(|error| self.fault(format!("cannot be read: {error}")))?;
        if taken.len() as u64 == count {
            Ok(taken)
        } else {
            Err(self.fault(format!("the {what} cut off")))
        }
    }

    /// The first rows of the array, as many as `wanted` says. `room` is what may still be taken of memory, bytes.
    fn array(mut self, room: &mut u64, wanted: impl Fn(&[usize]) -> Option<usize>) -> Result<Array, DatasetError> {
        let header = Header::read(&mut self.bytes).map_err(|reason| self.fault(reason))?;
        let Header { width, fortran, .. } = header;
        let mut shape = header.shape.clone();
        let bytes = |shape: &[usize]| element_count(shape).and_then(|count| count.checked_mul(width));
        let declared = bytes(&shape);
        if declared.is_none_or(|declared| header.start.saturating_add(declared as u64) != self.length) {
            return Err(self.fault(format!(
                "the header declares {shape:?} elements of {width} bytes, the file holds {} bytes",
                self.length.saturating_sub(header.start)
            )));
        }
        let rows = shape.first().copied().unwrap_or(1);
        // The rows of a Fortran-ordered array lie across the whole of it.
        if let (Some(first), false, Some(most)) = (shape.first_mut(), fortran, wanted(&header.shape)) {
            *first = most.min(*first);
        }
        // Integers are kept as 64 bits, floats as 32.
        let kept = match (header.code, width) {
            (b'u', 1) => 1,
            (b'f', _) => 4,
            _ => 8,
        };
        let count = element_count(&shape).unwrap_or(0);
        let memory = (count as u64).saturating_mul(kept);
        if memory > *room {
            let most = LARGEST_DATA >> 30;
            return Err(self.fault(format!("its elements take more than {most} GiB of memory")));
        }
        *room -= memory;
        let mut data = self.take((count * width) as u64, "elements are")?;
        if header.big_endian {
            data.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        let elements = self.elements(&header, &data)?;
        let elements = if fortran { elements.transposed(&shape) } else { elements };
        Ok(Array { shape, elements, rows })
    }

    /// The elements of little-endian `data`, in its order.
    fn elements(&self, header: &Header, data: &[u8]) -> Result<Elements, DatasetError> {
        /// Each group of bytes as one number.
        fn each<const N: usize, T>(data: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
            data.as_chunks::<N>().0.iter().map(|bytes| convert(*bytes)).collect()
        }
        let large = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        Ok(match (header.code, header.width) {
            (b'u', 1) => Elements::Byte(data.to_vec()),
            (b'i', 1) => Elements::Integer(each(data, |b| i64::from(i8::from_le_bytes(b)))),
            (b'b', 1) => Elements::Integer(each(data, |b: [u8; 1]| i64::from(b[0] != 0))),
            (b'i', 2) => Elements::Integer(each(data, |b| i64::from(i16::from_le_bytes(b)))),
            (b'u', 2) => Elements::Integer(each(data, |b| i64::from(u16::from_le_bytes(b)))),
            (b'i', 4) => Elements::Integer(each(data, |b| i64::from(i32::from_le_bytes(b)))),
            (b'u', 4) => Elements::Integer(each(data, |b| i64::from(u32::from_le_bytes(b)))),
            (b'i', 8) => Elements::Integer(each(data, i64::from_le_bytes)),
            (b'u', 8) => Elements::Integer(each(data, |b| large(u64::from_le_bytes(b)))),
            (b'f', 2) => Elements::Float(each(data, |b| half::f16::from_le_bytes(b).to_f32())),
            (b'f', 4) => Elements::Float(each(data, f32::from_le_bytes)),
            (b'f', 8) => Elements::Float(each(data, |b| f64::from_le_bytes(b) as f32)),
            _ => return Err(self.fault("its elements are not understood")),
        })
    }
}

impl Elements {
    /// The elements of an array of that shape, whose first axis runs fastest in `self`, with the last axis running fastest.
    fn transposed(self, shape: &[usize]) -> Self {
        match self {
            Self::Float(values) => Self::Float(by_rows(&values, shape)),
            Self::Integer(values) => Self::Integer(by_rows(&values, shape)),
            Self::Byte(values) => Self::Byte(by_rows(&values, shape)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, Dimension as _, IxDyn, ShapeBuilder as _};
    use ndarray_npy::WriteNpyExt as _;
    use std::cell::RefCell;
    use std::io::{Cursor, Write};

    fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn both_byte_orders_give_the_same_numbers() {
        let numbers = [1.5_f32, -2.25, 1e9];
        let big: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
        let read = parse_npy(&npy(">f4", "False", "(3,)", &big), "a").unwrap();
        assert_eq!(read.elements, Elements::Float(numbers.to_vec()));
        let big: Vec<u8> = [-7_i16, 300].iter().flat_map(|x| x.to_be_bytes()).collect();
        let read = parse_npy(&npy(">i2", "False", "(2,)", &big), "a").unwrap();
        assert_eq!(read.elements, Elements::Integer(vec![-7, 300]));
        assert!(parse_npy(&npy("|f4", "False", "(1,)", &[0; 4]), "a").is_err());
        assert!(parse_npy(&npy(">c8", "False", "(1,)", &[0; 8]), "a").is_err());
    }

    /// Against ndarray's own writer, which writes column-major arrays in Fortran order.
    #[test]
    fn fortran_order_gives_the_same_array() {
        for shape in [vec![4], vec![3, 5], vec![2, 3, 4], vec![3, 1, 2, 5], vec![0, 3]] {
            let value = |index: &IxDyn| index.slice().iter().fold(0.0, |sum, at| 10.0 * sum + *at as f32);
            let columns = ArrayD::from_shape_fn(IxDyn(&shape).f(), |index| value(&index));
            let mut bytes = Vec::new();
            columns.write_npy(&mut bytes).unwrap();
            if shape.len() > 1 && !shape.contains(&0) {
                assert!(String::from_utf8_lossy(&bytes).contains("'fortran_order': True"));
            }
            let read = parse_npy(&bytes, "a").unwrap();
            let rows = ArrayD::from_shape_fn(IxDyn(&shape), |index| value(&index));
            assert_eq!(
                (read.shape, read.elements),
                (shape, Elements::Float(rows.into_raw_vec_and_offset().0))
            );
        }
    }

    /// Counts the bytes that are read.
    struct Counted<'a>(Cursor<Vec<u8>>, &'a RefCell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let read = self.0.read(buffer)?;
            *self.1.borrow_mut() += read;
            Ok(read)
        }
    }

    impl Seek for Counted<'_> {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn of_an_archive_only_the_rows_that_are_wanted_are_read() {
        let rows = 50_000;
        let x: Vec<u8> = (0..rows * 8).flat_map(|i| (i as f32).to_le_bytes()).collect();
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        archive.start_file("x.npy", stored).unwrap();
        archive
            .write_all(&npy("<f4", "False", &format!("({rows}, 8)"), &x))
            .unwrap();
        let bytes = archive.finish().unwrap().into_inner();
        let whole = bytes.len();
        let count = RefCell::new(0);
        let wanted: Wanted<'_> = &|name, shape| {
            assert_eq!((name, shape), ("x", &[rows, 8][..]));
            Some(10)
        };
        let read = read_npz(Counted(Cursor::new(bytes), &count), "a.npz", wanted).unwrap();
        let (name, array) = &read[0];
        assert_eq!((name.as_str(), &array.shape[..], array.rows), ("x", &[10, 8][..], rows));
        assert_eq!(array.elements, Elements::Float((0..80).map(|i| i as f32).collect()));
        assert!(*count.borrow() < whole / 4, "{} of {whole} bytes", count.borrow());
    }

    #[test]
    fn what_a_header_declares_must_be_there() {
        let error = |bytes: &[u8]| parse_npy(bytes, "a").unwrap_err().to_string();
        assert!(
            error(&npy("<f4", "False", "(3,)", &[0; 8])).contains("declares [3] elements of 4 bytes, the file holds 8")
        );
        assert!(error(&npy("<f4", "False", "(9223372036854775807, 3)", &[0; 8])).contains("declares"));
        assert!(error(&npy("<f4", "False", "(3,)", &[0; 8])[..20]).contains("header is cut off"));
        assert!(error(b"no array at all").contains("not an .npy array"));
    }
}
