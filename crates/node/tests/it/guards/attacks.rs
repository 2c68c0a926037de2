//! What an attacker does who knows how guards count: everything at once, all in one write, from one network of many addresses, with an
//! account of their own in between, or half of an exchange and no more.

use std::sync::Arc;

use sekisho_testkit::PATIENCE;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::fleet::{Fleet, guard, per_account, per_pair, per_source, plain};

const PROXIES: usize = 8;
const PASSWORDS: usize = 5;

async fn fleet() -> Option<Arc<Fleet>> {
    let guard = guard(json!({
        "perAccount": per_account(PASSWORDS as u64),
        "perSource": per_source(4, 50),
        "perAccountAndSource": per_pair(10),
        "decoys": { "accounts": ["admin@example.jp"], "action": "LockSource" },
    }));
    Fleet::start(PROXIES, &guard, |_, _| {}).await.map(Arc::new)
}

/// Many log in at once, each from a source of its own and at the next proxy: what each was told. The backend answers nobody before all
/// have been let in or not.
async fn at_once(
    fleet: &Arc<Fleet>,
    let_in: usize,
    whom: &[(String, String, String)],
) -> Vec<String> {
    let before = fleet.backend.count();
    let mut refused = whom.len() - let_in;
    fleet.backend.hold();
    let mut attempts = JoinSet::new();
    for (at, (source, account, password)) in whom.iter().cloned().enumerate() {
        let fleet = fleet.clone();
        attempts.spawn(async move {
            let told = fleet
                .log_in(at % PROXIES, &source, &account, &password)
                .await;
            (at, told)
        });
    }
    let mut told = vec![String::new(); whom.len()];
    while refused > 0 {
        let (at, reply) = attempts.join_next().await.unwrap().unwrap();
        told[at] = reply;
        refused -= 1;
    }
    fleet.backend.wait_until_asked(before + let_in).await;
    assert_eq!(
        fleet.backend.count(),
        before + let_in,
        "no more were let in"
    );
    fleet.backend.release();
    for (at, reply) in attempts.join_all().await {
        told[at] = reply;
    }
    told
}

fn count(told: &[String], code: &str) -> usize {
    told.iter().filter(|told| told.starts_with(code)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn attempts_at_once_are_as_many_as_one_after_another() {
    let Some(fleet) = fleet().await else { return };
    let guess = |n: usize| {
        let source = format!("198.18.7.{n}");
        (source, "victim@example.jp".to_owned(), format!("guess-{n}"))
    };
    let mut whom: Vec<_> = (1..=63).map(guess).collect();
    whom.push((
        "198.18.8.1".to_owned(),
        "victim@example.jp".to_owned(),
        "right".to_owned(),
    ));
    // The right password is among them, and is one of those that are let in or not.
    let told = at_once(&fleet, PASSWORDS, &whom).await;
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
    assert!(fleet.backend.guesses()["victim@example.jp"] <= PASSWORDS);
    let learned = count(&told, "535") + count(&told, "235");
    assert!((1..=PASSWORDS).contains(&learned), "{told:?}");
    // An account that does not exist is told the same.
    let unknown: Vec<_> = whom
        .iter()
        .map(|(source, _, password)| {
            (
                source.replace("198.18", "198.19"),
                "nobody@example.jp".to_owned(),
                password.clone(),
            )
        })
        .collect();
    let told = at_once(&fleet, PASSWORDS, &unknown).await;
    assert!((1..=PASSWORDS).contains(&count(&told, "535")), "{told:?}");
    assert_eq!(count(&told, "454") + count(&told, "535"), 64, "{told:?}");
    // A program that opens many connections with one password is one attempt, and none once it was right.
    let mailer: Vec<_> = (0..24)
        .map(|_| {
            (
                "203.0.113.5".to_owned(),
                "mailer@example.jp".to_owned(),
                "right".to_owned(),
            )
        })
        .collect();
    assert_eq!(count(&at_once(&fleet, 24, &mailer).await, "235"), 24);
    for guess in 0..=PASSWORDS {
        let source = format!("198.18.9.{guess}");
        let password = format!("guess-{guess}");
        let told = fleet
            .log_in(guess, &source, "mailer@example.jp", &password)
            .await;
        let code = if guess < PASSWORDS { "535" } else { "454" };
        assert!(told.starts_with(code), "guess {guess}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_that_an_attacker_does_in_between_helps() {
    let Some(fleet) = fleet().await else { return };
    let fail = async |proxy, source: &str, account: &str| {
        let told = fleet.log_in(proxy, source, account, "wrong").await;
        told[..3].to_owned()
    };
    // An account of one's own in between does not begin the source's count anew.
    let own = "198.18.1.1";
    for (proxy, account) in ["a@x.jp", "b@x.jp", "c@x.jp"].into_iter().enumerate() {
        assert_eq!(fail(proxy, own, account).await, "535");
        assert_eq!(
            fleet.everywhere(own, "own@example.jp", "right").await,
            "235"
        );
    }
    assert_eq!(fail(3, own, "d@x.jp").await, "535");
    assert_eq!(fleet.everywhere(own, "e@x.jp", "right").await, "454");
    // From where its own account is known to be good it logs in there, and to no other.
    assert_eq!(
        fleet.everywhere(own, "own@example.jp", "right").await,
        "235"
    );
    // Other addresses of one /64 are the same source, the next /64 is not.
    for (proxy, host) in ["0:0:0:1", "0:0:0:2", "0:0:ffff:1", "a:b:c:d"]
        .into_iter()
        .enumerate()
    {
        let source = format!("2001:db8:1:2:{host}");
        assert_eq!(fail(proxy, &source, &format!("f{proxy}@x.jp")).await, "535");
    }
    assert_eq!(fail(5, "2001:db8:1:2::abcd", "g@x.jp").await, "454");
    assert_eq!(fail(5, "2001:db8:1:3::1", "g@x.jp").await, "535");
    // A decoy is touched once, and the lock holds already when the answer to that comes.
    assert_eq!(fail(6, "198.18.2.1", "admin@example.jp").await, "454");
    assert_eq!(
        fleet.everywhere("198.18.2.1", "h@x.jp", "right").await,
        "454"
    );
    assert_eq!(
        fleet.everywhere("198.18.2.2", "h@x.jp", "right").await,
        "235"
    );
    assert!(
        fleet.metric(
            "sekisho_abuse_detections_total{gateway=\"mail/outbound\",kind=\"decoy_account\"}"
        ) > 0
    );
    many_in_one_write(&fleet).await;
    half_an_exchange(&fleet).await;
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
}

/// Logins in one write: one that more comes along with is not looked at, and ends the session. One that comes last, behind other
/// commands, is an attempt as any other.
async fn many_in_one_write(fleet: &Fleet) {
    const AHEAD: &str = "pipelined@example.jp";
    const LAST: &str = "last-of-all@example.jp";
    let (mut wrong, mut locked) = (0, 0);
    for proxy in 0..PROXIES {
        let lines: Vec<_> = (0..20)
            .map(|n| plain(AHEAD, &format!("guess-{proxy}-{n}")) + "\r\n")
            .collect();
        let told = whole(fleet, proxy, &lines.concat()).await;
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.starts_with("503 5.5.1 "), "{told}");
        let guess = plain(LAST, &format!("guess-{proxy}"));
        let told = whole(fleet, proxy, &format!("NOOP\r\nRSET\r\n{guess}\r\n")).await;
        let replies: Vec<_> = told.lines().map(|line| &line[..3]).collect();
        match replies[..] {
            ["250", "250", "535"] => wrong += 1,
            ["250", "250", "454"] => locked += 1,
            _ => panic!("{told}"),
        }
    }
    let guesses = fleet.backend.guesses();
    assert_eq!(guesses.get(AHEAD), None, "nobody looked at them");
    assert_eq!(guesses.get(LAST), Some(&PASSWORDS));
    assert_eq!((wrong, locked), (PASSWORDS, PROXIES - PASSWORDS));
}

/// All that a session is told that sends this in one write, and then nothing.
async fn whole(fleet: &Fleet, proxy: usize, lines: &str) -> String {
    let session = fleet.session(proxy, "198.18.3.1").await;
    let mut wire = session.0.into_stream();
    wire.write_all(lines.as_bytes()).await.unwrap();
    wire.shutdown().await.unwrap();
    let mut told = Vec::new();
    let heard = timeout(PATIENCE, wire.read_to_end(&mut told)).await;
    assert!(heard.is_ok(), "the session goes on and on");
    String::from_utf8(told).unwrap()
}

/// What is cancelled before a password was shown is no attempt, and was none.
async fn half_an_exchange(fleet: &Fleet) {
    let before = fleet.backend.count();
    for proxy in 0..PROXIES {
        let mut session = fleet.session(proxy, "198.18.4.1").await;
        for _ in 0..PASSWORDS {
            session.0.ask("AUTH PLAIN", 334).await;
            session.0.ask("*", 501).await;
        }
    }
    assert_eq!(fleet.backend.count(), before);
    assert_eq!(
        fleet.everywhere("198.18.4.1", "i@x.jp", "right").await,
        "235"
    );
}
