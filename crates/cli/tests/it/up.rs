//! `sekisho up`: mail through the quickstart, refusals that explain themselves, files that change under it.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use sekisho_testkit::{Port, wait_until};
use tokio::time::Instant;

use crate::client::{Client, id_of};
use crate::http;
use crate::running::{Running, SEKISHO};

/// What the issue of this behaviour promises for a changed file.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(1);

fn logged_in(running: &Running) -> Client {
    let mut client = Client::secure(running.submission);
    let reply = client.log_in("alice@example.jp", "kumo-no-mukou");
    assert!(reply.starts_with("235"), "{reply}");
    client
}

#[test]
fn clean_and_spam_leave_by_their_own_addresses() {
    let running = Running::start();
    let mut client = logged_in(&running);
    let clean = client.send("alice@example.jp", "hanako@example.net", "lunch");
    assert!(clean.starts_with("250"), "{clean}");
    let spam = client.send(
        "alice@example.jp",
        "taro@example.net",
        "Best CASINO in town",
    );
    assert!(spam.starts_with("250"), "{spam}");

    let arrived = running.arrived();
    let seen = |index: usize, field: &str| arrived[index][field].as_str().unwrap();
    assert_eq!(arrived.len(), 2);
    assert_eq!(
        (seen(0, "fromAddress"), seen(0, "relay"), seen(0, "subject")),
        ("127.0.0.2", "clean", "lunch")
    );
    assert_eq!(
        (seen(1, "fromAddress"), seen(1, "relay")),
        ("127.0.0.3", "spam")
    );
    assert_eq!(arrived[1]["recipients"][0], "taro@example.net");

    let explained = running.explained(id_of(&spam));
    for part in [
        "casino",
        "spam-pool",
        "127.0.0.3",
        seen(1, "queueId"),
        "RateLimit/default/per-account",
        "class Spam",
    ] {
        assert!(explained.contains(part), "{part}:\n{explained}");
    }
    let metrics = running.get("/metrics").body;
    assert!(metrics.contains("sekisho_messages_total{class=\"spam\",gateway=\"default/outbound\",pool=\"default/spam-pool\"} 1"), "{metrics}");
}

#[test]
fn the_line_to_paste_sends_a_first_message() {
    if sekisho_testkit::require("curl").is_none() {
        return;
    }
    let running = Running::start();
    let printed = running.process.output();
    let line = printed
        .lines()
        .find(|line| line.starts_with("printf "))
        .unwrap_or_else(|| panic!("{printed}"));
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(running.arrived()[0]["subject"], "hello");
}

#[test]
fn a_gateway_that_is_deleted_ends_and_its_sessions_finish() {
    let running = Running::start();
    let second = Port::free();
    let object = format!(
        "apiVersion: sekisho.dev/v1alpha1\nkind: MailGateway\nmetadata: {{ name: second }}\nspec:\n  listeners: [{{ name: s, port: {} }}]\n  upstream: {{ endpoints: [{{ address: \"127.0.0.1:1\" }}] }}\n",
        second.number()
    );
    let file = running.objects().join("second.yaml");
    fs::write(&file, object).unwrap();
    sekisho_testkit::wait_for_port(second.address());
    let mut client = Client::secure(second.address());
    fs::remove_file(&file).unwrap();
    client.expect("421");
    wait_until("the listener to close", || {
        TcpStream::connect(second.address()).is_err().then_some(())
    });
    assert_eq!(running.get("/v1/config?gateway=default/second").status, 404);
    logged_in(&running);
}

#[test]
fn a_refusal_explains_itself_by_its_id() {
    let running = Running::start();
    let mut client = logged_in(&running);
    let refused = client.ask("MAIL FROM:<ceo@example.com>");
    assert!(refused.starts_with("550 5.7.1 "), "{refused}");
    let explained = running.explained(id_of(&refused));
    for part in [
        "SubmissionPolicy/default/house-rules",
        "SenderMismatch",
        "alice@example.jp",
        "spec.sender.envelope",
        "127.0.0.1",
    ] {
        assert!(explained.contains(part), "{part}:\n{explained}");
    }
    assert!(
        explained.contains("not asked"),
        "rules that did not apply are named too:\n{explained}"
    );

    let by_url = crate::running::sekisho(&[
        "explain",
        id_of(&refused),
        "--url",
        &format!("http://{}", running.http),
    ]);
    assert_eq!(String::from_utf8(by_url.stdout).unwrap(), explained);

    // A message that was never sent, asked of the rules in force.
    let never_sent = running.state().join("message");
    fs::write(
        &never_sent,
        "From: alice@example.jp\nSubject: casino\n\nhi\n",
    )
    .unwrap();
    let asked = crate::running::sekisho(&[
        "explain",
        "--account",
        "alice@example.jp",
        "--source",
        "127.0.0.1",
        "--rcpt",
        "hanako@example.net",
        "--message",
        never_sent.to_str().unwrap(),
        "--state",
        running.state().to_str().unwrap(),
    ]);
    let answer = String::from_utf8(asked.stdout).unwrap();
    assert!(answer.contains("score 10 of 10: casino"), "{answer}");
    // The session goes on.
    let sent = client.send("alice@example.jp", "hanako@example.net", "after all");
    assert!(sent.starts_with("250"), "{sent}");
}

#[test]
fn wrong_passwords_are_refused_and_implicit_tls_works() {
    let running = Running::start();
    let mut client = Client::implicit(running.submissions);
    let reply = client.log_in("alice@example.jp", "guess");
    assert!(reply.starts_with("535 5.7.8"), "{reply}");
    let reply = client.log_in("bob@example.jp", "asa-no-minato");
    assert!(reply.starts_with("235"), "{reply}");
    // An alias of the policy.
    let sent = client.send("info@example.jp", "hanako@example.net", "news");
    assert!(sent.starts_with("250"), "{sent}");
}

#[test]
fn a_changed_file_is_in_force_within_a_second_and_drops_no_session() {
    let running = Running::start();
    let mut client = logged_in(&running);
    client.say("MAIL FROM:<alice@example.jp>", "250");
    client.say("RCPT TO:<hanako@example.net>", "250");

    let before = running.get("/v1/config").json()["generation"]
        .as_u64()
        .unwrap();
    let changed = Instant::now();
    running.edit("policy.yaml", "maxRecipients: 100", "maxRecipients: 1");
    wait_until("the new generation", || {
        (running.get("/v1/config").json()["generation"]
            .as_u64()
            .unwrap()
            > before)
            .then_some(())
    });
    let mut other = logged_in(&running);
    other.say("MAIL FROM:<alice@example.jp>", "250");
    other.say("RCPT TO:<hanako@example.net>", "250");
    let refused = other.ask("RCPT TO:<taro@example.net>");
    assert!(
        changed.elapsed() < IN_FORCE_WITHIN,
        "{:?}",
        changed.elapsed()
    );
    assert!(refused.starts_with("452 4.5.3"), "{refused}");

    // The transaction that was open keeps the rules that it began with, and the session goes on.
    client.say("RCPT TO:<taro@example.net>", "250");
    client.say("DATA", "354");
    client.say(
        "From: alice@example.jp\r\nSubject: two\r\n\r\nbody\r\n.",
        "250",
    );
    client.say("MAIL FROM:<alice@example.jp>", "250");
    client.say("RCPT TO:<hanako@example.net>", "250");
    client.say("RCPT TO:<taro@example.net>", "452");
}

#[test]
fn an_object_that_became_invalid_keeps_its_last_good_rules_and_says_so() {
    let running = Running::start();
    assert_eq!(
        running.get("/readyz").json()["status"],
        "ok",
        "{}",
        running.get("/readyz").body
    );
    running.edit(
        "policy.yaml",
        "envelope: MustMatchAccount",
        "envelope: MustMatchAcount",
    );
    let report = wait_until("the report of the broken object", || {
        let answer = running.get("/readyz");
        (answer.json()["status"] == "degraded").then_some(answer)
    });
    assert_eq!(report.status, 200, "a degraded process takes mail");
    assert!(
        report.body.contains("SubmissionPolicy/house-rules"),
        "{}",
        report.body
    );
    assert!(
        report.body.contains("MustMatchAcount"),
        "what is wrong: {}",
        report.body
    );
    let metric = "sekisho_config_object_invalid{kind=\"SubmissionPolicy\",name=\"house-rules\",namespace=\"default\"} 1";
    assert!(running.get("/metrics").body.contains(metric));
    assert!(
        running.process.output().contains("house-rules"),
        "the log names it"
    );

    // Its rules are in force, and survive a change of another object.
    running.edit("limits.yaml", "count: 200, per: 1h", "count: 190, per: 1h");
    let mut client = logged_in(&running);
    client.say("MAIL FROM:<ceo@example.com>", "550 5.7.1");

    running.edit(
        "policy.yaml",
        "envelope: MustMatchAcount",
        "envelope: MustMatchAccount",
    );
    wait_until("the report of the mended object", || {
        (running.get("/readyz").json()["status"] == "ok").then_some(())
    });
    assert!(!running.get("/metrics").body.contains(metric));
}

#[test]
fn configuration_is_polled_by_its_digest() {
    let running = Running::start();
    let first = running.get("/v1/config?gateway=default/outbound");
    assert_eq!(first.status, 200);
    let etag = first.header("etag").unwrap().to_owned();
    assert_eq!(
        etag,
        format!("\"{}\"", first.json()["digest"].as_str().unwrap())
    );

    let known = format!("If-None-Match: {etag}");
    let same = http::get_with(running.http, "/v1/config", &[&known]);
    assert_eq!((same.status, same.body.as_str()), (304, ""));

    let address = running.http;
    let poll = std::thread::spawn(move || {
        http::get_with(address, "/v1/config", &[&known, "Prefer: wait=30"])
    });
    running.edit(
        "limits.yaml",
        "count: 1000, per: 24h",
        "count: 999, per: 24h",
    );
    let next = poll.join().unwrap();
    assert_eq!(next.status, 200);
    assert_ne!(next.header("etag").unwrap(), etag);
    assert!(next.json()["generation"].as_u64() > first.json()["generation"].as_u64());

    assert_eq!(running.get("/v1/config?gateway=default/none").status, 404);
}

#[test]
fn the_last_good_rules_survive_a_restart_with_a_broken_file() {
    let running = Running::start();
    let before = running.get("/v1/config").json();
    running.edit("gateway.yaml", "tls: Implicit", "tls: Implizit");
    wait_until("the report of the broken gateway", || {
        (running.get("/readyz").json()["status"] == "degraded").then_some(())
    });
    let kept = running.restart();
    let after = kept.get("/v1/config").json();
    assert_eq!(after["digest"], before["digest"]);
    assert!(after["generation"].as_u64() >= before["generation"].as_u64());
    assert_eq!(kept.get("/readyz").json()["status"], "degraded");
    logged_in(&kept);
}

#[test]
fn a_gateway_that_is_wrong_from_the_start_ends_it_with_diagnostics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, "apiVersion: sekisho.dev/v1alpha1\nkind: MailGateway\nmetadata: { name: g }\nspec: { listeners: [] }\n").unwrap();
    let output = Command::new(SEKISHO)
        .arg("up")
        .arg(&file)
        .arg("--state")
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("gateway.yaml:4:"), "{errors}");
    assert!(errors.contains("MailGateway/g"), "{errors}");
}

#[test]
fn a_port_that_is_taken_is_named_with_its_object_and_a_remedy() {
    let running = Running::start();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(SEKISHO)
        .arg("up")
        .arg(running.objects())
        .arg("--state")
        .arg(folder.path())
        .args(["--http", "127.0.0.1:0"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    let port = running.submission.port().to_string();
    assert!(
        errors.contains(&port) || errors.contains("demo relay"),
        "{errors}"
    );
    assert!(errors.contains("end what listens there"), "{errors}");
}

#[test]
fn a_second_process_does_not_take_the_state_folder() {
    let running = Running::start();
    let output = Command::new(SEKISHO)
        .arg("up")
        .arg(running.objects())
        .arg("--state")
        .arg(running.state())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("another sekisho uses the state folder"),
        "{errors}"
    );
}

#[test]
fn sigterm_lets_the_open_transaction_finish_and_ends_with_0() {
    let mut running = Running::start_with(&["--ledger-json", "-"]);
    let mut client = logged_in(&running);
    client.say("MAIL FROM:<alice@example.jp>", "250");
    client.say("RCPT TO:<hanako@example.net>", "250");
    client.say("DATA", "354");
    running.process.signal(Signal::TERM);
    running.process.wait_for_output("draining");
    let sent = client.ask("From: alice@example.jp\r\nSubject: last\r\n\r\nbody\r\n.");
    assert!(sent.starts_with("250"), "{sent}");
    client.expect("421");
    assert_eq!(running.process.wait().code(), Some(0));
    let output = running.process.output();
    let line = output
        .lines()
        .find(|line| line.starts_with('{') && line.contains(id_of(&sent)));
    assert!(
        line.is_some_and(|line| line.contains("\"delivered\"")),
        "{output}"
    );
}

#[test]
fn what_shows_people_is_not_for_names_that_somebody_else_controls() {
    let running = Running::start();
    for path in [
        "/",
        "/v1/config",
        "/v1/records?account=alice@example.jp",
        "/v1/overview",
        "/demo/messages",
    ] {
        assert_eq!(running.get(path).status, 200, "{path}");
        assert_eq!(
            http::get_with(running.http, path, &["Host: evil.example"]).status,
            403,
            "{path}"
        );
    }
    let page = running.get("/");
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    assert!(
        page.body.contains("RateLimit/default/per-account"),
        "{}",
        page.body
    );
    let lost = running.get("/nowhere");
    assert_eq!(
        (lost.status, lost.header("content-type")),
        (404, Some("application/problem+json"))
    );
}

#[test]
fn a_token_opens_what_a_token_file_closes() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "correct-horse-battery\n").unwrap();
    let running = Running::start_with(&["--http-token-file", token.to_str().unwrap()]);
    assert_eq!(running.get("/v1/config").status, 401);
    assert_eq!(running.get("/metrics").status, 200);
    let shown = ["Authorization: Bearer correct-horse-battery"];
    assert_eq!(
        http::get_with(running.http, "/v1/config", &shown).status,
        200
    );
}
