//! From bounces to a restricted account, to a desk that hears of it, to an account that begins anew.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use sekisho_testkit::{Desk, ask_http, wait_until};
use serde_json::{Value, json};

use crate::client::{Client, id_of};
use crate::running::Running;

fn ask(address: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    ask_http(address, (method, path), None, body)
}

/// Has Bob send a message to three people, and says which it was.
fn sent(bob: &mut Client) -> String {
    bob.say("MAIL FROM:<bob@example.jp>", "250");
    for to in ["a", "b", "c"] {
        bob.say(&format!("RCPT TO:<{to}@example.org>"), "250");
    }
    bob.say("DATA", "354");
    let reply = bob.ask("From: bob@example.jp\r\nSubject: hello\r\n\r\nbody\r\n.");
    assert!(reply.starts_with("250"), "{reply}");
    id_of(&reply).to_owned()
}

fn bounces(running: &Running, id: &str, count: usize, status: &str) -> Value {
    let one = json!({ "status": status, "id": id });
    let body = json!({ "bounces": vec![one; count] });
    let (code, told) = ask(running.http, "POST", "/v1/bounces", &body);
    assert_eq!(code, 200, "{told}");
    told
}

fn points(running: &Running) -> Value {
    let answer = running.get("/v1/accounts/bob@example.jp/points");
    let of = |rule: &&Value| rule["rule"]["name"] == "bounced";
    let answer = answer.json();
    answer["rules"]
        .as_array()
        .unwrap()
        .iter()
        .find(of)
        .unwrap()
        .clone()
}

fn levels(running: &Running) -> Vec<String> {
    let shown = running.get("/v1/accounts/bob@example.jp").json();
    let restrictions = shown["restrictions"].as_array().unwrap().iter();
    restrictions
        .map(|each| each["level"].as_str().unwrap().to_owned())
        .collect()
}

fn write_objects(objects: &Path, desk: SocketAddr) {
    let rule = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: AbuseRule
metadata: {{ name: bounced }}
spec:
  targetRefs: [{{ name: outbound }}]
  signals: [{{ signal: UnknownRecipients, count: 3, per: 1h, points: 60 }}]
  ladder: [{{ at: 60, restrict: {{ level: Suspend }}, notify: [{{ name: desk }}] }}]
---
apiVersion: sekisho.dev/v1alpha1
kind: NotificationChannel
metadata: {{ name: desk }}
spec: {{ type: Webhook, url: \"http://{desk}/heard?here=yes\", secretRef: {{ name: desk }} }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: desk }}
stringData: {{ secret: hush-hush }}
"
    );
    fs::write(objects.join("bounced.yaml"), rule).unwrap();
}

#[test]
fn bounces_suspend_the_desk_hears_of_it_and_a_release_is_a_new_beginning() {
    let desk = Desk::open();
    // A desk that moved is a desk that did not hear.
    desk.answers_first("307 Moved\r\nLocation: http://127.0.0.1:1/");
    let running = Running::start_changed(&[], |objects| write_objects(objects, desk.address()));
    let mut bob = Client::secure(running.submission);
    let reply = bob.log_in("bob@example.jp", "asa-no-minato");
    assert!(reply.starts_with("235"), "{reply}");
    let (one, other) = (sent(&mut bob), sent(&mut bob));
    let refused = bob.ask("MAIL FROM:<alice@example.jp>");
    running.explained(id_of(&refused));
    running.explained(&other);
    let bounces = |id: &str, count: usize, status: &str| bounces(&running, id, count, status);
    assert_eq!(bounces(&one, 2, "5.1.1")["counted"], 2);
    assert_eq!(bounces(&one, 9, "5.2.2")["other"], 9);
    assert_eq!(
        bounces(id_of(&refused), 3, "5.1.1")["strange"],
        3,
        "it never left"
    );
    assert_eq!(levels(&running), [""; 0]);
    let told = bounces(&one, 7, "5.1.10");
    assert_eq!(
        (&told["counted"], &told["known"]),
        (&json!(1), &json!(6)),
        "it went to three"
    );
    wait_until("bob is suspended", || {
        (levels(&running) == ["Suspend"]).then_some(())
    });
    let held = points(&running);
    assert_eq!(
        (&held["score"], &held["awards"][0]["signal"]),
        (&json!(60), &json!("UnknownRecipients"))
    );

    let (moved, heard) = (desk.next(), desk.next());
    let head = &heard.head;
    assert!(head.starts_with("POST /heard?here=yes HTTP/1.1"), "{head}");
    assert_eq!(moved.body, heard.body, "the same message");
    let key = "idempotency-key";
    assert_eq!(moved.field(key), heard.field(key));
    assert!(heard.is_signed_by(b"hush-hush"), "{head}");
    assert!(!head.contains("hush-hush"));
    let first = heard.body;
    assert_eq!(first["account"], "bob@example.jp");
    assert_eq!(first["restriction"]["level"], "Suspend");
    assert_eq!(
        first["restriction"]["why"],
        "60 points: UnknownRecipients 60"
    );

    // Whoever is released begins anew: what was counted before is forgotten.
    let path = "/v1/accounts/bob@example.jp/restrictions?who=hanako&why=new%20password";
    let (code, _) = ask(running.http, "DELETE", path, &Value::Null);
    assert_eq!(code, 200);
    wait_until("the points are gone", || {
        (points(&running)["score"] == 0).then_some(())
    });
    assert_eq!(bounces(&one, 3, "5.1.1")["known"], 3, "of the same message");
    bounces(&other, 2, "5.1.1");
    assert_eq!(levels(&running), [""; 0]);
    bounces(&other, 1, "5.1.1");
    wait_until("bob is suspended anew", || {
        (levels(&running) == ["Suspend"]).then_some(())
    });
    let anew = desk.next().body;
    assert_ne!(anew["id"], first["id"]);

    // It survives a restart, and is not told again.
    let running = running.restart();
    assert_eq!(levels(&running), ["Suspend"]);
    assert!(desk.has_heard_no_more());
}

#[test]
fn what_is_no_bounce_is_refused_in_words() {
    let running = Running::start();
    for (body, said) in [
        (
            json!({ "bounces": [{ "status": "five" }] }),
            "three numbers",
        ),
        (json!({ "bounces": [{ "status": "5.1.1" }] }), "`id`"),
        (
            json!({ "bounces": [{ "status": "5.1.1", "account": "a@example.jp" }] }),
            "`gateway`",
        ),
        (
            json!({ "bounces": [{ "status": "5.1.1", "account": "a@example.jp", "gateway": "default/outbound" }] }),
            "--http-token-file",
        ),
        (
            json!({ "bounces": [{ "status": "5.1.1", "account": "a", "id": "7Q2M-X4K9-0B3T" }] }),
            "leave out",
        ),
        (
            json!({ "bounces": [{ "status": "5.1.1", "id": "x" }] }),
            "decision id",
        ),
        (
            json!({ "bounces": vec![json!({ "status": "5.1.1", "account": "a" }); 1001] }),
            "1000",
        ),
    ] {
        let (code, problem) = ask(running.http, "POST", "/v1/bounces", &body);
        assert!((400..500).contains(&code), "{problem}");
        assert!(problem.to_string().contains(said), "{problem}");
    }
    let strange = json!({ "bounces": [{ "status": "5.1.1", "id": "7Q2M-X4K9-0B3T" }] });
    assert_eq!(
        ask(running.http, "POST", "/v1/bounces", &strange).1["strange"],
        1
    );
}
