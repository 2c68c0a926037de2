//! `tests/cases/lint-NAME/{objects.yaml,expected.txt}`: objects, and everything that lint says of them.

use std::fs;
use std::path::{Path, PathBuf};

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let folders = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_lint = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("lint-")
    };
    let mut cases: Vec<PathBuf> = folders.filter(is_lint).collect();
    cases.sort();
    cases
}

fn output(case: &Path) -> String {
    let text = fs::read_to_string(case.join("objects.yaml")).unwrap();
    super::lint(&super::load(&text))
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Writes what lint says now: `cargo test -p sekisho-compile --test compile -- --ignored bless`, then read the diff.
#[test]
#[ignore = "writes expected.txt of every case anew"]
fn bless() {
    for case in cases() {
        fs::write(case.join("expected.txt"), output(&case)).unwrap();
    }
}

#[test]
fn lint_says_what_is_expected() {
    let cases = cases();
    assert!(cases.len() >= 10, "only {} cases found", cases.len());
    for case in cases {
        let expected = fs::read_to_string(case.join("expected.txt")).unwrap_or_default();
        assert_eq!(output(&case), expected, "{}", case.display());
    }
}
