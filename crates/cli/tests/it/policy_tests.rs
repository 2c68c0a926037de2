//! `sekisho test`: `tests/cases/test-NAME/objects.yaml` and all that is said of it, in text, JSON and JUnit XML; and the
//! quickstart's own cases, which pass, and fail where its rules are changed. `UPDATE_EXPECTED=1` writes expectations anew.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::running::{SEKISHO, quickstart};

#[test]
fn every_case_is_judged_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let case = entry.unwrap().path();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("test-") {
            continue;
        }
        cases += 1;
        let actual = report(&case);
        assert_eq!(actual, report(&case), "{name}: two runs differ");
        let expected = case.join("expected.txt");
        #[expect(
            clippy::disallowed_methods,
            reason = "how a test is told to write its expectations anew"
        )]
        if std::env::var("UPDATE_EXPECTED").is_ok() {
            fs::write(&expected, &actual).unwrap();
        }
        let text = fs::read_to_string(&expected).unwrap_or_default();
        if text != actual {
            wrong.push(format!("{name}:\n--- expected\n{text}--- actual\n{actual}"));
        }
    }
    assert!(cases > 2, "{cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Text, exit status and JUnit XML of a case.
fn report(case: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("junit.xml");
    let output = Command::new(SEKISHO)
        .args(["test", "objects.yaml", "--junit"])
        .arg(&junit)
        .current_dir(case)
        .output()
        .unwrap();
    let (code, text) = said(&output);
    let xml = fs::read_to_string(&junit).unwrap_or_else(|_| "none\n".to_owned());
    format!("{text}exit status {code}\n--- junit\n{xml}")
}

fn said(output: &Output) -> (i32, String) {
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    let both = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), both)
}

fn test(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(SEKISHO);
    said(
        &command
            .arg("test")
            .arg(folder)
            .args(arguments)
            .output()
            .unwrap(),
    )
}

#[test]
fn the_quickstart_does_what_it_says() {
    let (code, text) = test(&quickstart(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.lines().count() > 12, "{text}");
}

#[test]
fn a_changed_rule_fails_the_cases_that_are_about_it() {
    for (file, rule, change, failing) in [
        (
            "limits.yaml",
            "count: 200,",
            "count: 300,",
            "the 201st recipient",
        ),
        (
            "country.yaml",
            "classAtLeast: Suspect",
            "classAtLeast: Spam",
            "from abroad, five recipients",
        ),
        (
            "guard.yaml",
            "distinctPasswords: 10",
            "distinctPasswords: 12",
            "ten guessed passwords",
        ),
        ("policy.yaml", "[exe, ", "[", "refused at its end"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(quickstart()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        let path = folder.path().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(rule), "{file}: {rule}");
        fs::write(&path, text.replacen(rule, change, 1)).unwrap();
        let (code, json) = test(folder.path(), &["--format", "json"]);
        assert_eq!(code, 1, "{json}");
        let json: Value = serde_json::from_str(&json).unwrap();
        let cases = json["cases"].as_array().unwrap().iter();
        let failed: Vec<&str> = cases
            .filter(|case| case["result"] != "Passed")
            .map(|case| case["case"].as_str().unwrap())
            .collect();
        assert!(
            matches!(failed.as_slice(), [only] if only.contains(failing)),
            "{file}: {failed:?}"
        );
        assert_eq!(json["failed"], 1, "{json}");
    }
}

#[test]
fn cases_are_chosen_by_name() {
    let (code, text) = test(
        &quickstart(),
        &["--filter", "quickstart: an honest message"],
    );
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    let (code, text) = test(&quickstart(), &["--filter", "no such case"]);
    assert_eq!(code, 2, "{text}");
    assert_eq!(test(Path::new("/no/such/folder"), &[]).0, 2);
}

#[test]
fn results_outlive_a_junit_file_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere/results.xml");
    let nowhere = nowhere.to_str().unwrap();
    let arguments = ["--filter", "an honest message", "--junit", nowhere];
    let (code, text) = test(&quickstart(), &arguments);
    assert_eq!(code, 2, "{text}");
    let why = format!("sekisho: --junit {nowhere}: ");
    assert!(
        text.contains("1 passed, 0 failed") && text.contains(&why),
        "{text}"
    );
}
