//! A table of labels beside five small pictures.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::inference::{DataOptions, Dataset};
use std::sync::OnceLock;

fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"))
}

/// Five pictures of 2 x 2 bytes, as `.npy`.
fn pictures() -> Vec<u8> {
    let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (5, 2, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header);
    bytes.extend([7; 20]);
    bytes
}

fuzz_target!(|data: &[u8]| {
    let labels = folder().path().join("labels.csv");
    std::fs::write(&labels, data).expect("the labels");
    let options = DataOptions {
        labels: Some(labels),
        ..DataOptions::default()
    };
    if let Ok(data) = Dataset::from_bytes("pictures.npy", pictures(), &options, &[]) {
        assert_eq!(data.len(), 5);
        for sample in 0..5 {
            data.label(sample).and_then(|label| data.class_name(label).map(str::len));
        }
    }
});
