//! Files that are read whole, up to a size that is stated.

use super::{Stamp, open_ordinary, read_whole};
use std::io;
use std::path::Path;

/// Most bytes of a file of data (IDX, CIFAR, NumPy, text), and of what is unpacked from one.
pub const LARGEST_DATA: u64 = 4 << 30;

/// Most bytes of a file that a person or a script writes: recipes, labels, class names, vocabularies, `config.json`, indices of
/// shards. 64 MiB hold a million lines.
pub const LARGEST_TEXT: u64 = 64 << 20;

/// Reads an ordinary file of at most `most` bytes.
///
/// # Errors
/// The system's reason, or that the file is larger, no ordinary file, or changed while it was read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_ordinary(path)?;
    let stamp = Stamp::of(&file)?;
    if stamp.length > most {
        let reason = format!(
            "is larger than {} MiB, the most that is read of such a file",
            most >> 20
        );
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    read_whole(&file, stamp)
}

/// Reads a file of text that a person or a script writes, at most [`LARGEST_TEXT`].
///
/// # Errors
/// As [`read`], and that it is no UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read(path, LARGEST_TEXT)?;
    let text = std::str::from_utf8(without_mark(&bytes));
    text.map(str::to_owned)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is no text in UTF-8"))
}

/// The bytes of a text in UTF-8 without the byte order mark that some editors and spreadsheets begin it with.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_above_the_limit_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        // A sparse file: a terabyte that takes no room, which nobody could read into memory.
        std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read(&path, LARGEST_DATA).unwrap_err();
        assert_eq!(
            error.to_string(),
            "is larger than 4096 MiB, the most that is read of such a file"
        );
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"abc");
        assert!(read(&path, 2).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_without_end_is_refused() {
        let error = read(Path::new("/dev/zero"), LARGEST_DATA).unwrap_err();
        assert_eq!(error.to_string(), "is no ordinary file");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(read_text(&path).unwrap(), "{}");
        assert_eq!(without_mark(b"{}"), b"{}");
    }

    #[test]
    fn bytes_that_are_no_text_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(read_text(&path).unwrap_err().to_string(), "is no text in UTF-8");
    }
}
