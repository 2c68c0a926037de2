//! What a million accounts with settings and a hundred thousand live counters take of memory in a proxy, and of time: the first
//! hearing, a lookup, one change, a restart. `cargo bench -p sekisho-proxy`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sekisho_counters::{Counters, Limits};
use sekisho_policy::settings::{
    Filtering, LoginsFromAbroad, OwnLimit, SettingsChange, SettingsChanges,
};
use sekisho_policy::snapshot::Unit;
use sekisho_policy::states::{Onto, Rest};
use sekisho_policy::{Account, AccountSettings, Key, Millis, Op, Timestamp};
use sekisho_proxy::KnownSettings;
use sekisho_runtime::{Metrics, Shutdown};

/// As `sekisho-proxy` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many come in one answer.
const PART: u64 = 5_000;
const LIVE_COUNTERS: u64 = 100_000;
/// The aim for the whole process, in octets.
const AIM: u64 = 200 << 20;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Under `cargo test` a bench only has to run.
    let quick = std::env::args().any(|argument| argument == "--test");
    let accounts = if quick { 10_000 } else { 1_000_000 };
    if std::env::args().any(|argument| argument == WORST) {
        return worst(accounts);
    }
    let counters = if quick { 1_000 } else { LIVE_COUNTERS };
    let before = resident();
    let known = KnownSettings::new(Metrics::new()).unwrap();
    hear(&known, accounts, usual);
    let settings = resident();
    let tallies = count(counters).await;
    let all = resident();
    println!(
        "memory: {} MiB for {accounts} accounts with settings ({} octets each), {} MiB for {counters} live counters; the process has {} MiB (aim: {}, {})",
        mebi(settings - before),
        (settings - before) / accounts,
        mebi(all - settings),
        mebi(all),
        mebi(AIM),
        if all <= AIM { "met" } else { "missed" }
    );
    look_up(&known, accounts);
    change_one(&known, accounts);
    restart(&known).await;
    black_box(&tallies);
    // In a process of its own: what was freed here would be used again there.
    let itself = std::env::current_exe().unwrap();
    let status = Command::new(itself).arg(WORST).status().unwrap();
    assert!(status.success());
}

const WORST: &str = "--worst";

fn worst(accounts: u64) {
    let before = resident();
    let known = KnownSettings::new(Metrics::new()).unwrap();
    hear(&known, accounts, |at| plan(at, at + 1));
    println!(
        "at worst, where every account has a limit like no other's: {} octets each",
        (resident() - before) / accounts
    );
    black_box(&known);
}

/// Most have one of a few; one in ten has a limit like no other's.
fn usual(at: u64) -> AccountSettings {
    match at % 10 {
        0..4 => switch(LoginsFromAbroad::Refuse),
        4..7 => switch(LoginsFromAbroad::Allow),
        7..9 => plan(at, 100 * (at % 20 + 1)),
        _ => plan(at, at + 1),
    }
}

fn switch(logins: LoginsFromAbroad) -> AccountSettings {
    AccountSettings {
        logins_from_abroad: Some(logins),
        ..AccountSettings::default()
    }
}

fn plan(at: u64, count: u64) -> AccountSettings {
    let limit = OwnLimit {
        rule: "per-account".into(),
        unit: Unit::Recipients,
        per: Millis::DAY,
        count,
    };
    AccountSettings {
        logins_from_abroad: Some(LoginsFromAbroad::Refuse),
        classification: (at.is_multiple_of(2)).then_some(Filtering::Wanted),
        limits: [limit].into(),
    }
}

fn name(at: u64) -> Account {
    Account::canonical(&format!("customer{at:08}@example.jp"), None)
}

/// As a proxy hears it: parts as JSON, read and taken over.
fn hear(known: &KnownSettings, accounts: u64, of: impl Fn(u64) -> AccountSettings) {
    let (mut took, mut octets) = (Duration::ZERO, 0);
    let parts = accounts.div_ceil(PART);
    for part in 0..parts {
        let changes = (part * PART..((part + 1) * PART).min(accounts)).map(|at| SettingsChange {
            account: name(at),
            settings: Some(of(at)),
        });
        let said = SettingsChanges {
            revision: part + 1,
            onto: if part == 0 {
                Onto::Nothing
            } else {
                Onto::Known
            },
            rest: if part + 1 == parts {
                Rest::Nothing
            } else {
                Rest::More
            },
            changes: changes.collect(),
            store: None,
            horizon: 0,
        };
        let json = serde_json::to_vec(&said).unwrap();
        drop(said);
        octets += json.len();
        let began = Instant::now();
        known.apply(&serde_json::from_slice(&json).unwrap());
        took += began.elapsed();
    }
    assert_eq!(known.len() as u64, accounts);
    println!(
        "first hearing: {parts} answers, {} MiB of JSON, read and taken over in {took:.2?}",
        mebi(octets as u64)
    );
}

async fn count(keys: u64) -> Counters {
    let counters = Counters::memory(Limits::default());
    let now = Timestamp(1_800_000_000_000);
    for at in 0..keys {
        let key = format!(
            "\x11RateLimit/default/per-account\x0aRecipients\x043600000\x1acustomer{at:08}@example.jp"
        );
        let gate = Op::Gate {
            key: Key::new(key.as_bytes()),
            cost: 1,
            limit: 1000,
            window: Millis::HOUR,
        };
        counters.apply(now, &[gate]).await.unwrap();
    }
    counters
}

fn look_up(known: &KnownSettings, accounts: u64) {
    const LOOKUPS: u64 = 200_000;
    // A step that is prime to their number visits them in no order.
    let names = |from: u64| -> Vec<Account> {
        let all = (0..LOOKUPS).map(|at| name(from + at * 7_919 % accounts));
        all.collect()
    };
    for (what, names) in [("has settings", names(0)), ("has none", names(accounts))] {
        let began = Instant::now();
        for name in &names {
            black_box(known.of(name));
        }
        let each = began.elapsed().as_nanos() / u128::from(LOOKUPS);
        println!("lookup of an account that {what}: {each} ns");
    }
}

fn change_one(known: &KnownSettings, accounts: u64) {
    let change = SettingsChange {
        account: name(accounts / 2),
        settings: Some(plan(1, 77)),
    };
    let said = SettingsChanges {
        revision: accounts + 1,
        onto: Onto::Known,
        rest: Rest::Nothing,
        changes: vec![change],
        store: None,
        horizon: 0,
    };
    let began = Instant::now();
    known.apply(&said);
    println!("one change taken over: {:.1?}", began.elapsed());
}

async fn restart(known: &KnownSettings) {
    let folder = tempfile::tempdir().unwrap();
    let ending = Shutdown::new();
    ending.begin();
    let began = Instant::now();
    let keeping = known.clone();
    keeping
        .keep(folder.path().to_owned(), "default".into(), ending)
        .await;
    let wrote = began.elapsed();
    let file = folder.path().join("settings/default.base");
    let octets = std::fs::metadata(&file).unwrap().len();
    let began = Instant::now();
    let again = KnownSettings::new(Metrics::new()).unwrap();
    again.recall(folder.path(), "default");
    assert_eq!(again.len(), known.len());
    println!(
        "kept on disk: {} MiB, written in {wrote:.0?}, read after a restart in {:.0?}",
        mebi(octets),
        began.elapsed()
    );
}

/// What the process has in memory, in octets.
fn resident() -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

const fn mebi(octets: u64) -> u64 {
    octets >> 20
}
