//! `sekisho account settings` against a running process: an account asks for it and is not logged in to from abroad any more; a hundred
//! thousand are changed at once, after a dry run that said how many.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::thread;

use serde_json::{Value, json};

use crate::client::{Client, id_of};
use crate::http;
use crate::running::{Running, edit, sekisho};

const ALICE: &str = "Alice@example.jp";
const PASSWORD: &str = "kumo-no-mukou";

/// The quickstart, where clients of unknown countries are abroad: those of this machine are.
fn start() -> Running {
    Running::start_changed(&[], |objects| {
        edit(
            objects,
            "country.yaml",
            "from: { abroad: {} }\n  exempt: { reverseNames: [.google.com, .outlook.com] }\n  appliesTo",
            "from: { unknown: {} }\n  appliesTo",
        );
    })
}

fn settings(running: &Running, arguments: &[&str]) -> Output {
    let url = format!("http://{}", running.http);
    sekisho(&[&["account", "settings"], arguments, &["--url", &url]].concat())
}

/// What it prints, if it does it.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn refused(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn log_in(running: &Running, password: &str) -> (String, Client) {
    let mut client = Client::secure(running.submission);
    (client.log_in("alice@example.jp", password), client)
}

/// Logs in until it is answered like this: a setting is known within a second, and a login takes half of one at most.
fn soon(running: &Running, begins: &str) -> String {
    let began = tokio::time::Instant::now();
    loop {
        let (reply, _) = log_in(running, PASSWORD);
        let took = began.elapsed();
        if reply.starts_with(begins) {
            assert!(took.as_millis() < 1_500, "{took:?}");
            return reply;
        }
        assert!(took.as_secs() < 10, "{reply}");
    }
}

#[test]
fn an_account_that_asks_for_it_is_not_logged_in_to_from_abroad() {
    let running = start();
    assert!(said(&settings(&running, &["show", ALICE])).contains("nothing is set"));
    let (reply, mut open) = log_in(&running, PASSWORD);
    assert!(reply.starts_with("235"), "{reply}");
    let refuse = [
        "set",
        ALICE,
        "--logins-from-abroad",
        "Refuse",
        "--chosen-by",
        "Account",
    ];
    let set = said(&settings(
        &running,
        &[&refuse[..], &["--why", "by telephone"]].concat(),
    ));
    assert!(
        set.contains("loginsFromAbroad  Refuse  (its own choice)"),
        "{set}"
    );
    let reply = soon(&running, "535 5.7.8");
    // Whoever tries learns nothing of the account, and the desk learns all.
    let words = |reply: &str| reply.rsplit_once(' ').unwrap().0.to_owned();
    assert_eq!(words(&reply), words(&log_in(&running, "another").0));
    let why = running.explained(id_of(&reply));
    assert!(why.contains("its settings say Refuse"), "{why}");
    assert!(
        why.contains("the account's settings: loginsFromAbroad Refuse"),
        "{why}"
    );
    open.say("MAIL FROM:<alice@example.jp>", "550 5.7.1");
    // All at once leaves alone what she chose.
    let all = ["bulk", "--logins-from-abroad", "Allow", "--why", "a test"];
    assert_eq!(said(&settings(&running, &all)), "0 of 1 accounts changed\n");
    // A limit that no rule goes by is taken, and whoever sets it is told.
    let typo = ["--limit", "per-acount:Recipients/1h=5", "--why", "a test"];
    let set = said(&settings(
        &running,
        &[&["set", "bob@example.jp"], &typo[..]].concat(),
    ));
    let nothing = "warning: Recipients in 1h of per-acount does nothing: the gateways here have no such RateLimit";
    assert!(
        set.contains(nothing) && set.contains("per-account"),
        "{set}"
    );
    let all = said(&settings(
        &running,
        &[&["bulk"], &typo[..], &["--dry-run"]].concat(),
    ));
    assert!(all.contains(nothing), "{all}");
    let running = running.restart();
    assert!(log_in(&running, PASSWORD).0.starts_with("535 5.7.8"));
    let history = said(&settings(&running, &["history", ALICE]));
    assert!(history.contains("by telephone"), "{history}");
    let reset = said(&settings(&running, &["reset", ALICE, "--why", "back home"]));
    assert!(reset.contains("nothing is set"), "{reset}");
    soon(&running, "235");
}

#[test]
fn a_hundred_thousand_are_changed_after_a_dry_run_that_says_how_many() {
    let running = start();
    let own = [
        "set",
        "user00007@example.jp",
        "--logins-from-abroad",
        "Allow",
        "--chosen-by",
        "Account",
    ];
    said(&settings(
        &running,
        &[&own[..], &["--why", "a test"]].concat(),
    ));
    let mut list = String::new();
    for at in 0..100_000 {
        writeln!(list, "User{at:05}@Example.JP").unwrap();
    }
    let file = running.objects().join("customers.txt");
    fs::write(&file, list).unwrap();
    let file = file.to_str().unwrap();
    let import = [
        "import",
        file,
        "--logins-from-abroad",
        "Refuse",
        "--why",
        "announced in May",
    ];
    let dry = said(&settings(&running, &[&import[..], &["--dry-run"]].concat()));
    assert_eq!(dry, "99999 of 100000 accounts would change\n");
    let other = said(&settings(&running, &["show", "user00008@example.jp"]));
    assert!(other.contains("nothing is set"), "{other}");
    assert_eq!(
        said(&settings(&running, &import)),
        "99999 of 100000 accounts changed\n"
    );
    assert_eq!(
        said(&settings(&running, &import)),
        "0 of 100000 accounts changed\n"
    );
    let shown = |name: &str| -> Value {
        serde_json::from_str(&said(&settings(
            &running,
            &["show", name, "--format", "json"],
        )))
        .unwrap()
    };
    assert_eq!(
        shown("USER99999@example.jp")["settings"],
        json!({ "loginsFromAbroad": "Refuse" })
    );
    assert_eq!(
        shown("user00007@example.jp")["settings"],
        json!({ "loginsFromAbroad": "Allow" })
    );
    let jobs = said(&settings(&running, &["jobs"]));
    assert_eq!(jobs.lines().count(), 15, "{jobs}");
    let metrics = running.get("/metrics").body;
    assert!(
        metrics.contains("sekisho_account_settings 100000"),
        "every one is known to the gateway"
    );
}

#[test]
fn mistakes_change_nothing_and_are_named() {
    let running = start();
    let file = running.objects().join("customers.txt");
    fs::write(
        &file,
        "a@example.jp\n{\"account\":\"b\",\"settings\":{\"login\":1}}\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let error = refused(&settings(
        &running,
        &[
            "import",
            file,
            "--logins-from-abroad",
            "Allow",
            "--why",
            "x",
        ],
    ));
    assert!(
        error.contains("line 2") && error.contains("unknown field `login`"),
        "{error}"
    );
    let error = refused(&settings(&running, &["set", ALICE, "--why", "x"]));
    assert!(error.contains("--logins-from-abroad"), "{error}");
    let error = refused(&settings(
        &running,
        &[
            "set",
            ALICE,
            "--limit",
            "per-account:Recipients=5",
            "--why",
            "x",
        ],
    ));
    assert!(error.contains("RULE:UNIT/PER=COUNT"), "{error}");
    let path = "/v1/accounts/alice@example.jp/settings";
    for (method, path, kind, body, status) in [
        (
            "PUT",
            path,
            "text/plain",
            r#"{"settings":{},"who":"a","why":"b"}"#,
            415,
        ),
        (
            "PUT",
            path,
            "application/json",
            r#"{"settings":{"x":1},"who":"a","why":"b"}"#,
            422,
        ),
        (
            "PUT",
            path,
            "application/json",
            r#"{"settings":{},"who":"","why":"b"}"#,
            400,
        ),
        (
            "PATCH",
            path,
            "application/json",
            r#"{"settings":{"limits":[{"rule":"A","unit":"Bytes","per":1000,"count":1}]},"who":"a","why":"b"}"#,
            400,
        ),
        ("DELETE", path, "text/plain", "", 400),
        (
            "POST",
            "/v1/settings/bulk?who=a&why=b",
            "text/plain",
            "x",
            415,
        ),
        (
            "POST",
            "/v1/settings/bulk?who=a&why=b",
            "application/x-ndjson",
            "x",
            400,
        ),
        (
            "POST",
            "/v1/settings/bulk?who=a&why=b&namespace=..",
            "application/x-ndjson",
            "x",
            400,
        ),
        (
            "POST",
            "/v1/settings/bulk",
            "application/json",
            r#"{"settings":{},"who":"a","why":"b"}"#,
            400,
        ),
        ("GET", "/v1/settings/bulk/7", "text/plain", "", 404),
        ("DELETE", "/v1/settings/bulk/x", "text/plain", "", 404),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nContent-Type: {kind}");
        assert_eq!(
            super::account::request(running.http, &head, body),
            status,
            "{method} {path} {body}"
        );
    }
    let history = http::get(running.http, &format!("{path}/history")).json();
    assert_eq!(history["history"], json!([]));
    let jobs = http::get(running.http, "/v1/settings/bulk").json();
    assert_eq!(jobs["jobs"], json!([]));
}

/// The first line of a request, and how many lines its body has.
fn request(stream: &TcpStream) -> (String, usize) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        head.push(line.to_ascii_lowercase());
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |length| length.trim().parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let lines = body.iter().filter(|&&octet| octet == b'\n').count();
    (head.swap_remove(0), lines)
}

/// All parts of an import are with the server before the first has to be over: they go on whatever becomes of whoever sent them.
#[test]
fn all_parts_are_sent_before_the_first_is_over() {
    const PARTS: usize = 3;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut sent, mut asked) = (Vec::new(), 0);
        while asked < PARTS {
            let mut stream = listener.accept().unwrap().0;
            let (line, lines) = request(&stream);
            let state = if line.starts_with("post") {
                sent.push(lines);
                "Running"
            } else {
                asked += 1;
                if sent.len() == PARTS {
                    "Done"
                } else {
                    "Failed"
                }
            };
            let job = json!({ "id": sent.len(), "who": "a", "why": "b", "state": state, "dryRun": false,
                "total": 20_000, "done": 20_000, "changed": 20_000, "trouble": "not all were sent" });
            let body = job.to_string();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
        sent
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("customers.txt");
    let list: String = (0..50_000).map(|at| format!("user{at}\n")).collect();
    fs::write(&file, list).unwrap();
    let words = ["--logins-from-abroad", "Refuse", "--why", "a test", "--url"];
    let import = [
        &["account", "settings", "import", file.to_str().unwrap()][..],
        &words,
        &[&url],
    ];
    let output = sekisho(&import.concat());
    assert_eq!(said(&output), "60000 of 60000 accounts changed\n");
    assert_eq!(server.join().unwrap(), [20_000, 20_000, 10_000]);
}
