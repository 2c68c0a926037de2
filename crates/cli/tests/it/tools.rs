//! The tools: lint, explain of a message that was never sent, accounts, the ledger.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::Client;
use crate::running::{Running, SEKISHO, edit, quickstart, sekisho};

fn with_input(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(SEKISHO)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn the_quickstart_has_nothing_to_mend() {
    let output = sekisho(&["lint", quickstart().to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("0 errors, 0 warnings\n"), "{text}");
}

#[test]
fn lint_reads_standard_input_and_says_where_and_what() {
    let object = "apiVersion: sekisho.dev/v1alpha1\nkind: EgressPool\nmetadata: { name: p }\nspec: { members: [{ nam: a }] }\n";
    let (code, text, _) = with_input(&["lint", "-"], object);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("-:4:"), "{text}");
    assert!(text.contains("EgressPool/p"), "{text}");

    let (code, json, _) = with_input(&["lint", "-", "--format", "json"], object);
    assert_eq!(code, 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["errors"].as_u64() > Some(0), "{json}");
    assert_eq!(json["diagnostics"][0]["line"], 4, "{json}");
}

#[test]
fn lint_of_nothing_is_an_error() {
    assert_eq!(sekisho(&["lint", "/no/such/folder"]).status.code(), Some(1));
}

#[test]
fn accounts_are_added_listed_used_and_removed() {
    let running = Running::start();
    let file = running.objects().join("accounts");
    let file = file.to_str().unwrap();
    let (code, _, errors) = with_input(
        &[
            "accounts",
            "add",
            file,
            "Carol@Example.JP",
            "--password-stdin",
        ],
        "s3cret word\n",
    );
    assert_eq!(code, 0, "{errors}");
    let (_, listed, _) = with_input(&["accounts", "list", file], "");
    assert_eq!(
        listed
            .lines()
            .filter(|line| *line == "carol@example.jp")
            .count(),
        1,
        "{listed}"
    );
    // Asked only now: guesses before would count against the account.
    sekisho_testkit::wait_until("the accounts to be read anew", || {
        let log = running.process.output();
        log.contains("an accounts file was read anew").then_some(())
    });
    let mut client = Client::secure(running.submission);
    let reply = client.log_in("carol@example.jp", "s3cret word");
    assert!(reply.starts_with("235"), "{reply}");
    assert_eq!(
        with_input(&["accounts", "remove", file, "carol@example.jp"], "").0,
        0
    );
    let (_, listed, _) = with_input(&["accounts", "list", file], "");
    assert!(!listed.contains("carol"), "{listed}");
    let (code, _, errors) = with_input(&["accounts", "remove", file, "carol@example.jp"], "");
    assert_eq!(code, 1);
    assert!(errors.contains("carol@example.jp"), "{errors}");
}

#[test]
fn an_empty_password_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts");
    let (code, _, errors) = with_input(
        &[
            "accounts",
            "add",
            file.to_str().unwrap(),
            "a@b.example",
            "--password-stdin",
        ],
        "\n",
    );
    assert_eq!(code, 1);
    assert!(errors.contains("empty"), "{errors}");
}

#[test]
fn records_of_an_account_can_be_erased() {
    let running = Running::start();
    let mut client = Client::secure(running.submission);
    client.log_in("alice@example.jp", "kumo-no-mukou");
    let sent = client.send("alice@example.jp", "hanako@example.net", "x");
    let id = crate::client::id_of(&sent).to_owned();
    running.explained(&id);
    let state = running.state();
    let output = sekisho(&[
        "ledger",
        "erase",
        "--account",
        "Alice@example.jp",
        "--state",
        state.to_str().unwrap(),
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let gone = sekisho(&["explain", &id, "--state", state.to_str().unwrap()]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains(&id));
}

#[test]
fn an_unknown_id_and_a_malformed_one_are_told_apart() {
    let running = Running::start();
    let state = running.state();
    let state = state.to_str().unwrap();
    let unknown = sekisho(&["explain", "7Q2M-X4K9-0B3T", "--state", state]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no record"));
    let malformed = sekisho(&["explain", "7Q2M", "--state", state]);
    assert!(String::from_utf8_lossy(&malformed.stderr).contains("a decision id is"));
}

#[test]
fn a_hypothetical_message_needs_no_running_process() {
    let folder = tempfile::tempdir().unwrap();
    let message = folder.path().join("message.eml");
    std::fs::write(
        &message,
        "From: alice@example.jp\r\nSubject: Casino\r\n\r\nx\r\n",
    )
    .unwrap();
    let quickstart = quickstart();
    let arguments = [
        "explain",
        quickstart.to_str().unwrap(),
        "--account",
        "alice@example.jp",
        "--source",
        "127.0.0.1",
        "--rcpt",
        "hanako@example.net",
        "--message",
        message.to_str().unwrap(),
    ];
    let output = sekisho(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for said in [
        "the right password; content engines are not asked:\n",
        "It would leave by the pool spam-pool, as Spam, unless a content engine objects:",
    ] {
        assert!(text.contains(said), "no {said:?} in\n{text}");
    }

    let json = sekisho(&[&arguments[..], &["--format", "json"]].concat());
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["outcome"]["class"], "Spam", "{json}");
    assert_eq!(json["outcome"]["pool"], "spam-pool", "{json}");
    assert_eq!(json["outcome"]["contentEngines"], "NotAsked", "{json}");
}

#[test]
fn edits_go_through_a_rename() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "one two").unwrap();
    edit(folder.path(), "a", "one", "1");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("a")).unwrap(),
        "1 two"
    );
}
