//! `tests/cases/NAME/`: objects, and what the tools say of them.
//!
//! `objects.yaml` is linted and compared with `expected.lint`. Each line of `events.txt`, if there is one, is the arguments
//! of a hypothetical message, whose explanations together are compared with `expected.txt`. `UPDATE_EXPECTED=1` writes
//! both anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::running::SEKISHO;

#[test]
fn every_case_says_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        cases += 1;
        wrong.extend(compare(&case.join("expected.lint"), &lint(&case)));
        if case.join("events.txt").exists() {
            wrong.extend(compare(&case.join("expected.txt"), &explain(&case)));
        }
    }
    assert!(cases > 0, "no cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn lint(case: &Path) -> String {
    run(case, &["lint", "objects.yaml"])
}

fn explain(case: &Path) -> String {
    let events = fs::read_to_string(case.join("events.txt")).unwrap();
    events
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let arguments: Vec<&str> = line.split_whitespace().collect();
            format!(
                "$ explain {line}\n{}\n",
                run(
                    case,
                    &[&["explain", "objects.yaml"], &arguments[..]].concat()
                )
            )
        })
        .collect()
}

/// Standard output, standard error and the exit status.
fn run(case: &Path, arguments: &[&str]) -> String {
    let output = Command::new(SEKISHO)
        .args(arguments)
        .current_dir(case)
        .output()
        .unwrap();
    format!(
        "{}{}exit status {}\n",
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
        output.status.code().unwrap()
    )
}

fn compare(expected: &Path, actual: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a test is told to write its expectations anew"
    )]
    let update = std::env::var("UPDATE_EXPECTED").is_ok();
    if update {
        fs::write(expected, actual).unwrap();
    }
    let text = fs::read_to_string(expected).unwrap_or_default();
    (text != actual).then(|| {
        format!(
            "{}:\n--- expected\n{text}--- actual\n{actual}",
            expected.display()
        )
    })
}
