//! Tests of the table of a sweep as a file.

use super::super::tests::row;
use super::*;
use crate::quantization::LayerRecipe;

fn setting() -> SweepSetting {
    SweepSetting {
        model: "nets/a, \"b\".onnx".to_owned(),
        data: "noise".to_owned(),
        calibration: "pictures, 50".to_owned(),
        samples: 100,
    }
}

fn rows() -> Vec<SweepRow> {
    let mut rows = vec![row(4, 0.1, "percentile:99.99", 0.5), row(3, 1.0 / 3.0, "mse", 0.7)];
    let strange = "a \"name\",\nof two lines".to_owned();
    rows[0].recipe.layers.insert(
        strange,
        LayerRecipe {
            float: Some(true),
            ..LayerRecipe::default()
        },
    );
    rows[1].sqnr_db = Some(f64::INFINITY);
    rows[1].metrics = Metrics {
        nats_per_token: Some(1.5),
        perplexity: Some(1.5_f64.exp()),
        pairs: Some(50),
        pearson: Some(0.8),
        pearson_interval: Some([0.7, 1.0 / 3.0]),
        spearman: Some(0.75),
        mean_iou: Some(0.6),
        ..Metrics::default()
    };
    rows[1].overhead.macs = None;
    rows
}

#[test]
fn rows_read_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let rows = rows();
    let mut csv = SweepCsv::create(&path, setting()).unwrap();
    csv.append(&rows[0]).unwrap();
    drop(csv);
    let (mut csv, first) = SweepCsv::resume(&path, setting()).unwrap();
    assert_eq!(first, rows[..1]);
    csv.append(&rows[1]).unwrap();
    drop(csv);
    assert_eq!(SweepCsv::resume(&path, setting()).unwrap().1, rows);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(
        text.starts_with("model,data,calibration,samples,weight_bits,"),
        "{text}"
    );
    assert!(text.contains("\"nets/a, \"\"b\"\".onnx\",noise,none,100,4,float,0.1,percentile:99.99,0.5,,"));
}

#[test]
fn rows_saved_at_once_can_be_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, "what was there").unwrap();
    save_rows(&path, &setting(), &rows()).unwrap();
    assert_eq!(SweepCsv::resume(&path, setting()).unwrap().1, rows());
    let nowhere = save_rows(&folder.path().join("no/rows.csv"), &setting(), &rows());
    assert!(nowhere.unwrap_err().to_string().contains("no/rows.csv"));
}

#[test]
fn only_rows_that_need_ranges_depend_on_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let mut rows = rows();
    let mut csv = SweepCsv::create(&path, setting()).unwrap();
    csv.append(&rows[0]).unwrap();
    drop(csv);
    let other = SweepSetting {
        calibration: "noise".to_owned(),
        ..setting()
    };
    let (mut csv, finished) = SweepCsv::resume(&path, other).unwrap();
    assert_eq!(finished, rows[..1]);
    rows[1].recipe.activation_bits = crate::quantization::Bits::Grid(8);
    csv.append(&rows[1]).unwrap();
    drop(csv);
    let refused = SweepCsv::resume(&path, setting()).unwrap_err().to_string();
    assert!(
        refused.contains("calibration is 'noise', not 'pictures, 50'"),
        "{refused}"
    );
}

#[test]
fn a_line_that_was_cut_off_is_removed_before_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let rows = rows();
    let mut csv = SweepCsv::create(&path, setting()).unwrap();
    csv.append(&rows[0]).unwrap();
    csv.append(&rows[1]).unwrap();
    drop(csv);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let (mut csv, first) = SweepCsv::resume(&path, setting()).unwrap();
    assert_eq!(first, rows[..1]);
    csv.append(&rows[1]).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn what_is_no_row_of_this_sweep_is_refused_by_its_line_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    SweepCsv::create(&path, setting()).unwrap().append(&rows()[0]).unwrap();
    let before = std::fs::read_to_string(&path).unwrap();
    let again = SweepCsv::create(&path, setting()).unwrap_err().to_string();
    assert!(again.contains("rows.csv") && again.contains("--resume"), "{again}");
    let other = SweepSetting {
        samples: 50,
        ..setting()
    };
    let other = SweepCsv::resume(&path, other).unwrap_err().to_string();
    assert!(
        other.contains("line 2") && other.contains("samples is '100', not '50'"),
        "{other}"
    );
    for (change, said) in [
        (before.replace(",0.1,", ",x,"), "expand_ratio is no number"),
        (
            before.replace("weight_bits\"\":4", "weight_bits\"\":9"),
            "recipe: bits are 2 to 8",
        ),
        (before.replace("samples,", ""), "line 1"),
        (before.clone() + "a,b\n", "line 3: 2 columns"),
        (before.clone() + "\"a\n", "line 3: a quote"),
    ] {
        std::fs::write(&path, &change).unwrap();
        let refused = SweepCsv::resume(&path, setting()).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), change);
    }
}

#[test]
fn a_file_that_another_sweep_writes_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let first = SweepCsv::create(&path, setting()).unwrap();
    let refused = SweepCsv::resume(&path, setting()).unwrap_err().to_string();
    assert!(refused.contains("another sweep is writing to it"), "{refused}");
    drop(first);
    SweepCsv::resume(&path, setting()).unwrap();
}

#[test]
fn joined_files_have_several_title_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    save_rows(&path, &setting(), &rows()[..1]).unwrap();
    let first = std::fs::read_to_string(&path).unwrap();
    save_rows(&path, &setting(), &rows()[1..]).unwrap();
    let second = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, first + &second).unwrap();
    assert_eq!(load_rows(&path).unwrap(), rows());
}

/// Three rows: the second is larger than the first and no better, the third larger and better.
fn three() -> Vec<SweepRow> {
    [(3, 0.5, 3000), (4, 0.5, 4000), (8, 0.9, 8000)]
        .map(|(bits, top1, bytes)| {
            let mut row = row(bits, 0.0, "none", top1);
            row.overhead.file_bytes = Some(bytes);
            row.latency = Some(RowLatency {
                engine: "an engine, 1.0".to_owned(),
                time: Latency {
                    batch: 1,
                    runs: 50,
                    median_ms: 0.1 + f64::from(bits),
                    p95_ms: 9.5,
                },
            });
            row
        })
        .to_vec()
}

/// The cells of a column.
fn column(text: &str, name: &str) -> Vec<String> {
    let lines: Vec<Vec<String>> = text.lines().filter_map(csv::cells).collect();
    let at = lines[0].iter().position(|title| title == name).unwrap();
    lines[1..].iter().map(|line| line[at].clone()).collect()
}

#[test]
fn the_front_is_marked_once_all_rows_are_there_in_the_order_of_the_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    let text = || std::fs::read_to_string(&path).unwrap();
    let rows = three();
    let mut csv = SweepCsv::create(&path, setting()).unwrap();
    for row in [&rows[2], &rows[1], &rows[0]] {
        csv.append(row).unwrap();
    }
    assert_eq!(column(&text(), "front"), ["", "", ""]);
    assert_eq!(column(&text(), "file_bytes"), ["8000", "4000", "3000"]);
    csv.finish(&rows).unwrap();
    assert_eq!(column(&text(), "front"), ["yes", "no", "yes"]);
    assert_eq!(column(&text(), "weight_bits"), ["3", "4", "8"]);
    assert_eq!(column(&text(), "latency_ms"), ["3.1", "4.1", "8.1"]);
    // Wilson's interval of 50 of 100, as published tables have it.
    assert!(
        column(&text(), "top1_low")[0].starts_with("0.4038") && column(&text(), "top1_high")[0].starts_with("0.5961")
    );
    assert_eq!(SweepCsv::resume(&path, setting()).unwrap().1, rows);
    // A row of another grid stays, behind those of this one, and counts for the front.
    let (csv, _) = SweepCsv::resume(&path, setting()).unwrap();
    csv.finish(&rows[1..]).unwrap();
    assert_eq!(column(&text(), "weight_bits"), ["4", "8", "3"]);
    assert_eq!(column(&text(), "front"), ["no", "yes", "yes"]);
}

#[test]
fn a_file_of_an_older_version_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    save_rows(&path, &setting(), &three()).unwrap();
    let old: String = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| {
            let cells = csv::cells(line).unwrap();
            csv::line(&[&cells[..OLDEST.len()], &cells[cells.len() - 1..]].concat())
        })
        .collect();
    std::fs::write(&path, old).unwrap();
    let lacking = |mut row: SweepRow| {
        (row.overhead.file_bytes, row.latency, row.sqnr_db_interval) = (None, None, None);
        row
    };
    let (mut csv, rows) = SweepCsv::resume(&path, setting()).unwrap();
    assert_eq!(rows, three().into_iter().map(lacking).collect::<Vec<_>>());
    let added = row(5, 0.0, "kl", 0.7);
    csv.append(&added).unwrap();
    drop(csv);
    assert_eq!(SweepCsv::resume(&path, setting()).unwrap().1[3], added);
}
