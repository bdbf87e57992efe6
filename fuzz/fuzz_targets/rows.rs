//! The table of a sweep, or the runs of a search by layers: read, and gone on with.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::inference::auto::{RunLog, RunSetting};
use splitscope::inference::sweep::{SweepCsv, SweepSetting, load_rows};
use splitscope::quantization::Recipe;
use std::sync::OnceLock;

fn folder() -> &'static tempfile::TempDir {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(|| tempfile::tempdir().expect("a folder"))
}

fuzz_target!(|data: &[u8]| {
    let path = folder().path().join("rows.csv");
    std::fs::write(&path, data).expect("the rows");
    let _ = load_rows(&path);
    let setting = SweepSetting {
        model: "m".to_owned(),
        data: "d".to_owned(),
        calibration: "none".to_owned(),
        samples: 4,
    };
    // What is refused is left as it is: it may hold hours of work.
    if SweepCsv::resume(&path, setting).is_err() {
        assert_eq!(std::fs::read(&path).expect("the rows"), data);
    }
    std::fs::write(&path, data).expect("the runs");
    let setting = RunSetting {
        model: "m".to_owned(),
        choose: "d".to_owned(),
        judge: "d".to_owned(),
        calibration: "none".to_owned(),
        base: Recipe::default(),
    };
    if RunLog::resume(&path, &setting).is_err() {
        assert_eq!(std::fs::read(&path).expect("the runs"), data);
    }
});
