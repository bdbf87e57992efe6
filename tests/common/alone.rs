//! Tests that look at, or change, what a whole process shares run in a process of their own.

use std::process::Command;

/// Names the test that a process runs alone.
const ALONE: &str = "SPLITSCOPE_TEST_ALONE";

/// Runs the calling test in a new process in which no other test runs, and returns `true` when it passed there; `false` in
/// that process, where the test goes on. `test` is its full name, such as `threads::one_pool`.
pub(crate) fn ran_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some_and(|name| name == test) {
        return false;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, test)
        .output()
        .unwrap();
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    // A wrong name runs no test, and none fails.
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{told}");
    true
}
