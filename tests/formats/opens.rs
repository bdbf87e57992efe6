//! What opens and what does not, one test a row of the tables in `docs/opens.md`; the names in the table are those of the tests.

mod data;
mod onnx;
mod safetensors;
mod size;

/// The names of all tests that a row of the table can stand for.
fn tests() -> Vec<String> {
    let sources = [
        include_str!("opens/onnx.rs"),
        include_str!("opens/onnx/graphs.rs"),
        include_str!("opens/onnx/sources.rs"),
        include_str!("opens/safetensors.rs"),
        include_str!("opens/data.rs"),
        include_str!("opens/size.rs"),
    ];
    let mut names = Vec::new();
    for source in sources {
        for test in source.split("#[test]\n").skip(1) {
            let (_, rest) = test.split_once("fn ").unwrap();
            names.push(rest.split('(').next().unwrap().to_owned());
        }
    }
    names
}

#[test]
fn the_tables_of_what_opens_have_a_test_for_each_row_and_a_row_for_each_test() {
    let section = include_str!("../../docs/opens.md");
    let mut rows: Vec<String> = Vec::new();
    for row in section.lines().filter(|line| line.starts_with("| ")) {
        let last = row.trim_end_matches(" |").rsplit("| ").next().unwrap();
        rows.extend(last.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    let mut tests = tests();
    rows.sort();
    rows.dedup();
    tests.sort();
    assert!(tests.len() > 20);
    assert_eq!(rows, tests);
}
