//! What is special to counting in memory: the bounds, what is forgotten, and many threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sekisho_counters::memory::MAX_MEMBERS;
use sekisho_counters::{Counters, Limits};
use sekisho_policy::key::{Scope, Subject, Subjects, Tally};
use sekisho_policy::snapshot::Kind;
use sekisho_policy::{Millis, ObjectRef, Op, Outcome, Timestamp, Unavailable};

use crate::ops::*;

const HOUR: u64 = 3_600_000;

fn small(keys: usize, entries: usize) -> Counters {
    Counters::memory(Limits { keys, entries })
}

fn apply(counters: &Counters, at: u64, ops: &[Op]) -> Result<Vec<Outcome>, Unavailable> {
    run(counters.apply(Timestamp(at), ops)).map(|(results, _)| results.0)
}

#[test]
fn known_keys_are_counted_when_there_is_no_room_for_new_ones() {
    let counters = small(10, 100);
    for n in 0..10 {
        apply(&counters, 0, &[gate(&format!("k{n}"), 1, 5, HOUR)]).unwrap();
    }
    let refused = apply(
        &counters,
        1,
        &[gate("k0", 2, 5, HOUR), gate("new", 1, 5, HOUR)],
    )
    .unwrap_err();
    assert_eq!(refused.dependency, "counters (memory)");
    assert!(
        refused.why.contains("all 10 keys are in use") && refused.why.contains("Raise the bound"),
        "{}",
        refused.why
    );
    assert_eq!(
        apply(&counters, 2, &[gate("k0", 2, 5, HOUR)]).unwrap(),
        [passed(5)],
        "what was known was charged"
    );
    // Nobody gets past a full gate by naming keys that do not fit.
    let outcomes = apply(
        &counters,
        3,
        &[
            gate("k0", 1, 5, HOUR),
            gate("new", 1, 5, HOUR),
            meter("newer", 1, HOUR),
        ],
    );
    assert!(matches!(
        outcomes.unwrap()[..],
        [
            Outcome::Full { total: 5, .. },
            Outcome::Passed { total: 1 },
            Outcome::Total(0)
        ]
    ));
    assert!(apply(&counters, 4, &[distinct("new", 1, HOUR)]).is_err());
    assert!(apply(&counters, 4, &[lock("new", HOUR, 2, HOUR)]).is_err());
    assert!(
        apply(
            &counters,
            4,
            &[
                read("new", HOUR),
                count("new", HOUR),
                locked("new"),
                gate("new", 0, 0, HOUR)
            ]
        )
        .is_ok()
    );
    let sizes = counters.sizes();
    assert_eq!(
        (sizes.keys(), sizes.max_keys),
        (10, 10 + 2),
        "and two of signals"
    );
    assert_eq!(sizes.refused, 4);
}

#[test]
fn a_flood_of_strangers_turns_no_signal_off() {
    let counters = small(8, 8);
    for n in 0..50 {
        let ops = [distinct(&format!("wrong password {n}"), n, HOUR)];
        let _ = apply(&counters, 0, &ops);
    }
    let rule = ObjectRef {
        kind: Kind::AbuseRule,
        namespace: "mail".into(),
        name: "stolen".into(),
    };
    let subjects = Subjects::of(&[Subject::Account("a@example.jp")]);
    let signal = |cost| Op::Meter {
        key: Scope::new(&rule, Tally::SpamVerdicts, Millis(HOUR)).key(&subjects),
        cost,
        window: Millis(HOUR),
    };
    assert!(apply(&counters, 1, &[meter("another", 1, HOUR)]).is_err());
    assert_eq!(
        apply(&counters, 1, &[signal(3)]).unwrap(),
        [Outcome::Total(3)]
    );
    assert_eq!(
        apply(&counters, 1, &[signal(2)]).unwrap(),
        [Outcome::Total(5)]
    );
}

#[test]
fn what_is_over_makes_room_for_new_keys() {
    let counters = small(100, 100);
    let mut now = 0;
    for round in 0..50 {
        for n in 0..100 {
            let name = format!("{round} {n}");
            let ops = [
                gate(&name, 1, 5, HOUR),
                distinct(&name, 1, HOUR),
                lock(&name, HOUR / 4, 2, HOUR / 4),
            ];
            apply(&counters, now, &ops[n % 3..=n % 3]).unwrap();
        }
        now += 2 * HOUR;
    }
    assert!(counters.sizes().keys() <= 100);
}

#[test]
fn keys_in_use_stay_while_others_are_swept_away() {
    let counters = small(100_000, 1_000);
    for n in 0..20_000 {
        let ops = [
            gate(&format!("once {n}"), 1, 1, HOUR),
            meter("always", 1, HOUR),
        ];
        apply(&counters, n * HOUR / 100, &ops).unwrap();
    }
    let held = apply(&counters, 20_000 * HOUR / 100, &[read("always", HOUR)]).unwrap();
    assert!(matches!(held[..], [Outcome::Total(99..=101)]), "{held:?}");
    let keys = counters.sizes().keys();
    assert!(
        keys < 2_000,
        "about a hundred are alive at a time, {keys} are kept"
    );
}

#[test]
fn what_a_late_caller_may_ask_for_is_not_swept_away() {
    let window = 10_000;
    let counters = small(100_000, 1_000);
    apply(
        &counters,
        HOUR,
        &[gate("k", 5, 5, window), distinct("k", 1, window)],
    )
    .unwrap();
    for n in 0..10_000 {
        apply(
            &counters,
            HOUR + 2 * window - 1,
            &[meter(&format!("once {n}"), 1, window)],
        )
        .unwrap();
    }
    let late = [gate("k", 1, 5, window), count("k", window)];
    let answers = apply(&counters, HOUR + window - 1, &late).unwrap();
    assert_eq!(answers, [full(5, HOUR + window), Outcome::Total(1)]);
}

#[test]
fn out_of_entries_windows_grow_coarser_and_never_leak() {
    let counters = small(100, 0);
    for n in 0..10 {
        assert_eq!(
            apply(&counters, n * HOUR / 10, &[gate("k", 1, 10, HOUR)]).unwrap(),
            [passed(n + 1)]
        );
    }
    let last = 9 * HOUR / 10;
    assert_eq!(
        apply(&counters, last, &[gate("k", 1, 10, HOUR)]).unwrap(),
        [full(10, last + HOUR)]
    );
    assert_eq!(
        apply(&counters, last + HOUR - 1, &[read("k", HOUR)]).unwrap(),
        [Outcome::Total(10)]
    );
    assert_eq!(
        apply(&counters, last + HOUR, &[gate("k", 10, 10, HOUR)]).unwrap(),
        [passed(10)]
    );
    assert_eq!(
        apply(
            &counters,
            last,
            &[distinct("s", 1, HOUR), distinct("s", 2, HOUR)]
        )
        .unwrap(),
        [Outcome::Total(1), Outcome::Total(1)]
    );
}

#[test]
fn entries_are_released_with_what_held_them() {
    let counters = small(1_000, 5_000);
    for n in 0..1_000 {
        let at = n * HOUR / 10;
        let name = format!("k{}", n % 7);
        apply(
            &counters,
            at,
            &[meter(&name, 1, HOUR), distinct(&name, n as u32, HOUR)],
        )
        .unwrap();
    }
    assert!(
        counters.sizes().entries < 100,
        "{}",
        counters.sizes().entries
    );
    for n in 0..7 {
        apply(&counters, 101 * HOUR, &[clear(&format!("k{n}"))]).unwrap();
    }
    let sizes = counters.sizes();
    assert_eq!((sizes.keys(), sizes.entries), (0, 0));
}

#[test]
fn a_set_is_exact_up_to_its_bound_and_says_no_more() {
    let counters = small(10, 10_000);
    for n in 1..=MAX_MEMBERS as u32 {
        assert_eq!(
            apply(&counters, 0, &[distinct("s", n, HOUR)]).unwrap(),
            [Outcome::Total(u64::from(n))]
        );
    }
    assert_eq!(
        apply(&counters, 1, &[distinct("s", 0, HOUR)]).unwrap(),
        [Outcome::Total(1024)]
    );
    assert_eq!(
        apply(&counters, HOUR - 1, &[distinct("s", 1, HOUR)]).unwrap(),
        [Outcome::Total(1024)]
    );
    assert_eq!(
        apply(&counters, HOUR, &[distinct("s", 2_000, HOUR)]).unwrap(),
        [Outcome::Total(2)]
    );
}

#[test]
fn a_busy_key_stays_small() {
    let counters = small(10, 1_000_000);
    for n in 0..100_000 {
        apply(
            &counters,
            n * 100,
            &[
                meter("hour", 1, HOUR),
                meter("second", 1, 1_000),
                meter("instant", 1, 0),
            ],
        )
        .unwrap();
    }
    assert!(
        counters.sizes().entries <= 64 + 2 + 2 * 64 + 2,
        "{}",
        counters.sizes().entries
    );
}

#[test]
fn threads_together_get_the_limit_and_no_more() {
    const THREADS: u64 = 8;
    let counters = small(1_000, 1_000);
    let names: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    let admitted = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (counters, names, admitted) = (&counters, &names, &admitted);
            scope.spawn(move || {
                // Each thread names the keys in another order: locks taken in that order would deadlock.
                let mut ops: Vec<Op> = names.iter().map(|name| gate(name, 1, 500, HOUR)).collect();
                ops.rotate_left((thread * 5 % 20) as usize);
                if thread % 2 == 0 {
                    ops.reverse();
                }
                for n in 0..300 {
                    let (results, receipt) =
                        run(counters.apply(Timestamp(HOUR + n), &ops)).unwrap();
                    match receipt {
                        Some(receipt) if n % 3 == 0 => run(counters.give_back(receipt)),
                        Some(_) => _ = admitted.fetch_add(1, Ordering::Relaxed),
                        None => assert!(!results.all_passed()),
                    }
                }
            });
        }
    });
    // 8 threads keep up to 200 each; some were refused because of what was given back a moment later.
    let admitted = admitted.into_inner();
    assert!(admitted <= 500, "{admitted}");
    for name in &names {
        assert_eq!(
            apply(&counters, HOUR + 300, &[read(name, HOUR)]).unwrap(),
            [Outcome::Total(admitted)],
            "{name}"
        );
    }
}

#[test]
fn windows_at_the_ends_of_time_do_not_overflow() {
    let counters = small(10, 10);
    let end = u64::MAX - 1;
    let (results, receipt) = run(counters.apply(
        Timestamp(end),
        &[gate("z", 1, 1, u64::MAX), lock("z", u64::MAX, 2, u64::MAX)],
    ))
    .unwrap();
    assert_eq!(results.0, [passed(1), until(u64::MAX)]);
    run(counters.give_back(receipt.expect("charged")));
    assert_eq!(
        apply(&counters, end, &[distinct("z", 1, u64::MAX)]).unwrap(),
        [Outcome::Total(1)]
    );
    let instant = [gate("instant", 1, 1, 0)];
    assert_eq!(apply(&counters, end, &instant).unwrap(), [passed(1)]);
    assert_eq!(apply(&counters, end, &instant).unwrap(), [passed(1)]);
}
