//! `sekisho account` against a running process: a person restricts an account, and the sessions that are open hear of it.

use std::net::SocketAddr;
use std::process::Output;

use sekisho_testkit::wait_until;
use serde_json::Value;

use crate::client::Client;
use crate::http;
use crate::running::{Running, edit, sekisho};

fn account(running: &Running, arguments: &[&str]) -> Output {
    let url = format!("http://{}", running.http);
    sekisho(&[&["account"], arguments, &["--url", &url]].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn request(address: SocketAddr, head: &str, body: &str) -> u16 {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{head}\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn logged_in(running: &Running) -> Client {
    let mut client = Client::secure(running.submission);
    let reply = client.log_in("alice@example.jp", "kumo-no-mukou");
    assert!(reply.starts_with("235"), "{reply}");
    client
}

/// Asks again until it is answered like this, which takes no longer than a second.
fn soon(client: &mut Client, line: &str, begins: &str) -> String {
    let began = tokio::time::Instant::now();
    loop {
        let reply = client.ask(line);
        client.say("RSET", "250");
        if reply.starts_with(begins) {
            assert!(began.elapsed().as_millis() < 1_000, "{:?}", began.elapsed());
            return reply;
        }
        assert!(began.elapsed().as_secs() < 10, "{reply}");
    }
}

const MAIL: &str = "MAIL FROM:<alice@example.jp>";
const ALICE: &str = "Alice@example.jp";

#[test]
fn people_suspend_and_release_an_account_in_open_sessions_and_over_a_restart() {
    let running = Running::start();
    let mut client = logged_in(&running);
    client.say(MAIL, "250");
    client.say("RSET", "250");
    let nothing = account(&running, &["show", ALICE]);
    assert_eq!(text(&nothing), "alice@example.jp: nothing restricts it\n");
    let words = ["--level", "suspend", "--for", "6h", "--why", "ticket 4711"];
    let restricted = account(&running, &[&["restrict", ALICE], &words[..]].concat());
    assert!(restricted.status.success(), "{restricted:?}");
    for part in [
        "alice@example.jp: Suspend",
        "by Desk",
        "ticket 4711",
        "until 20",
    ] {
        assert!(text(&restricted).contains(part), "{}", text(&restricted));
    }
    let refused = soon(
        &mut client,
        MAIL,
        "550 5.7.1 This account may not send mail",
    );
    let explained = running.explained(crate::client::id_of(&refused));
    assert!(
        explained.contains("Suspend by Desk for another 6h: ticket 4711"),
        "{explained}"
    );

    let running = running.restart();
    let mut client = logged_in(&running);
    assert!(
        client.ask(MAIL).starts_with("550 5.7.1 "),
        "at once, before anybody is asked"
    );
    let json: Value =
        serde_json::from_slice(&account(&running, &["show", ALICE, "--format", "json"]).stdout)
            .unwrap();
    assert_eq!(json["standing"]["worst"]["level"], "Suspend");
    let state = running.state();
    let would = [
        "--state",
        state.to_str().unwrap(),
        "--source",
        "192.0.2.1",
        "--rcpt",
        "x@example.net",
    ];
    let asked = sekisho(&[&["explain", "--account", ALICE], &would[..]].concat());
    assert!(text(&asked).contains("Suspend by Desk"), "{}", text(&asked));
    let elsewhere = account(&running, &["show", ALICE, "--namespace", "other"]);
    let warned = String::from_utf8_lossy(&elsewhere.stderr);
    assert!(
        warned.contains("no gateway of the namespace other"),
        "{warned}"
    );
    assert!(nothing.stderr.is_empty(), "{nothing:?}");
    assert!(text(&elsewhere).contains("nothing restricts it"));

    let released = account(&running, &["release", ALICE, "--why", "new password"]);
    let said = text(&released);
    let (first, second) = said.split_once('\n').unwrap();
    assert_eq!(first, "released from Suspend by Desk");
    assert!(second.contains("is not known to be good"), "{second}");
    soon(&mut client, MAIL, "250");
    let again = account(&running, &["release", ALICE, "--why", "new password"]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(
        text(&again).contains("is released all the same"),
        "{again:?}"
    );
    let history = text(&account(&running, &["history", ALICE]));
    let lines: Vec<_> = history.lines().collect();
    assert_eq!(lines.len(), 6, "{history}");
    assert!(
        lines[0].contains("Released    nothing restricted it, by "),
        "{history}"
    );
    assert!(
        lines[2].contains("Released    Suspend") && lines[3].contains("new password"),
        "{history}"
    );
    assert!(
        lines[4].contains("Restricted") && lines[5].contains("ticket 4711"),
        "{history}"
    );
}

#[test]
fn the_desk_ends_a_lock_and_says_since_when_networks_are_a_thiefs() {
    let running = Running::start_changed(&[], |objects| {
        let guard = "guard.yaml";
        edit(
            objects,
            guard,
            "distinctPasswords: 10",
            "distinctPasswords: 2",
        );
        // Everybody here comes from one source.
        let pair = "  perAccountAndSource: { failures: 10, per: 15m, lock: 15m }\n";
        edit(objects, guard, pair, "");
    });
    let log_in = |password| {
        let mut client = Client::secure(running.submission);
        client.log_in("alice@example.jp", password)
    };
    for wrong in ["one", "two"] {
        let reply = log_in(wrong);
        assert!(reply.starts_with("535"), "{reply}");
    }
    let locked = log_in("kumo-no-mukou");
    assert!(locked.starts_with("454"), "{locked}");
    let why = ["--why", "her new telephone"];
    let released = account(&running, &[&["release", ALICE], &why[..]].concat());
    // Nothing restricted it; who keeps restrictions does not know of locks.
    assert_eq!(released.status.code(), Some(2), "{released:?}");
    assert!(text(&released).contains("its lock ends"), "{released:?}");
    assert!(!text(&released).contains("known to be good"));
    wait_until("the lock is over", || {
        log_in("kumo-no-mukou").starts_with("235").then_some(())
    });
    let since = ["--since", "48h"];
    let released = account(&running, &[&["release", ALICE], &why[..], &since].concat());
    assert!(
        text(&released).contains("is not known to be good"),
        "{released:?}"
    );
    let path = "DELETE /v1/accounts/alice@example.jp/restrictions?who=me&why=x";
    for query in ["&since=34560000001", "&since=x", "&since=1&origin=Desk"] {
        let head = format!("{path}{query} HTTP/1.1");
        assert_eq!(request(running.http, &head, ""), 400, "{query}");
    }
}

#[test]
fn what_next_hops_called_the_messages_is_listed() {
    let running = Running::start();
    // What is printed goes to commands that delete, or to a parser.
    for (format, printed) in [
        (&["--ids"][..], ""),
        (&[], ""),
        (&["--format", "json"], "{\n  \"messages\": []\n}\n"),
    ] {
        let none = account(&running, &[&["queued", ALICE], format].concat());
        assert_eq!(none.status.code(), Some(2), "{none:?}");
        assert_eq!(text(&none), printed);
        let said = String::from_utf8_lossy(&none.stderr);
        assert!(said.contains("no next hop took"), "{said}");
    }
    let mut client = logged_in(&running);
    let mut records = Vec::new();
    for n in 0..3 {
        let reply = client.send(
            "alice@example.jp",
            "hanako@example.net",
            &format!("lunch {n}"),
        );
        assert!(reply.starts_with("250"), "{reply}");
        records.push(crate::client::id_of(&reply).to_owned());
    }
    for record in &records {
        running.explained(record);
    }
    let arrived = running.arrived();
    let mut ids: Vec<_> = arrived
        .iter()
        .map(|m| m["queueId"].as_str().unwrap().to_owned())
        .collect();
    ids.reverse();
    let listed = text(&account(&running, &["queued", ALICE, "--ids"]));
    assert_eq!(listed.lines().collect::<Vec<_>>(), ids);
    let table = text(&account(&running, &["queued", ALICE]));
    assert!(
        records.iter().chain(&ids).all(|word| table.contains(word)),
        "{table}"
    );
    for nowhere in [["--hop", "spam-pool"], ["--namespace", "other"]] {
        let other = account(&running, &[&["queued", ALICE], &nowhere[..]].concat());
        assert_eq!(other.status.code(), Some(2), "{other:?}");
    }
    let json: Value =
        serde_json::from_slice(&account(&running, &["queued", ALICE, "--format", "json"]).stdout)
            .unwrap();
    assert_eq!(json["messages"][0]["queueId"], ids[0].as_str());
}

#[test]
fn requests_that_say_too_little_or_come_from_elsewhere_change_nothing() {
    let running = Running::start();
    let path = "/v1/accounts/alice@example.jp/restrictions";
    let post = |kind: &str, body: &str| {
        request(
            running.http,
            &format!("POST {path} HTTP/1.1\r\nContent-Type: {kind}"),
            body,
        )
    };
    let good = r#"{"level":"Watch","who":"hanako","why":"a test"}"#;
    // A page elsewhere can make a browser send this without asking for permission first.
    assert_eq!(post("text/plain", good), 415);
    for (body, status) in [
        ("{", 400),
        (r#"{"level":"Watch","who":"","why":"a test"}"#, 400),
        (r#"{"level":"Watch","who":"hanako","why":" "}"#, 400),
        (r#"{"level":"Ban","who":"hanako","why":"a test"}"#, 422),
        (
            r#"{"level":"Watch","who":"hanako","why":"a test","more":1}"#,
            422,
        ),
        (
            r#"{"level":"Watch","for":0,"who":"hanako","why":"a test"}"#,
            400,
        ),
        (
            r#"{"level":"Watch","recipientsPerHour":5,"who":"hanako","why":"a test"}"#,
            400,
        ),
        (
            r#"{"level":"Limit","recipientsPerHour":0,"who":"hanako","why":"a test"}"#,
            400,
        ),
    ] {
        assert_eq!(post("application/json", body), status, "{body}");
    }
    for (query, status) in [
        ("", 400),
        ("?who=hanako", 400),
        ("?who=hanako&why=a&origin=nobody", 400),
        ("?who=hanako&why=a&namespace=..", 400),
    ] {
        let head = format!("DELETE {path}{query} HTTP/1.1");
        assert_eq!(request(running.http, &head, ""), status, "{query}");
    }
    let history = http::get(running.http, "/v1/accounts/alice@example.jp/history").json();
    assert_eq!(history["history"], serde_json::json!([]));
    // A release counts though nothing stands: what was found before it may be on its way.
    let head = format!("DELETE {path}?who=hanako&why=a HTTP/1.1");
    assert_eq!(request(running.http, &head, ""), 200);
    assert_eq!(post("application/json", good), 200);
}
