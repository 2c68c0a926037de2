//! What becomes of credit that nobody spends: idle, too old, or of a process that is gone.

use std::time::Duration;

use sekisho_counters::redis::{LeaseCounts, Lending};
use sekisho_testkit::RedisServer;
use tokio::time::{Instant, sleep};

use super::leases::{LIFE, counted, eager, leases, lending, pass, plain, redis_of};
use super::*;

/// A limit that is busy all the time, and not busy enough for its slice: the rest goes back the moment that it may no longer be spent.
#[test]
fn credit_that_became_too_old_goes_back() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let key = fresh_key();
        let (holder, other) = (eager(&server.url(), &key), plain(&server.url(), &key));
        let ops = [gate("k", 1, 1_000, HOUR)];
        pass(&holder, HOUR, &ops).await;
        // Never idle for a second, so that age alone is a reason.
        let drawn = [900, 1_800, 2_700, 3_600, 4_500, 5_400, 6_300, 7_200, 8_100];
        for after in drawn {
            pass(&holder, HOUR + after, &ops).await;
        }
        let (used, slice) = (1 + drawn.len() as u64, 16);
        let last = HOUR + LIFE - LIFE / 8;
        redis_of(&holder).tend_leases(Timestamp(last)).await;
        assert_eq!(counted(&other, last, "k").await, 1 + slice, "not yet");
        redis_of(&holder).tend_leases(Timestamp(last + 1)).await;
        assert_eq!(counted(&other, last + 1, "k").await, used, "and now");
        let counts = LeaseCounts {
            covered: drawn.len() as u64,
            taken: 1,
            returned: 0,
            expired: 1,
        };
        assert_eq!(leases(&holder), counts);
        // It went back once, and is nobody's to spend.
        redis_of(&holder).tend_leases(Timestamp(last + 2)).await;
        assert_eq!(counted(&other, last + 2, "k").await, used);
        assert_eq!(leases(&holder), LeaseCounts::default());
        let all = [gate("k", 1_000 - used, 1_000, HOUR)];
        let outcomes = apply(&other, last + 2, &all).await.unwrap();
        assert_eq!(outcomes, [passed(1_000)]);
    });
}

/// A process that dies takes what it holds with it: that counts, and comes back with the window.
#[test]
fn credit_of_a_dead_process_is_lost_until_the_window_has_passed() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let key = fresh_key();
        let ops = [gate("k", 1, 100, HOUR)];
        let dead = eager(&server.url(), &key);
        pass(&dead, HOUR, &ops).await;
        drop(dead);
        let other = plain(&server.url(), &key);
        let mut admitted = 1;
        while apply(&other, HOUR + 1, &ops).await.unwrap() == [passed(17 + admitted)] {
            admitted += 1;
        }
        assert_eq!(admitted, 100 - 16);
        let later = 2 * HOUR + LIFE + 1;
        assert_eq!(
            apply(&other, later, &[gate("k", 100, 100, HOUR)])
                .await
                .unwrap(),
            [passed(100)]
        );
    });
}

/// The real clocks, and the task that looks after leases.
#[test]
fn idle_credit_goes_back_by_itself() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let key = fresh_key();
        let mut setup = lending(
            Setup::single(&server.url(), key.clone()),
            Lending::default(),
        );
        setup.deadline = sekisho_testkit::PATIENCE;
        let (holder, other) = (of(setup), patient(&server.url(), &key));
        let ops = [gate("k", 1, 1_000, HOUR)];
        for n in 0..3 {
            pass(&holder, n, &ops).await;
        }
        assert_eq!(
            counted(&other, 0, "k").await,
            3,
            "three events are not busy"
        );
        let began = Instant::now();
        let mut used = 3;
        while leases(&holder).taken == 0 {
            pass(&holder, 3, &ops).await;
            used += 1;
        }
        // On a machine that stands still for a second, all of it is back before anybody looks.
        while counted(&other, 0, "k").await > used {
            assert!(began.elapsed() < sekisho_testkit::PATIENCE);
            sleep(Duration::from_millis(20)).await;
        }
        assert!(
            began.elapsed() >= Duration::from_millis(900),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(counted(&other, 0, "k").await, used);
        assert!(leases(&holder).returned > 0);
    });
}
