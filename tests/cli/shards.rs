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
    // Which rows are on the front is known of the whole only.
    let unmarked = whole.replace(",yes,\"{", ",,\"{").replace(",no,\"{", ",,\"{");
    assert_ne!(unmarked, whole);
    assert_eq!(sorted(&joined), sorted(&unmarked));

    fs::write(file("joined.csv"), &joined).unwrap();
    let report = json(&sweep(&file("joined.csv"), &["--resume", "--json"]));
    assert_eq!(report["rows"].as_array().unwrap().len(), 4);
    assert_eq!(
        fs::read_to_string(file("joined.csv")).unwrap(),
        whole,
        "merged, the parts are the whole, byte for byte"
    );

    // A row that is run again gets its own numbers back.
    let row = joined
        .lines()
        .find(|line| line.contains(",4,float,0.05,none,"))
        .unwrap();
    let (before, after) = row.split_once(",4,float,0.05,none,").unwrap();
    let (_, after) = after.split_once(',').unwrap();
    let other = joined.replace(row, &format!("{before},4,float,0.05,none,0.125,{after}"));
    fs::write(file("joined.csv"), &other).unwrap();
    let report = json(&sweep(&file("joined.csv"), &["--resume", "--json"]));
    assert_eq!(report["rows"][1]["top1"], 0.125, "no row was run again");
}
