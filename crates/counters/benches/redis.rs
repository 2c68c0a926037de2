//! What counting in Redis costs, at a real redis-server on this machine, over one connection: times at 5,000 events a second, round
//! trips with leases and without, and what leases cost near a limit. `cargo bench -p sekisho-counters --bench redis`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_counters::redis::{Leases, Lending, NamingKey, Setup};
use sekisho_counters::{Counters, Limits, Redis};
use sekisho_policy::key::{Scope, Subject, Subjects, Tally};
use sekisho_policy::snapshot::{Kind, ObjectRef};
use sekisho_policy::{Millis, Op, Timestamp};
use sekisho_testkit::RedisServer;
use tokio::time::{Instant, interval};

const RATE: u64 = 5_000;
/// Events are begun in batches: timers are no finer than a millisecond.
const TICK: Duration = Duration::from_millis(1);
/// The aims: for 99 of 100 events, and by how many times leases are to lessen round trips.
const P99: Duration = Duration::from_millis(2);
const FEWER: f64 = 5.0;
const ACCOUNTS: u64 = 10_000;
const WINDOW: Millis = Millis::HOUR;
const DAY: Millis = Millis(24 * WINDOW.0);
const MONTH: Millis = Millis(720 * WINDOW.0);

fn main() {
    // Under `cargo test` a bench only has to run.
    let quick = std::env::args().any(|argument| argument == "--test");
    let Some(server) = RedisServer::start() else {
        return;
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load average before: {}", load.trim());
    runtime.block_on(async {
        let counters = connect(&server, 0, Leases::Off);
        alone(&counters, if quick { 100 } else { 20_000 }).await;
        let seconds = if quick { 1 } else { 20 };
        times(&server, &counters, seconds).await;
        let seconds = if quick { 1 } else { 10 };
        for (accounts, rate) in [(100, 500), (100, RATE), (1_000, RATE), (10_000, RATE)] {
            round_trips(&server, accounts, rate, seconds).await;
        }
        for limit in [200, 1_000, 10_000] {
            near_the_limit(&server, limit).await;
        }
    });
}

/// Counters that share tallies with all others of the same `fleet`.
fn connect(server: &RedisServer, fleet: u8, leases: Leases) -> Arc<Counters> {
    let mut setup = Setup::single(&server.url(), NamingKey::new([fleet; 32]));
    setup.leases = leases;
    Arc::new(Counters::redis(setup, Limits::default()).unwrap())
}

fn redis(counters: &Counters) -> &Redis {
    let Counters::Redis(redis) = counters else {
        unreachable!("it was made so")
    };
    redis
}

fn key(tally: Tally, window: Millis, subject: Subject<'_>) -> sekisho_policy::Key {
    let object = ObjectRef {
        kind: Kind::RateLimit,
        namespace: "mail".into(),
        name: "limits".into(),
    };
    Scope::new(&object, tally, window).key(&Subjects::of(&[subject]))
}

fn gate(tally: Tally, window: Millis, subject: Subject<'_>) -> Op {
    Op::Gate {
        key: key(tally, window, subject),
        cost: 1,
        limit: 1 << 40,
        window,
    }
}

/// A login: two limits by account, one by source, whether the account is locked, and the days on which it came from here.
fn login(number: u64, accounts: u64) -> [Op; 5] {
    let name = format!("user{:06}@example.jp", number * 7_919 % accounts);
    let (account, source) = (Subject::Account(&name), source(number, accounts));
    [
        gate(Tally::Attempts, WINDOW, account),
        gate(Tally::Attempts, DAY, account),
        gate(Tally::Attempts, WINDOW, source),
        Op::Locked {
            key: key(Tally::AccountLock, Millis(0), account),
        },
        Op::Count {
            key: key(Tally::GoodDays, MONTH, account),
            window: MONTH,
        },
    ]
}

/// A recipient: two limits by account, two by source, one of all.
fn recipient(number: u64, accounts: u64) -> [Op; 5] {
    let name = format!("user{:06}@example.jp", number * 7_919 % accounts);
    let (account, source) = (Subject::Account(&name), source(number, accounts));
    [
        gate(Tally::Recipients, WINDOW, account),
        gate(Tally::Recipients, DAY, account),
        gate(Tally::Recipients, WINDOW, source),
        gate(Tally::Recipients, DAY, source),
        gate(
            Tally::Recipients,
            WINDOW,
            Subject::Gateway("mail", "outbound"),
        ),
    ]
}

/// As many as there are accounts.
fn source(number: u64, accounts: u64) -> Subject<'static> {
    let place = number * 7_919 % accounts;
    Subject::Source([10, 1, (place / 256) as u8, (place % 256) as u8].into())
}

async fn one(counters: &Counters, ops: &[Op]) -> Duration {
    let began = Instant::now();
    counters.apply(Timestamp(0), ops).await.unwrap();
    began.elapsed()
}

/// One event after the other.
async fn alone(counters: &Counters, events: u64) {
    let mut took = Vec::new();
    for number in 0..events {
        took.push(one(counters, &login(number, ACCOUNTS)).await);
    }
    report("five rules, one event at a time", took);
}

async fn times(server: &RedisServer, counters: &Arc<Counters>, seconds: u64) {
    for (name, event) in [
        ("login", login as fn(u64, u64) -> [Op; 5]),
        ("recipient", recipient),
    ] {
        let before = commands_and_cpu(server);
        let took = paced(counters, RATE, seconds, move |number| {
            event(number, ACCOUNTS)
        })
        .await;
        let after = commands_and_cpu(server);
        let p99 = report(
            &format!("five rules ({name}), {RATE} events a second"),
            took,
        );
        println!("  aim: p99 under {P99:?}, {}", verdict(p99 < P99));
        println!(
            "  redis-server: {:.0} % of one processor, {:.1} commands for each event",
            (after.1 - before.1) / seconds as f64 * 100.0,
            (after.0 - before.0) / (RATE * seconds) as f64
        );
    }
}

/// The same events with leases and without.
async fn round_trips(server: &RedisServer, accounts: u64, rate: u64, seconds: u64) {
    println!("recipients of {accounts} accounts, {rate} a second, five limits each:");
    let mut trips = Vec::new();
    for (fleet, leases) in [(1, Leases::Off), (2, Leases::On(Lending::default()))] {
        let counters = connect(server, fleet, leases);
        one(&counters, &recipient(0, accounts)).await;
        redis(&counters).take_round_trips();
        let event = move |number| recipient(number, accounts);
        let took = paced(&counters, rate, seconds, event).await;
        let events = took.len() as f64;
        trips.push(redis(&counters).take_round_trips() as f64 / events);
        report(
            &format!(
                "  {leases:?}: {:.3} round trips an event",
                trips.last().unwrap()
            ),
            took,
        );
        counters.retire().await;
    }
    let fewer = trips[0] / trips[1];
    println!(
        "  {fewer:.1} times fewer (aim: {FEWER} where accounts are busy, {})",
        verdict(fewer >= FEWER)
    );
}

/// Eight proxies take turns at one limit until one is refused: what was not let through then, and what was when credit had gone back.
async fn near_the_limit(server: &RedisServer, limit: u64) {
    let fleet = (limit % 251) as u8;
    let proxies: Vec<_> = (0..8)
        .map(|_| connect(server, fleet, Leases::On(Lending::default())))
        .collect();
    let op = Op::Gate {
        key: key(
            Tally::Messages,
            Millis(WINDOW.0 + limit),
            Subject::Gateway("mail", "outbound"),
        ),
        cost: 1,
        limit,
        window: WINDOW,
    };
    let (mut admitted, mut at_first, began) = (0, None, Instant::now());
    while began.elapsed() < Duration::from_secs(4) {
        for proxy in &proxies {
            let applied = proxy.apply(Timestamp(0), std::slice::from_ref(&op)).await;
            match applied.unwrap().0.all_passed() {
                true => admitted += 1,
                false => _ = at_first.get_or_insert((admitted, began.elapsed())),
            }
        }
        if at_first.is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let trips: u64 = proxies
        .iter()
        .map(|proxy| redis(proxy).take_round_trips())
        .sum();
    let (first, after) = at_first.unwrap();
    println!(
        "a limit of {limit}, 8 proxies that lend: the first refusal after {first} events and {after:.1?} ({:.1} % early), {admitted} after \
         4 s of trying on; {trips} round trips in all",
        (limit - first) as f64 * 100.0 / limit as f64
    );
}

async fn paced(
    counters: &Arc<Counters>,
    rate: u64,
    seconds: u64,
    event: impl Fn(u64) -> [Op; 5] + Copy + Send + 'static,
) -> Vec<Duration> {
    let took = Arc::new(Mutex::new(Vec::new()));
    let mut ticks = interval(TICK);
    let (mut tasks, began) = (tokio::task::JoinSet::new(), Instant::now());
    let mut sent = 0;
    while sent < rate * seconds {
        ticks.tick().await;
        // What a late tick missed is caught up with.
        let due = (began.elapsed().as_micros() as u64 * rate / 1_000_000).min(rate * seconds);
        for number in sent..due {
            let (counters, took) = (counters.clone(), took.clone());
            tasks.spawn(async move {
                let each = one(&counters, &event(number)).await;
                took.lock().unwrap().push(each);
            });
        }
        sent = sent.max(due);
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
    std::mem::take(&mut *took.lock().unwrap())
}

/// Prints how long events took, and answers how long 99 of 100 did at most.
fn report(name: &str, mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "{name}: p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    at(0.99)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

fn commands_and_cpu(server: &RedisServer) -> (f64, f64) {
    let info = server.cli(&["info", "everything"]);
    let value = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    let cpu = value("used_cpu_user:") + value("used_cpu_sys:");
    (value("total_commands_processed:"), cpu)
}
