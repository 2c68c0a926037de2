//! Stolen passwords, tried from 500 sources at eight proxies: by account and by source no more of them are looked at than the guard admits
//! for the whole fleet, and those whose accounts they are go on logging in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fleet::{Fleet, guard, per_account, per_pair, per_source};

const PROXIES: usize = 8;
/// Distinct wrong passwords that lock an account, and accounts that lock a source.
const PASSWORDS: usize = 5;
const ACCOUNTS: usize = 4;
/// Accounts that are guessed at; every third does not exist.
const VICTIMS: usize = 60;
/// Those whose owners are at work meanwhile.
const OWNERS: usize = 6;
/// Sources that guess at them, and how often each.
const GUESSERS: usize = 400;
const GUESSES: usize = 6;
/// Sources that try one password of each of many accounts, and how many.
const SPRAYERS: usize = 100;
const SPRAYS: usize = 8;

fn victim(number: usize) -> String {
    let kind = if number % 3 == 2 { "no" } else { "victim" };
    format!("{kind}{number}@example.jp")
}

/// Every other source is an IPv6 network of its own.
fn source(number: usize) -> String {
    if number.is_multiple_of(2) {
        format!("198.18.{}.{}", number / 200, 1 + number % 200)
    } else {
        format!("2001:db8:{number:x}::{number:x}")
    }
}

fn home(owner: usize) -> String {
    format!("203.0.113.{}", 10 + owner)
}

/// What one source tries: two in each session, each session at the next proxy.
async fn attack(fleet: Arc<Fleet>, number: usize) -> usize {
    let tries: Vec<(String, String)> = if number < GUESSERS {
        let whom = |n| victim((number * 7 + n * 13) % VICTIMS);
        (0..GUESSES)
            .map(|n| (whom(n), format!("guess-{number}-{n}")))
            .collect()
    } else {
        (0..SPRAYS)
            .map(|n| (format!("sprayed-{number}-{n}"), "Summer2026".to_owned()))
            .collect()
    };
    for (round, pair) in tries.chunks(2).enumerate() {
        let mut session = fleet
            .session((number + round) % PROXIES, &source(number))
            .await;
        for (account, password) in pair {
            let told = session.log_in(account, password).await;
            assert!(
                told.starts_with("535 ") || told.starts_with("454 "),
                "{told}"
            );
        }
    }
    tries.len()
}

/// The owners log in from home, at one proxy after the other, until the attack is over; how often.
async fn work(fleet: Arc<Fleet>, is_over: Arc<AtomicBool>) -> usize {
    let mut logins = 0;
    while !is_over.load(Ordering::Relaxed) || logins < PROXIES * OWNERS {
        let owner = logins % OWNERS;
        let account = victim(owner * 3);
        let told = fleet
            .log_in(logins / OWNERS % PROXIES, &home(owner), &account, "right")
            .await;
        assert!(told.starts_with("235 "), "{account} from home: {told}");
        logins += 1;
    }
    logins
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stuffing_run_is_caught_by_both_sides() {
    let guard = guard(json!({
        "perAccount": per_account(PASSWORDS as u64),
        "perSource": per_source(ACCOUNTS as u64, 50),
        "perAccountAndSource": per_pair(10),
    }));
    let Some(fleet) = Fleet::start(PROXIES, &guard, |_, _| {}).await else {
        return;
    };
    let fleet = Arc::new(fleet);
    for owner in 0..OWNERS {
        let told = fleet
            .log_in(owner, &home(owner), &victim(owner * 3), "right")
            .await;
        assert!(told.starts_with("235 "), "{told}");
    }
    let began = Instant::now();
    let (is_over, turns) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Semaphore::new(12)),
    );
    let working = tokio::spawn(work(fleet.clone(), is_over.clone()));
    let mut sources = JoinSet::new();
    for number in 0..GUESSERS + SPRAYERS {
        let (fleet, turns) = (fleet.clone(), turns.clone());
        sources.spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            attack(fleet, number).await
        });
    }
    let sent: usize = sources.join_all().await.into_iter().sum();
    let took = began.elapsed();
    is_over.store(true, Ordering::Relaxed);
    let logins = working.await.unwrap();
    check(&fleet, sent);
    let (accounts, sources) = locked(&fleet).await;
    eprintln!(
        "{accounts} of {VICTIMS} accounts and {sources} of {SPRAYERS} sources that sprayed are locked"
    );
    assert_eq!((accounts, sources), (VICTIMS, SPRAYERS));
    // No proxy tells the right password of a locked account, existing or not; its owner is not kept out, by any of them.
    for number in [0, 1, 2, 3, VICTIMS - 1] {
        let told = fleet
            .everywhere("192.0.2.77", &victim(number), "right")
            .await;
        assert_eq!(told, "454", "{}", victim(number));
    }
    assert_eq!(fleet.everywhere(&home(0), &victim(0), "right").await, "235");
    // A source that sprayed is out, whatever it tries and wherever; the one beside it is not.
    let sprayer = source(GUESSERS);
    assert_eq!(
        fleet.everywhere(&sprayer, "new@example.jp", "right").await,
        "454"
    );
    assert_eq!(
        fleet
            .everywhere("198.18.99.1", "new@example.jp", "right")
            .await,
        "235"
    );
    eprintln!(
        "{:.1} s; meanwhile owners logged in {logins} times",
        took.as_secs_f64()
    );
}

/// How many accounts of those that were guessed at, and how many sources of those that sprayed, are locked: asked at one proxy after the other.
async fn locked(fleet: &Fleet) -> (usize, usize) {
    let is_locked = async |at: usize, source: &str, account: &str| {
        let told = fleet.log_in(at % PROXIES, source, account, "right").await;
        usize::from(told.starts_with("454 "))
    };
    let (mut accounts, mut sources) = (0, 0);
    for number in 0..VICTIMS {
        accounts += is_locked(number, "192.0.2.78", &victim(number)).await;
    }
    for number in GUESSERS..GUESSERS + SPRAYERS {
        let account = format!("new{number}@example.jp");
        sources += is_locked(number, &source(number), &account).await;
    }
    (accounts, sources)
}

/// What reached the backend, against what the guard admits.
fn check(fleet: &Fleet, sent: usize) {
    let guesses = fleet.backend.guesses();
    let sources = fleet.backend.by_source();
    let bound = VICTIMS * PASSWORDS + SPRAYERS * ACCOUNTS;
    let reached: usize = guesses.values().sum();
    eprintln!(
        "{sent} guesses from {} sources at {PROXIES} proxies: {reached} reached the backend, the bound is {bound}",
        GUESSERS + SPRAYERS,
    );
    // A proxy whose question Redis did not answer in time would have counted alone, and admitted as much again.
    assert_eq!(fleet.ever_alone(), 0, "a machine too slow for this test");
    for kind in ["account_locked", "source_locked"] {
        let series =
            format!("sekisho_abuse_detections_total{{gateway=\"mail/outbound\",kind=\"{kind}\"}}");
        assert!(fleet.metric(&series) > 0, "{kind} is not seen");
    }
    assert!(reached <= bound, "{reached} of {bound}");
    for number in 0..VICTIMS {
        let account = victim(number);
        let reached = guesses.get(&account).copied().unwrap_or(0);
        assert!(reached <= PASSWORDS, "{account}: {reached}");
        // What an owner types counts while it is under way.
        let is_quiet = number % 3 != 0 || number / 3 >= OWNERS;
        assert!(!is_quiet || reached >= PASSWORDS, "{account}: {reached}");
    }
    for number in GUESSERS..GUESSERS + SPRAYERS {
        let reached = sources.get(&source(number)).copied().unwrap_or(0);
        assert_eq!(reached, ACCOUNTS, "{number}");
    }
}
