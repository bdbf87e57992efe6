//! A sweep in parts on several machines is the sweep as a whole.

use super::command_line::{json, succeeds};
use std::fs;
use std::path::Path;

const GRID: [&str; 9] = [
    "sweep",
    "demo:fashion",
    "--data",
    "demo:fashion",
    "--limit",
    "30",
    "--weight-bits",
    "4,3",
    "--expand-ratio",
];

fn sweep(csv: &Path, more: &[&str]) -> String {
    let csv = csv.to_str().unwrap();
    succeeds(&[&GRID[..], &["0,0.05", "--csv", csv], more].concat())
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn three_shards_joined_hold_the_rows_of_the_whole_and_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    sweep(&file("whole.csv"), &[]);
    let mut joined = String::new();
    for shard in ["1/3", "2/3", "3/3"] {
        let part = file(&shard.replace('/', "of"));
        sweep(&part, &["--shard", shard]);
        joined += &fs::read_to_string(part).unwrap();
    }
    let whole = fs::read_to_string(file("whole.csv")).unwrap();
    // Two rows, one row, one row, and the titles of each.
    assert_eq!((whole.lines().count(), joined.lines().count()), (5, 7));
    assert_eq!(sorted(&joined), sorted(&whole));

    fs::write(file("joined.csv"), &joined).unwrap();
    let report = json(&sweep(&file("joined.csv"), &["--resume", "--json"]));
    assert_eq!(report["rows"].as_array().unwrap().len(), 4);
    assert_eq!(
        fs::read_to_string(file("joined.csv")).unwrap(),
        joined,
        "no row was run again"
    );
}
