//! What a five-rule event costs at a real redis-server on this machine, over one connection, at 5,000 events a second:
//! `cargo bench -p sekisho-counters --bench redis`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_counters::redis::{NamingKey, Setup};
use sekisho_counters::{Counters, Limits};
use sekisho_policy::key::{Scope, Subject, Subjects, Tally};
use sekisho_policy::snapshot::{Kind, ObjectRef};
use sekisho_policy::{Millis, Op, Timestamp};
use sekisho_testkit::RedisServer;
use tokio::time::{Instant, interval};

const RATE: u64 = 5_000;
/// Events are begun in batches: timers are no finer than a millisecond.
const TICK: Duration = Duration::from_millis(1);
const ACCOUNTS: u64 = 10_000;
const WINDOW: Millis = Millis::HOUR;

fn main() {
    // Under `cargo test` a bench only has to run.
    let quick = std::env::args().any(|argument| argument == "--test");
    let Some(server) = RedisServer::start() else {
        return;
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let setup = Setup::single(&server.url(), NamingKey::new([7; 32]));
        let counters = Arc::new(Counters::redis(setup, Limits::default()).unwrap());
        alone(&counters, if quick { 100 } else { 20_000 }).await;
        let seconds = if quick { 1 } else { 20 };
        let before = commands_and_cpu(&server);
        paced(&counters, seconds).await;
        let after = commands_and_cpu(&server);
        println!(
            "redis-server: {:.0} % of one processor, {:.1} commands for each event",
            (after.1 - before.1) / seconds as f64 * 100.0,
            (after.0 - before.0) / (RATE * seconds) as f64
        );
    });
}

/// Two limits by account, one by source, whether the account is locked, and the days on which it came from here.
fn event(number: u64) -> [Op; 5] {
    let object = ObjectRef {
        kind: Kind::RateLimit,
        namespace: "mail".into(),
        name: "limits".into(),
    };
    let key = |tally, window, subjects: &[Subject<'_>]| {
        Scope::new(&object, tally, window).key(&Subjects::of(subjects))
    };
    let name = format!("user{:06}@example.jp", number * 7_919 % ACCOUNTS);
    let account = Subject::Account(&name);
    let source = Subject::Source([10, 1, (number / 256 % 256) as u8, (number % 256) as u8].into());
    let gate = |window, subject| Op::Gate {
        key: key(Tally::Recipients, window, &[subject]),
        cost: 1,
        limit: u64::MAX,
        window,
    };
    [
        gate(WINDOW, account),
        gate(Millis(24 * WINDOW.0), account),
        gate(WINDOW, source),
        Op::Locked {
            key: key(Tally::AccountLock, Millis(0), &[account]),
        },
        Op::Count {
            key: key(Tally::GoodDays, Millis(720 * WINDOW.0), &[account]),
            window: Millis(720 * WINDOW.0),
        },
    ]
}

async fn one(counters: &Counters, number: u64) -> Duration {
    let ops = event(number);
    let began = Instant::now();
    counters.apply(Timestamp(0), &ops).await.unwrap();
    began.elapsed()
}

/// One event after the other.
async fn alone(counters: &Counters, events: u64) {
    let mut took = Vec::new();
    for number in 0..events {
        took.push(one(counters, number).await);
    }
    report("one at a time", took);
}

async fn paced(counters: &Arc<Counters>, seconds: u64) {
    let took = Arc::new(Mutex::new(Vec::new()));
    let mut ticks = interval(TICK);
    let (mut tasks, began) = (tokio::task::JoinSet::new(), Instant::now());
    let mut sent = 0;
    while sent < RATE * seconds {
        ticks.tick().await;
        // What a late tick missed is caught up with.
        let due = (began.elapsed().as_micros() as u64 * RATE / 1_000_000).min(RATE * seconds);
        for number in sent..due {
            let (counters, took) = (counters.clone(), took.clone());
            tasks.spawn(async move {
                let each = one(&counters, number).await;
                took.lock().unwrap().push(each);
            });
        }
        sent = sent.max(due);
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
    let took = std::mem::take(&mut *took.lock().unwrap());
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    report(&format!("{rate:.0} events a second"), took);
}

fn report(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "{name}: p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
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
