//! Paths as text. A file's name is bytes, and those of old disks and archives need not be UTF-8; a model and its data are named by
//! text throughout, because `demo:fashion` is no path. So a byte that is no text is written as a character for private use, and is
//! that byte again where a file is opened.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// The character that stands for byte 0; the others follow. The last ones of all that are for private use.
#[cfg(unix)]
const FIRST: u32 = 0x10_fe00;

/// The text that stands for a path given by a person.
pub fn path_text(path: &OsStr) -> String {
    #[cfg(unix)]
    {
        let mut text = String::with_capacity(path.len());
        for chunk in std::os::unix::ffi::OsStrExt::as_bytes(path).utf8_chunks() {
            text.push_str(chunk.valid());
            let bytes = chunk.invalid().iter();
            text.extend(bytes.filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
        }
        text
    }
    #[cfg(not(unix))]
    path.to_string_lossy().into_owned()
}

/// The path that `text` stands for; itself where it stands for itself.
pub fn real_path(text: &Path) -> Cow<'_, Path> {
    #[cfg(unix)]
    {
        let byte = |character: char| {
            u32::from(character)
                .checked_sub(FIRST)
                .and_then(|byte| u8::try_from(byte).ok())
        };
        let name = text.to_str().unwrap_or_default();
        if name.chars().any(|character| byte(character).is_some()) && !text.exists() {
            let mut bytes = Vec::with_capacity(name.len());
            for character in name.chars() {
                match byte(character) {
                    Some(byte) => bytes.push(byte),
                    None => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            let path: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
            return Cow::Owned(path.into());
        }
    }
    Cow::Borrowed(text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn bytes_that_are_no_text_survive_being_text() {
        for bytes in [
            &b"plain/caf\xc3\xa9.onnx"[..],
            b"caf\xe9.onnx",
            b"\xff\xfe/\x80",
            b"half\xc3",
        ] {
            let path = OsStr::from_bytes(bytes);
            let text = path_text(path);
            assert_eq!(real_path(Path::new(&text)).as_os_str(), path);
        }
        assert_eq!(path_text(OsStr::new("demo:fashion")), "demo:fashion");
    }
}
