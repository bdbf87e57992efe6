//! State dicts as timm and transformers write them become graphs that compute what these packages compute with the same
//! weights (see `fixtures/architecture/make_hubs.py`).

use crate::common::relative_difference;
use crate::common::state_dict::Fixture;
use std::path::{Path, PathBuf};

/// The fixtures of a folder by name, in alphabetical order.
fn fixtures(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".json.gz")?.to_owned();
            Some((name, path))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn networks_of_the_hubs_compute_what_their_packages_compute() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let found = fixtures(&folder);
    assert!(found.len() >= 40, "{}", found.len());
    for (name, path) in found {
        let network = Fixture::read(&path).assert_like_torch(&name);
        // Their config.json leaves nothing open but the heads of timm's vision transformers, and RoBERTa's padding.
        let open = |note: &&String| !note.contains("attention heads") && !note.contains("padding, where there is any");
        assert_eq!(network.notes.iter().find(open), None, "{name}");
    }
}

#[test]
#[ignore = "needs fixtures of whole networks, which `make_hubs.py --whole FOLDER` makes; their folder is WHOLE_NETWORKS"]
fn whole_networks_compute_what_their_packages_compute() {
    let folder = std::env::var("WHOLE_NETWORKS").unwrap();
    let mut wrong = Vec::new();
    for (name, path) in fixtures(Path::new(&folder)) {
        let fixture = Fixture::read(&path);
        let network = fixture.open(&fixture.tensors());
        let title = network.architecture.clone().unwrap_or_default();
        if let Some(why) = &network.why_not_runnable {
            println!("{name}: {why}");
            wrong.push(name);
            continue;
        }
        for ((output, expected), found) in fixture.outputs.iter().zip(fixture.answers(&network)) {
            let difference = relative_difference(expected, &found);
            println!("{name} ({title}) {output}: {difference:.1e} {:?}", network.notes);
            if difference > 1e-4 {
                wrong.push(name.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
