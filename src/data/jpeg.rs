//! Whether the bytes of a JPEG are all there.
//!
//! Decoders fill what is missing of a file that was cut off with grey. A JPEG is whole when its last scan is followed by the
//! end-of-image marker (ITU-T T.81, annex B); what comes behind that (a film, a second picture) does not matter.

/// Marks the end of the image.
const END: u8 = 0xd9;
/// Begins compressed data.
const START_OF_SCAN: u8 = 0xda;

/// Whether `bytes`, which begin with a JPEG, hold its end.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    end(bytes).is_some()
}

/// Where the end-of-image marker of the first image is.
fn end(bytes: &[u8]) -> Option<usize> {
    // Behind the start-of-image marker.
    let mut at = 2;
    loop {
        // Markers may be padded with 0xff.
        while *bytes.get(at)? != 0xff || matches!(*bytes.get(at + 1)?, 0xff) {
            at += 1;
        }
        match *bytes.get(at + 1)? {
            END => return Some(at),
            // Restart markers and stuffed bytes stand within a scan, without a length.
            0x00 | 0x01 | 0xd0..=0xd8 => at += 2,
            marker => {
                let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
                at += 2 + usize::from(length).max(2);
                if marker == START_OF_SCAN {
                    at = behind_scan(bytes, at)?;
                }
            }
        }
    }
}

/// Where the compressed data from `at` on end: at the next marker that is no restart.
fn behind_scan(bytes: &[u8], at: usize) -> Option<usize> {
    let data = bytes.get(at..)?;
    let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff);
    Some(at + data.windows(2).position(ends)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([(x * 6) as u8, (y * 8) as u8, (x * y) as u8]))
            .write_to(&mut bytes, image::ImageFormat::Jpeg)
            .unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_jpeg_is_whole_with_anything_behind_it_and_no_longer_when_its_end_is_cut_off() {
        let whole = jpeg();
        assert!(is_whole(&whole));
        assert_eq!(end(&whole), Some(whole.len() - 2));
        for cut in 0..whole.len() {
            assert!(!is_whole(&whole[..cut]), "{cut} of {} bytes", whole.len());
        }
        let film = [&whole[..], &[0; 9000][..]].concat();
        assert!(is_whole(&film));
    }

    #[test]
    fn the_end_of_a_preview_inside_the_header_does_not_count() {
        let (whole, preview) = (jpeg(), jpeg());
        let length = (preview.len() + 2) as u16;
        let mut bytes = whole[..2].to_vec();
        bytes.extend([0xff, 0xe1]);
        bytes.extend(length.to_be_bytes());
        bytes.extend(&preview);
        bytes.extend(&whole[2..]);
        assert!(is_whole(&bytes));
        bytes.truncate(bytes.len() - 20);
        assert!(!is_whole(&bytes));
    }
}
