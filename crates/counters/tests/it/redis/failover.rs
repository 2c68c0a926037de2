//! A master of a Cluster is killed under load and its replica takes over. Replication is asynchronous: what was acknowledged and not yet
//! passed on is forgotten, and that is what a limit can be exceeded by. Here the limit is used up afterwards, so that it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sekisho_counters::redis::{Leases, Lending};
use sekisho_testkit::{RedisCluster, wait_until};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::cluster::all_keys;
use super::*;

const PROXIES: u64 = 8;
const LIMIT: u64 = 6_000;
/// So many are admitted before the master dies.
const BEFORE: u64 = 1_000;

/// Of each proxy one event: each waits for its answer before it asks again, and a master passes on what it did before it takes the next
/// question of a client that it answered.
#[test]
fn a_server_that_dies_forgets_one_event_of_each_proxy_at_most() {
    a_server_dies(Leases::Off, |_| PROXIES);
}

/// Of each proxy one slice as well. A slice is at most a quarter of what is left, divided by how many proxies hold slices.
#[test]
fn a_server_that_dies_forgets_one_slice_of_each_proxy_at_most() {
    a_server_dies(Leases::On(Lending::default()), |left| PROXIES + left / 4);
}

struct Seen {
    admitted: AtomicU64,
    unanswered: AtomicU64,
}

impl Seen {
    fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Sends one event after the other until the limit refuses one.
    async fn use_up(&self, counters: &Counters, pause: Duration) {
        let ops = [gate("account", 1, LIMIT, HOUR)];
        loop {
            match apply(counters, 0, &ops).await.as_deref() {
                Ok([Outcome::Passed { .. }]) => self.admitted.fetch_add(1, Ordering::Relaxed),
                Ok([Outcome::Full { .. }]) => return,
                Ok(other) => panic!("{other:?}"),
                Err(_) => {
                    sleep(Duration::from_millis(1)).await;
                    self.unanswered.fetch_add(1, Ordering::Relaxed)
                }
            };
            sleep(pause).await;
        }
    }
}

fn a_server_dies(leases: Leases, bound: impl Fn(u64) -> u64) {
    let Some(mut cluster) = RedisCluster::start() else {
        return;
    };
    let key = fresh_key();
    let make = |leases| {
        let mut setup = Setup::cluster(cluster.urls(), key.clone());
        setup.leases = leases;
        Arc::new(of(setup))
    };
    let proxies: Vec<_> = run(async { (0..PROXIES).map(|_| make(leases)).collect() });
    let last = run(async { make(Leases::Off) });
    wait_until("the Cluster to answer", || {
        run(apply(&last, 0, &[read("account", HOUR)])).ok()
    });
    let victim = cluster.holder_of(&key_of_account(&cluster, &last));
    // What needs no round trip would be used up before anybody is killed.
    let pause = match leases {
        Leases::Off => Duration::ZERO,
        Leases::On(_) => Duration::from_millis(2),
    };
    let seen = Arc::new(Seen {
        // What made the key.
        admitted: AtomicU64::new(1),
        unanswered: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    run(async {
        for proxy in &proxies {
            let (proxy, seen) = (proxy.clone(), seen.clone());
            tasks.spawn(async move { seen.use_up(&proxy, pause).await });
        }
    });
    let reached = |what: &str, count: u64| {
        wait_until(what, || (seen.admitted() > count).then_some(()));
    };
    reached("a thousand admitted", BEFORE);
    let left = LIMIT.saturating_sub(seen.admitted());
    cluster.server(victim).kill();
    let died = Instant::now();
    assert!(left > LIMIT / 4, "a machine too uneven for this test");
    cluster.wait_for_successor();
    let replaced = died.elapsed();
    reached("events to be admitted again", seen.admitted() + 500);
    let back = died.elapsed();
    run(async {
        tasks.join_all().await;
        for proxy in &proxies {
            proxy.retire().await;
        }
        // What came back of slices is used up as well.
        seen.use_up(&last, Duration::ZERO).await;
    });

    let (admitted, bound) = (seen.admitted(), bound(left));
    let unanswered = seen.unanswered.load(Ordering::Relaxed);
    eprintln!(
        "a master of a Cluster killed under load, {leases:?}: {admitted} of {LIMIT} admitted, {bound} more could have been; {unanswered} \
         without an answer; another took over after {replaced:?}, events were counted again after {back:?}"
    );
    assert!(admitted <= LIMIT + bound, "{admitted}");
    assert!(
        admitted > LIMIT / 2,
        "what was lost with answers: {admitted}"
    );
    assert!(unanswered > 0, "somebody must have noticed");
}

/// The key under which "account" is counted.
fn key_of_account(cluster: &RedisCluster, counters: &Counters) -> String {
    run(apply(counters, 0, &[meter("account", 1, HOUR)])).expect("it answers");
    let found = all_keys(cluster).pop_first();
    found.expect("it was just written").1
}
