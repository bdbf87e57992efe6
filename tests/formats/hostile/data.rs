//! Data made to do harm: archives that unpack without end, pictures and arrays larger than any memory.

use super::{fails_in, line, text, with_memory};
use crate::common::graph::{self, floats};
use splitscope::inference::{DataOptions, Dataset, Port};
use splitscope::onnx::build::{float_tensor, node};
use splitscope::onnx::write_file;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[test]
fn archives_that_unpack_to_more_than_they_say_or_than_the_limit_are_refused() {
    let zip = |size: u32, count: usize| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for i in 0..count {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{i}.npy"), options).unwrap();
            zip.write_all(&[0; 1000]).unwrap();
        }
        let mut bytes = zip.finish().unwrap().into_inner();
        // The unpacked size in the central directory: 24 bytes behind its mark.
        let marks: Vec<usize> = (0..bytes.len() - 4)
            .filter(|at| bytes[*at..].starts_with(b"PK\x01\x02"))
            .collect();
        for at in marks {
            bytes[at + 24..at + 28].copy_from_slice(&size.to_le_bytes());
        }
        bytes
    };
    let refusal = |bytes: Vec<u8>| {
        let opened = Dataset::from_bytes("bomb.npz", bytes, &DataOptions::default(), &[]);
        line(opened.err().unwrap().to_string())
    };
    // Nothing of it is unpacked, though there are no such sizes in it.
    let many = refusal(zip(3 << 30, 2));
    assert!(many.contains("unpacks to more than 4 GiB"), "{many}");
    // More comes out than was declared: it ends there.
    let more = refusal(zip(10, 1));
    assert!(more.contains("bomb.npz"), "{more}");
}

#[test]
fn entries_of_an_archive_that_lie_over_each_other_are_refused() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in ["0.npy", "1.npy"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&[0; 1000]).unwrap();
    }
    let mut bytes = zip.finish().unwrap().into_inner();
    let second = (0..bytes.len() - 4)
        .rfind(|at| bytes[*at..].starts_with(b"PK\x01\x02"))
        .unwrap();
    // Where the entry begins: 42 bytes behind its mark in the central directory. That of the first one.
    bytes[second + 42..second + 46].copy_from_slice(&[0; 4]);
    let opened = Dataset::from_bytes("a.npz", bytes, &DataOptions::default(), &[]);
    let error = line(opened.err().unwrap().to_string());
    assert!(
        error.contains("a.npz") && error.contains("lie over each other"),
        "{error}"
    );
}

/// Zeros without end, packed.
fn packed_zeros(before: &[u8], mib: usize) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(before).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..mib {
        gzip.write_all(&zeros).unwrap();
    }
    gzip.finish().unwrap()
}

#[test]
fn a_packed_file_is_unpacked_no_further_than_its_header_says() {
    let refusal = |bytes: Vec<u8>| {
        let opened = Dataset::from_bytes("bomb.gz", bytes, &DataOptions::default(), &[]);
        line(opened.err().unwrap().to_string())
    };
    let more = refusal(packed_zeros(&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2], 200));
    assert!(more.contains("goes on after the 4 elements"), "{more}");
    let large = refusal(packed_zeros(&[0, 0, 8, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0], 1));
    assert!(large.contains("more than 4 GiB"), "{large}");
    let overflow = refusal(packed_zeros(&[[0, 0, 8, 4].as_slice(), &[0xff; 16]].concat(), 1));
    assert!(overflow.contains("more than 4 GiB"), "{overflow}");
    // No samples of a size that overflows.
    let empty = refusal(packed_zeros(
        &[[0, 0, 8, 4, 0, 0, 0, 0].as_slice(), &[0xff; 12]].concat(),
        0,
    ));
    assert!(empty.contains("more than 4 GiB"), "{empty}");
}

#[cfg(unix)]
#[test]
fn a_packed_file_that_is_all_there_takes_what_it_declares_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb-images-idx3-ubyte.gz");
    // 2 GiB declared, 64 MiB there: memory follows what is there.
    fs::write(
        &path,
        packed_zeros(&[0, 0, 8, 3, 0, 0, 0x80, 0, 0, 0, 1, 0, 0, 0, 1, 0], 64),
    )
    .unwrap();
    let error = fails_in(1500, &["evaluate", "demo:fashion", "--data", text(&path)]);
    assert!(error.contains("truncated"), "{error}");
}

/// A PNG of one colour whose header says what it is told to.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(2, 2)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    let mut bytes = bytes.into_inner();
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut sum = flate2::Crc::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    bytes
}

/// A black PNG with one bit for each pixel.
fn one_bit_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], content: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(kind);
        sum.update(content);
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend([kind, content, &sum.sum().to_be_bytes()].concat());
    };
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[&size, &[1, 0, 0, 0, 0][..]].concat());
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let row = vec![0; 1 + width.div_ceil(8) as usize];
    for _ in 0..height {
        packed.write_all(&row).unwrap();
    }
    chunk(b"IDAT", &packed.finish().unwrap());
    chunk(b"IEND", &[]);
    bytes
}

/// A network of one convolution that looks at colour pictures of 8 x 8 pixels.
fn of_pictures(folder: &Path) -> PathBuf {
    let layer = node("Conv", "conv", ["x", "w"], ["y"], vec![]);
    let weight = float_tensor("w", &[2, 3, 8, 8], &[0.1; 384]);
    let model = graph::model(
        17,
        (vec![layer], vec![weight]),
        vec![floats("x", &[0, 3, 8, 8])],
        vec![floats("y", &[0, 2, 1, 1])],
    );
    let path = folder.join("model.onnx");
    write_file(&model, &path).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn large_and_narrow_pictures_are_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let model = of_pictures(folder.path());
    let bits = folder.path().join("bits.png");
    fs::write(&bits, one_bit_png(16_000, 16_000)).unwrap();
    let narrow = folder.path().join("narrow.png");
    image::GrayImage::new(63_692, 7).save(&narrow).unwrap();
    for (picture, mib) in [(&bits, 1100), (&narrow, 800)] {
        let words = [
            "evaluate",
            text(&model),
            "--data",
            text(picture),
            "--weight-bits",
            "4",
            "--size",
            "256",
            "--crop",
            "8",
        ];
        let output = with_memory(mib, &words);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_jpeg_that_was_cut_off_is_left_out_though_a_preview_in_it_is_whole() {
    let mut whole = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8 * 3, y as u8 * 3, (x * y) as u8]));
    picture.write_to(&mut whole, image::ImageFormat::Jpeg).unwrap();
    let whole = whole.into_inner();
    // A segment of an application that holds a preview with its own end.
    let preview = [&[0xff, 0xe1, 0, 8][..], &[0xff, 0xd8, 0, 0, 0xff, 0xd9]].concat();
    let with_preview = [&whole[..2], &preview, &whole[2..]].concat();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("whole.jpg"), [&with_preview[..], b"a film"].concat()).unwrap();
    fs::write(
        folder.path().join("cut.jpg"),
        &with_preview[..with_preview.len() * 2 / 3],
    )
    .unwrap();
    let data = Dataset::open(text(folder.path()), &DataOptions::default(), &picture_port()).unwrap();
    assert_eq!(data.len(), 1);
    assert!(data.notes()[0].contains("cut.jpg (it is cut off"), "{:?}", data.notes());
}

pub(crate) fn picture_port() -> [Port; 1] {
    [Port {
        name: "input".to_owned(),
        shape: Some(vec![None, Some(3), Some(8), Some(8)]),
        axis_names: vec![None; 4],
        kind: Default::default(),
    }]
}

#[test]
fn pictures_of_a_hundred_thousand_pixels_a_side_are_left_out_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let small = image::RgbImage::new(9, 7);
    small.save(folder.path().join("good.png")).unwrap();
    fs::write(folder.path().join("huge.png"), png(100_000, 100_000)).unwrap();
    fs::write(folder.path().join("absurd.png"), png(u32::MAX, u32::MAX)).unwrap();
    let data = Dataset::open(text(folder.path()), &DataOptions::default(), &picture_port()).unwrap();
    assert_eq!(data.len(), 1);
    let [note] = data.notes() else {
        panic!("{:?}", data.notes())
    };
    assert!(
        note.contains("2 unreadable image(s) left out") && note.contains("huge.png"),
        "{note}"
    );
    let alone = Dataset::from_bytes(
        "huge.png",
        png(100_000, 100_000),
        &DataOptions::default(),
        &picture_port(),
    );
    let error = line(alone.err().unwrap().to_string());
    assert!(
        error.contains("100000 x 100000 pixels, which take more than 256 MiB"),
        "{error}"
    );
}

#[test]
fn a_picture_too_narrow_to_be_enlarged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line.png");
    image::GrayImage::new(100_000, 1).save(&path).unwrap();
    let whole = DataOptions {
        size: Some(256),
        ..DataOptions::default()
    };
    let port = [Port {
        shape: Some(vec![None, Some(1), None, None]),
        ..picture_port()[0].clone()
    }];
    // Where the middle is all that is wanted, the ends are cut off first.
    let middle = DataOptions {
        crop: Some(224),
        ..whole.clone()
    };
    let data = Dataset::open(text(&path), &middle, &port).unwrap();
    assert_eq!(data.batch(0..1).unwrap().len(), 1);
    let data = Dataset::open(text(&path), &whole, &port).unwrap();
    let error = line(data.batch(0..1).err().unwrap().to_string());
    assert!(
        error.contains("line.png") && error.contains("100000 x 1 pixels is too long and narrow"),
        "{error}"
    );
}

#[test]
fn arrays_of_sizes_that_overflow_are_refused() {
    let npy = |descr: &str, shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    let refusal = |bytes: Vec<u8>| {
        let opened = Dataset::from_bytes("a.npy", bytes, &DataOptions::default(), &picture_port());
        line(opened.err().unwrap().to_string())
    };
    for shape in [
        "(1099511627776, 1099511627776)",
        "(18446744073709551615,)",
        "(0, 9223372036854775807, 3)",
    ] {
        let error = refusal(npy("<f4", shape, &[]));
        assert!(error.contains("a.npy"), "{error}");
    }
    let error = refusal(npy("|u1", "(0, 9223372036854775807, 9223372036854775807, 3)", &[]));
    assert!(error.contains("the file holds 0 bytes"), "{error}");
    let error = refusal(npy("<f4", "(99999999999999999999999, 1)", &[]));
    assert!(error.contains("has no shape"), "{error}");
    let endless = npy("<f4", "(1,)", &[0; 4]);
    let mut cut = endless.clone();
    cut[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    assert!(refusal(cut).contains("the .npy header is cut off"));
}
