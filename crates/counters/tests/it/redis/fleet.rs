//! Many proxies, one limit: whatever their clocks, and whatever happens to scripts and connections meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sekisho_testkit::{RedisServer, wait_until};
use tokio::task::JoinSet;

use super::*;

const PROXIES: u64 = 8;
const CALLS: u64 = 400;
const LIMIT: u64 = 500;

/// What a fleet was let through, and how often it got no answer.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) admitted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unanswered: AtomicU64,
}

/// What the clocks of proxies say: two are wrong by a day, into both directions.
pub(super) fn said_by(proxy: u64) -> u64 {
    let right = 1_000 * HOUR;
    match proxy {
        0 => right - 24 * HOUR,
        1 => right + 24 * HOUR,
        _ => right,
    }
}

/// Eight proxies, each with its own connection, each four calls at a time, all at the same three keys.
async fn hammer(make: impl Fn() -> Counters, meanwhile: impl AsyncFnOnce(&AtomicBool)) -> Tally {
    let (tally, ended) = (Arc::new(Tally::default()), AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for proxy in 0..PROXIES {
        let counters = Arc::new(make());
        for part in 0..4 {
            let (counters, tally) = (counters.clone(), tally.clone());
            tasks.spawn(async move {
                for n in 0..CALLS / 4 {
                    one_call(&counters, &tally, said_by(proxy), 4 * n + part).await;
                }
            });
        }
    }
    let work = async {
        tasks.join_all().await;
        ended.store(true, Ordering::Relaxed);
    };
    tokio::join!(work, meanwhile(&ended));
    Arc::into_inner(tally).expect("all have ended")
}

async fn one_call(counters: &Counters, tally: &Tally, now: u64, n: u64) {
    let ops = [
        gate("account", 1, LIMIT, HOUR),
        gate("source", 1, LIMIT + 50, 24 * HOUR),
        meter("seen", 1, HOUR),
    ];
    match counters.apply(Timestamp(now), &ops).await {
        Ok((results, receipt)) if results.all_passed() => {
            // The same time again: what a proxy is told of time is by its own clock.
            if n.is_multiple_of(5) {
                counters.give_back(receipt.expect("charged")).await;
            } else {
                tally.admitted.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok((results, _)) => {
            let Outcome::Full {
                retry_at: Some(retry),
                ..
            } = results.0[0]
            else {
                panic!("{results:?}");
            };
            assert!(
                retry.0 > now && retry.0 <= now + HOUR + HOUR / 64,
                "{retry:?} for {now}"
            );
            tally.refused.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => _ = tally.unanswered.fetch_add(1, Ordering::Relaxed),
    }
}

async fn sum(counters: &Counters, key: &str) -> u64 {
    match apply(counters, 0, &[read(key, HOUR)]).await.unwrap()[..] {
        [Outcome::Total(total)] => total,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn eight_proxies_two_of_them_wrong_about_the_time_share_one_limit() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let key = fresh_key();
    run(async {
        let make = || patient(&server.url(), &key);
        let tally = hammer(make, async |_| {}).await;
        let (admitted, refused) = (tally.admitted.into_inner(), tally.refused.into_inner());
        assert_eq!(tally.unanswered.into_inner(), 0);
        assert!(
            admitted <= LIMIT && refused > 0,
            "{admitted} admitted, {refused} refused"
        );
        // Nothing got lost either: what is counted is what was let through.
        let counters = make();
        assert_eq!(sum(&counters, "account").await, admitted);
        assert_eq!(sum(&counters, "source").await, admitted);
        let full_already = async || {
            let outcome = apply(&counters, 0, &[gate("account", 1, LIMIT, HOUR)]).await;
            matches!(outcome.unwrap()[..], [Outcome::Full { total: LIMIT, .. }])
        };
        while !full_already().await {}
        assert_eq!(sum(&counters, "account").await, LIMIT);
    });
}

#[test]
fn a_limit_holds_while_scripts_are_flushed() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let key = fresh_key();
    run(async {
        let make = || patient(&server.url(), &key);
        let flushed = AtomicU64::new(0);
        let tally = hammer(make, async |ended| {
            while !ended.load(Ordering::Relaxed) {
                server.cli(&["script", "flush"]);
                flushed.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(flushed.into_inner() > 0);
        assert_eq!(
            tally.unanswered.into_inner(),
            0,
            "a script that is gone is sent again"
        );
        assert!(tally.admitted.into_inner() <= LIMIT);
    });
}

#[test]
fn a_limit_holds_while_connections_are_cut() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let key = fresh_key();
    run(async {
        let make = || patient(&server.url(), &key);
        let tally = hammer(make, async |ended| {
            while !ended.load(Ordering::Relaxed) {
                server.cli(&["client", "kill", "type", "normal"]);
                tokio::task::yield_now().await;
            }
        })
        .await;
        let admitted = tally.admitted.into_inner();
        assert!(admitted <= LIMIT, "{admitted}");
        let counted = sum(&make(), "account").await;
        assert!(
            admitted <= counted && counted <= LIMIT,
            "{admitted} admitted, {counted} counted"
        );
        // And it is well again by itself.
        let counters = make();
        wait_until("an answer", || {
            run_here(apply(&counters, 0, &[read("account", HOUR)])).ok()
        });
    });
}

/// Waits on a thread that runs tasks.
fn run_here<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

#[test]
fn the_servers_clock_decides_and_a_window_really_fades() {
    const WINDOW: u64 = 500;
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = patient(&server.url(), &fresh_key());
        let said = |at: u64| 77 * HOUR + at;
        apply(&counters, said(0), &[read("k", WINDOW)])
            .await
            .unwrap();
        // Before the charge: what is measured is at least what has passed at the server.
        let began = tokio::time::Instant::now();
        let outcomes = apply(&counters, said(0), &[gate("k", 1, 1, WINDOW)]).await;
        assert_eq!(outcomes.unwrap(), [passed(1)]);
        let mut refused = 0;
        // The caller's clock leaps, and nothing comes of it.
        while let [Outcome::Full { retry_at, .. }] =
            apply(&counters, said(refused * HOUR), &[gate("k", 1, 1, WINDOW)])
                .await
                .unwrap()[..]
        {
            let retry = retry_at
                .expect("it fits later")
                .since(Timestamp(said(refused * HOUR)))
                .0;
            assert!((1..=WINDOW).contains(&retry), "{retry}");
            refused += 1;
        }
        let passed = began.elapsed().as_millis();
        assert!(
            refused > 0 && passed + 2 >= u128::from(WINDOW),
            "{refused} refused in {passed} ms"
        );
    });
}
