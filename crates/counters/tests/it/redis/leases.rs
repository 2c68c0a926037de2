//! Credit that is charged ahead: what it saves, when it goes back, and that nobody is let through for it who would not be without.

use std::time::Duration;

use sekisho_counters::redis::{LeaseCounts, Leases, Lending};
use sekisho_counters::{Receipt, Redis};
use sekisho_testkit::RedisServer;
use tokio::time::{Instant, sleep};

use super::*;

/// Lends at first sight.
pub(super) const EAGER: Lending = Lending { busy: 1, most: 256 };
pub(super) const LIFE: u64 = 10_000;

pub(super) fn lending(mut setup: Setup, lending: Lending) -> Setup {
    setup.leases = Leases::On(lending);
    setup
}

/// Lends at first sight, and believes what callers say of time.
pub(super) fn eager(url: &str, key: &NamingKey) -> Counters {
    travelling(lending(Setup::single(url, key.clone()), EAGER))
}

/// Lends nothing.
pub(super) fn plain(url: &str, key: &NamingKey) -> Counters {
    travelling(Setup::single(url, key.clone()))
}

pub(super) fn redis_of(counters: &Counters) -> &Redis {
    match counters {
        Counters::Redis(redis) => redis,
        other => panic!("{other:?}"),
    }
}

fn trips(counters: &Counters) -> u64 {
    redis_of(counters).take_round_trips()
}

pub(super) fn leases(counters: &Counters) -> LeaseCounts {
    redis_of(counters).take_lease_counts()
}

/// What is counted of a key, leases included.
pub(super) async fn counted(counters: &Counters, at: u64, key: &str) -> u64 {
    match apply(counters, at, &[read(key, HOUR)]).await.unwrap()[..] {
        [Outcome::Total(total)] => total,
        ref other => panic!("{other:?}"),
    }
}

/// Lets one event through and keeps its receipt.
pub(super) async fn pass(counters: &Counters, at: u64, ops: &[Op]) -> Receipt {
    let (results, receipt) = counters.apply(Timestamp(at), ops).await.unwrap();
    assert!(results.all_passed(), "{results:?}");
    receipt.expect("charged")
}

#[test]
fn counters_that_lend_keep_the_contract() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let (url, user) = (server.url(), RedisUser::documented());
    server.allow(&user);
    contract::whole_suite!(async {
        travelling(lending(by(&user, Setup::single(&url, fresh_key())), EAGER))
    });
    let make = || run(async { eager(&url, &fresh_key()) });
    windows::random_schedules_with_leases_keep_the_promise(250, make);
}

#[test]
fn most_events_of_a_busy_limit_need_no_round_trip_and_every_one_is_counted() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = eager(&server.url(), &fresh_key());
        let ops = [
            gate("account", 1, 10_000, HOUR),
            gate("source", 2, 50_000, 24 * HOUR),
        ];
        for n in 1..=2_000 {
            // A hundred events a second.
            let outcomes = apply(&counters, HOUR + 10 * n, &ops).await.unwrap();
            assert_eq!(
                outcomes,
                [passed(n), passed(2 * n)],
                "sums are exact: nobody else counts"
            );
        }
        let (trips, leases) = (trips(&counters), leases(&counters));
        eprintln!("2,000 events of two limits in 20 s: {trips} round trips, {leases:?}");
        assert!(trips <= 100, "{trips}");
        assert!(leases.covered >= 1_900 && leases.taken > 0, "{leases:?}");
        counters.retire().await;
        assert_eq!(counted(&counters, HOUR + 20_000, "account").await, 2_000);
        assert_eq!(counted(&counters, HOUR + 20_000, "source").await, 4_000);
    });
}

#[test]
fn credit_counts_as_used_until_it_goes_back() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let key = fresh_key();
        let (holder, other) = (eager(&server.url(), &key), plain(&server.url(), &key));
        let ops = [gate("k", 1, 100, HOUR)];
        pass(&holder, HOUR, &ops).await;
        let lent = counted(&other, HOUR, "k").await - 1;
        assert_eq!(
            lent, 16,
            "the first slice; a quarter of what was left would have been 24"
        );
        // Drawn and given back without a round trip.
        trips(&holder);
        let receipt = pass(&holder, HOUR + 1, &ops).await;
        holder.give_back(receipt).await;
        assert_eq!(trips(&holder), 0);
        assert_eq!(counted(&other, HOUR + 1, "k").await, 17);
        // Nobody draws for a second.
        redis_of(&holder).tend_leases(Timestamp(HOUR + 500)).await;
        assert_eq!(counted(&other, HOUR + 500, "k").await, 17, "not idle yet");
        redis_of(&holder).tend_leases(Timestamp(HOUR + 1_001)).await;
        assert_eq!(counted(&other, HOUR + 1_001, "k").await, 1);
        assert_eq!(leases(&holder).returned, 1);
        // A receipt for what was drawn from credit that is gone leads to Redis.
        pass(&holder, HOUR + 2_000, &ops).await;
        let drawn = pass(&holder, HOUR + 2_001, &ops).await;
        redis_of(&holder).tend_leases(Timestamp(HOUR + 4_000)).await;
        assert_eq!(counted(&other, HOUR + 4_000, "k").await, 3);
        holder.give_back(drawn).await;
        assert_eq!(counted(&other, HOUR + 4_000, "k").await, 2);
    });
}

#[test]
fn what_is_too_old_is_not_spent_and_the_time_it_was_spent_in_counts_longer() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let key = fresh_key();
        let (holder, other) = (eager(&server.url(), &key), plain(&server.url(), &key));
        let ops = [gate("k", 1, 100, HOUR)];
        // Soon after it a part of the window ends, so that what comes later does not keep it.
        let start = 64 * (HOUR + LIFE).div_ceil(64) - 4_000;
        pass(&holder, start, &ops).await;
        let last = start + LIFE - LIFE / 8;
        trips(&holder);
        pass(&holder, last, &ops).await;
        assert_eq!(trips(&holder), 0, "it may be spent for so long");
        pass(&holder, last + 1, &ops).await;
        assert_eq!(trips(&holder), 1, "and no longer");
        holder.retire().await;
        // Drawn at `last`, charged at the start: whoever asks, with leases or without, it counts for an hour after
        // it was drawn.
        let all = [gate("k", 98, 100, HOUR)];
        for counters in [&holder, &other] {
            let outcomes = apply(counters, last + HOUR - 1, &all).await.unwrap();
            assert!(
                matches!(outcomes[..], [Outcome::Full { total: 3, .. }]),
                "{outcomes:?}"
            );
        }
        let later = last + 1 + HOUR + LIFE;
        assert_eq!(apply(&other, later, &all).await.unwrap(), [passed(98)]);
    });
}

/// The clock of the caller goes back, or leaps: as after a machine was suspended, or was set.
#[test]
fn credit_is_not_spent_when_clocks_disagree() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let ops = [gate("k", 1, 1_000, HOUR)];
        // What is idle for a second goes back: on a machine that stands still for so long it is tried again.
        for _ in 0..20 {
            let mut setup = lending(Setup::single(&server.url(), fresh_key()), EAGER);
            setup.deadline = sekisho_testkit::PATIENCE;
            let counters = of(setup);
            let (mut asked, began) = (Vec::new(), Instant::now());
            for at in [HOUR, HOUR + 1, HOUR + LIFE, HOUR + LIFE + 1] {
                trips(&counters);
                pass(&counters, at, &ops).await;
                asked.push(trips(&counters));
            }
            if began.elapsed() < Duration::from_millis(900) {
                assert_eq!(asked, [1, 0, 1, 0]);
                return;
            }
        }
        panic!("a machine too slow for this test");
    });
}

/// A slice for each event, given back before the next, would be two round trips in place of one.
#[test]
fn a_limit_that_was_busy_once_costs_no_more_than_one_that_never_was() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let lends = lending(
            Setup::single(&server.url(), fresh_key()),
            Lending::default(),
        );
        let counters = travelling(lends);
        let ops = [gate("k", 1, 10_000, HOUR)];
        for n in 0..100 {
            pass(&counters, HOUR + n, &ops).await;
        }
        assert!(leases(&counters).covered >= 50);
        let tend = async |at| redis_of(&counters).tend_leases(Timestamp(at)).await;
        tend(HOUR + 2_000).await;
        // Each says what came since it was asked last.
        trips(&counters);
        leases(&counters);
        for n in 2..22 {
            let at = HOUR + 2_000 * n;
            pass(&counters, at, &ops).await;
            tend(at + 1_500).await;
        }
        assert_eq!(trips(&counters), 20);
        assert_eq!(leases(&counters), LeaseCounts::default());
        // Busy again, it is lent to again.
        for n in 0..100 {
            pass(&counters, HOUR + 60_000 + n, &ops).await;
        }
        assert!(leases(&counters).covered >= 50);
    });
}

#[test]
fn a_refusal_costs_no_credit_and_credit_of_another_limit_is_not_spent() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let key = fresh_key();
        let (holder, other) = (eager(&server.url(), &key), plain(&server.url(), &key));
        let wide = gate("wide", 1, 1_000, HOUR);
        pass(&holder, HOUR, std::slice::from_ref(&wide)).await;
        pass(&other, HOUR, &[gate("full", 5, 5, HOUR)]).await;
        let before = counted(&other, HOUR, "wide").await;
        for at in 1..50 {
            let call = [wide.clone(), gate("full", 1, 5, HOUR)];
            let outcomes = apply(&holder, HOUR + at, &call).await.unwrap();
            assert!(
                matches!(
                    outcomes[..],
                    [Outcome::Passed { total: 2 }, Outcome::Full { .. }]
                ),
                "{outcomes:?}"
            );
        }
        assert_eq!(counted(&other, HOUR + 50, "wide").await, before);
        // The same tally under another number: the credit comes back, and Redis judges.
        let lower = [gate("wide", 1, 1, HOUR)];
        let outcomes = apply(&holder, HOUR + 60, &lower).await.unwrap();
        assert!(
            matches!(outcomes[..], [Outcome::Full { total: 1, .. }]),
            "{outcomes:?}"
        );
        assert_eq!(counted(&other, HOUR + 60, "wide").await, 1);
    });
}

#[test]
fn near_the_limit_every_event_is_asked() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = eager(&server.url(), &fresh_key());
        let ops = [gate("k", 1, 100, HOUR)];
        let mut asked = Vec::new();
        for n in 1..=100 {
            assert_eq!(apply(&counters, HOUR + n, &ops).await.unwrap(), [passed(n)]);
            asked.push(trips(&counters));
        }
        assert!(asked[..50].iter().sum::<u64>() <= 8, "{asked:?}");
        assert!(asked[90..].iter().all(|&trips| trips == 1), "{asked:?}");
        // Whoever holds all credit is refused when the limit is used up, not before, and is not lent any more.
        let outcomes = apply(&counters, HOUR + 101, &ops).await.unwrap();
        assert!(matches!(outcomes[..], [Outcome::Full { total: 100, .. }]));
    });
}

#[test]
fn while_redis_is_away_credit_is_spent_and_none_is_lent() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = eager(&server.url(), &fresh_key());
        let ops = [gate("k", 1, 1_000, HOUR)];
        pass(&counters, HOUR, &ops).await;
        server.stop();
        let mut spent = 0;
        while apply(&counters, HOUR + 1, &ops).await.is_ok() {
            spent += 1;
        }
        assert_eq!(spent, 16, "what was charged before");
        // Another limit had no credit, and the credit of a call that is not answered stays.
        server.begin();
        while apply(&counters, HOUR + 2, &ops).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn leases_are_bounded_and_a_set_that_is_not_ours_lends_nothing() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let few = Lending { busy: 1, most: 16 };
        let counters = travelling(lending(Setup::single(&server.url(), fresh_key()), few));
        for n in 0..500 {
            pass(&counters, HOUR, &[gate(&format!("k{n}"), 1, 1_000, HOUR)]).await;
        }
        let taken = leases(&counters).taken;
        assert!((1..=16).contains(&taken), "{taken}");
        // What nobody uses makes room for others.
        redis_of(&counters)
            .tend_leases(Timestamp(HOUR + 2_000))
            .await;
        redis_of(&counters)
            .tend_leases(Timestamp(HOUR + 60_000))
            .await;
        pass(&counters, HOUR + 60_000, &[gate("another", 1, 1_000, HOUR)]).await;
        assert_eq!(leases(&counters).taken, 1);

        let (key, ops) = (fresh_key(), [gate("k", 1, 1_000, HOUR)]);
        let first = eager(&server.url(), &key);
        pass(&first, HOUR, &ops).await;
        let found = server.cli(&["--scan", "--pattern", "*}h*"]);
        let mut holders: Vec<_> = found.lines().collect();
        holders.retain(|name| server.cli(&["zcard", name]) == "1");
        for name in holders {
            server.cli(&["del", name]);
            server.cli(&["set", name, "rubbish"]);
        }
        let second = eager(&server.url(), &key);
        pass(&second, HOUR, &ops).await;
        assert_eq!(leases(&second).taken, 0);
        assert_eq!(counted(&second, HOUR, "k").await, 18, "and counts as ever");
    });
}
