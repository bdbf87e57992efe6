//! Real files of operator sets 7 to 12 are upgraded, written and read again as equal.
//!
//! The models as they were and as they are now are left in `target/upgrade/before` and `after`, the refusals in
//! `refused.txt`: `tests/fixtures/check_upgrade.py` runs them in another engine. It also lays more models in
//! `target/upgrade/made`, since few files of the backend tests hold the old forms.

use super::*;
use crate::onnx::read::shared_tests::{SHARED, tar_files};
use crate::onnx::{encode, read_bytes};
use std::fs;
use std::io::Read;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/upgrade");

fn models_of(folder: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (format!("{prefix}{name}"), fs::read(path).unwrap())
        })
        .collect()
}

#[test]
#[ignore = "needs ../shared"]
fn files_of_older_operator_sets_are_upgraded_or_the_node_is_named() {
    let archive = Path::new(SHARED).join("data/onnx-1.17.0-backend-test-data.tar.gz");
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(archive).unwrap())
        .read_to_end(&mut tar)
        .unwrap();
    let mut files = models_of(&Path::new(FOLDER).join("made"), "made/");
    files.extend(models_of(&Path::new(SHARED).join("models"), "models/"));
    files.extend(
        tar_files(&tar)
            .into_iter()
            .filter(|(name, _)| name.ends_with(".onnx"))
            .map(|(name, bytes)| (name, bytes.to_vec())),
    );
    for folder in ["before", "after"] {
        let folder = Path::new(FOLDER).join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder).unwrap();
    }

    let (mut upgraded, mut refused) = (0, Vec::new());
    for (name, bytes) in files {
        let mut model = read_bytes(bytes.clone().into(), None).unwrap();
        if !opset_version(&model).is_some_and(|version| (OLDEST_OPSET..UPGRADED_OPSET).contains(&version)) {
            continue;
        }
        if let Err(error) = upgrade(&mut model, UPGRADED_OPSET) {
            assert!(encode(&model).unwrap() == bytes, "{name} was changed");
            refused.push(format!("{name}: {error}"));
            continue;
        }
        upgraded += usize::from(!name.starts_with("made/"));
        assert_eq!(opset_version(&model), Some(UPGRADED_OPSET));
        let written = encode(&model).unwrap();
        let again = read_bytes(written.clone().into(), None).unwrap();
        assert_eq!(format!("{again:?}"), format!("{model:?}"), "{name}");
        let mut twice = again.clone();
        upgrade(&mut twice, UPGRADED_OPSET).unwrap();
        assert!(encode(&twice).unwrap() == written, "{name}");
        let flat = name.replace('/', "__");
        fs::write(Path::new(FOLDER).join("before").join(&flat), bytes).unwrap();
        fs::write(Path::new(FOLDER).join("after").join(&flat), written).unwrap();
    }
    fs::write(Path::new(FOLDER).join("refused.txt"), refused.join("\n")).unwrap();
    // Those of the archive and of ../shared/models; the made ones are there only after the script has run.
    assert_eq!(upgraded, 146);
    // One model of the backend tests has Scan 8.
    let unexpected: Vec<_> = refused.iter().filter(|line| !line.starts_with("made/")).collect();
    assert!(
        unexpected.len() == 1 && unexpected[0].contains("(Scan)"),
        "{unexpected:?}"
    );
}
