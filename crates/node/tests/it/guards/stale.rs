//! A program in an office that goes on with an old password, shown or hidden, locks out neither the office nor its own account elsewhere.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fleet::{Fleet, Session, guard, per_account, per_pair, per_source};

const OFFICE: &str = "203.0.113.5";
const STALE: &str = "printer@example.jp";

fn strict() -> Value {
    guard(json!({
        "perAccount": per_account(3),
        "perSource": per_source(3, 3),
        "perAccountAndSource": per_pair(10),
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_password_that_is_shown_is_one() {
    let Some(fleet) = Fleet::start(4, &strict(), |_, _| {}).await else {
        return;
    };
    let mut told = Vec::new();
    for attempt in 0..40 {
        let reply = fleet.log_in(attempt % 4, OFFICE, STALE, "old").await;
        told.push(reply[..3].to_owned());
        if attempt % 10 == 5 {
            let colleague = format!("colleague{attempt}@example.jp");
            assert_eq!(fleet.everywhere(OFFICE, &colleague, "right").await, "235");
            // Nowhere twice: from a network that is known to be good it would get in anyway.
            let elsewhere = format!("192.0.{attempt}.9");
            assert_eq!(fleet.everywhere(&elsewhere, STALE, "right").await, "235");
        }
    }
    // Its own pair of account and source is locked; that is all.
    assert_eq!(told[..10], ["535"; 10]);
    assert_eq!(told[10..], ["454"; 30]);
    assert_eq!(fleet.backend.guesses()[STALE], 1);
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
}

/// An accounts file with cheap hashes of "password", and verifiers that nobody's proof fits.
pub(super) fn accounts(names: &[&str]) -> String {
    const HASH: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    let line = |(at, name): (usize, &&str)| {
        let octet = u8::try_from(at).unwrap();
        let salt = STANDARD.encode([octet; 16]);
        let key = STANDARD.encode([octet; 32]);
        format!("{name}:{HASH} SCRAM-SHA-256$4096:{salt}${key}:{key}\n")
    };
    names.iter().enumerate().map(line).collect()
}

pub(super) fn with_accounts_file(world: &crate::world::World, body: &mut Value, names: &[&str]) {
    let file = world.path("accounts");
    fs::write(&file, accounts(names)).unwrap();
    body["gateway"]["authentication"] = json!({
        "requirement": "Required", "backends": [{ "accountsFile": file }],
        "mechanisms": ["PLAIN", "SCRAM-SHA-256"]
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_password_that_is_hidden_is_one() {
    let names = [
        STALE,
        "a@example.jp",
        "b@example.jp",
        "c@example.jp",
        "d@example.jp",
    ];
    let edit = |world: &_, body: &mut _| with_accounts_file(world, body, &names);
    let Some(fleet) = Fleet::start(4, &strict(), edit).await else {
        return;
    };
    let mut told = Vec::new();
    for attempt in 0..40 {
        let mut session: Session = fleet.session(attempt % 4, OFFICE).await;
        told.push(session.scram(STALE).await.1[..3].to_owned());
        if attempt % 10 == 5 {
            let (colleague, elsewhere) = (names[1 + attempt / 10], format!("192.0.{attempt}.9"));
            assert_eq!(fleet.everywhere(OFFICE, colleague, "password").await, "235");
            assert_eq!(fleet.everywhere(&elsewhere, STALE, "password").await, "235");
        }
    }
    assert_eq!(told[..10], ["535"; 10]);
    assert_eq!(told[10..], ["454"; 30]);
    // Who hides passwords and comes from three places is not stale.
    for place in ["198.18.0.1", "198.18.0.2"] {
        let mut session = fleet.session(0, place).await;
        assert!(session.scram(STALE).await.1.starts_with("535 "));
    }
    assert_eq!(
        fleet.everywhere("198.51.100.1", STALE, "password").await,
        "454"
    );
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
}
