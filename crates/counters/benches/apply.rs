//! What a call costs on warm keys, with many threads, and what a key costs in memory: `cargo bench -p sekisho-counters`.
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use sekisho_counters::{Counters, Limits, Receipt};
use sekisho_policy::{Key, Millis, Op, Results, Timestamp};

const HOUR: u64 = 3_600_000;

/// About as long as keys in policy are: object, unit, window, subject.
fn key(subject: u64, unit: &str) -> Key {
    Key::new(
        format!(
            "\x11RateLimit/default/per-account\x0a{unit}\x043600000\x1auser{subject:08}@example.jp"
        )
        .as_bytes(),
    )
}

/// An RCPT's usual questions: two windows by account, one by source, whether the account is locked.
fn call(subject: u64) -> [Op; 4] {
    let gate = |unit, window| Op::Gate {
        key: key(subject, unit),
        cost: 1,
        limit: u64::MAX,
        window: Millis(window),
    };
    [
        gate("RecipientsHour", HOUR),
        gate("RecipientsDay", 24 * HOUR),
        gate("Source", HOUR),
        Op::Locked {
            key: key(subject, "Lock"),
        },
    ]
}

fn apply(counters: &Counters, now: u64, ops: &[Op]) -> (Results, Option<Receipt>) {
    // The memory counters never wait, so one poll is enough and no runtime disturbs the figures.
    match pin!(counters.apply(Timestamp(now), ops)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("memory counters wait for nothing"),
    }
}

fn main() {
    // Under `cargo test` a bench only has to run.
    let quick = std::env::args().any(|argument| argument == "--test");
    let scale = if quick { 1_000 } else { 1 };
    warm_calls(1_000_000 / scale);
    busy_windows(1_000_000 / scale);
    threads(500_000 / scale);
    memory(1_000_000 / scale);
}

/// One account after another, each in its own few buckets.
fn warm_calls(calls: u64) {
    let counters = Counters::memory(Limits::default());
    let subjects: Vec<[Op; 4]> = (0..1_000).map(call).collect();
    report("4 ops, 1,000 warm accounts", calls, |n| {
        apply(&counters, HOUR + n / 100, &subjects[n as usize % 1_000]);
    });
    let one: [Op; 1] = [call(1)[0].clone()];
    report("1 gate, one warm key", calls, |n| {
        apply(&counters, HOUR + n / 100, &one);
    });
}

/// Windows in which every part is used: the longest sums there are.
fn busy_windows(calls: u64) {
    let counters = Counters::memory(Limits::default());
    let ops = call(1);
    for part in 0..128 {
        apply(&counters, part * HOUR / 64, &ops);
    }
    report("4 ops, one account, full windows", calls, |n| {
        apply(&counters, 2 * HOUR + n / 100, &ops);
    });
}

fn threads(calls: u64) {
    let counters = Counters::memory(Limits::default());
    let count = thread::available_parallelism().map_or(1, usize::from) as u64;
    let begin = Instant::now();
    thread::scope(|scope| {
        for thread in 0..count {
            let counters = &counters;
            scope.spawn(move || {
                let subjects: Vec<[Op; 4]> = (0..1_000).map(|n| call(n * 7 + thread)).collect();
                (0..calls).for_each(|n| {
                    drop(apply(
                        counters,
                        HOUR + n / 100,
                        &subjects[n as usize % 1_000],
                    ))
                });
            });
        }
    });
    let rate = (count * calls) as f64 / begin.elapsed().as_secs_f64();
    println!(
        "{count} threads, 4 ops: {:.2} million calls a second together",
        rate / 1e6
    );
}

fn memory(keys: u64) {
    let before = resident();
    let counters = Counters::memory(Limits {
        keys: 2_000_000,
        entries: 64_000_000,
    });
    for subject in 0..keys {
        let op = Op::Gate {
            key: key(subject, "RecipientsHour"),
            cost: 1,
            limit: 9,
            window: Millis(HOUR),
        };
        apply(&counters, HOUR, &[op]);
    }
    let sparse = resident();
    println!("{keys} keys: {} octets each", (sparse - before) / keys);
    for part in 1..64 {
        for subject in 0..keys / 10 {
            let op = Op::Gate {
                key: key(subject, "RecipientsHour"),
                cost: 1,
                limit: 99,
                window: Millis(HOUR),
            };
            apply(&counters, HOUR + part * HOUR / 64, &[op]);
        }
    }
    let busy = resident();
    println!(
        "{} entries more (a tenth of the keys used in all 64 parts): {} octets each",
        counters.sizes().entries,
        (busy - sparse) / counters.sizes().entries.max(1) as u64
    );
    black_box(&counters);
}

fn report(name: &str, calls: u64, mut call: impl FnMut(u64)) {
    (0..calls / 10).for_each(&mut call);
    const BATCH: u64 = 100;
    let mut batches: Vec<f64> = (0..calls / BATCH)
        .map(|batch| {
            let begin = Instant::now();
            (0..BATCH).for_each(|n| call(calls / 10 + batch * BATCH + n));
            begin.elapsed().as_secs_f64() * 1e9 / BATCH as f64
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    let at = |part: f64| batches[((batches.len() - 1) as f64 * part) as usize];
    println!(
        "{name}: median {:.0} ns, p99 {:.0} ns (means of {BATCH})",
        at(0.5),
        at(0.99)
    );
}

/// Resident memory in octets, where the system says.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
