//! A real Cluster of six: calls that touch several slots, and a server that dies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sekisho_testkit::{PATIENCE, RedisCluster, wait_until};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

const LIMIT: u64 = 300;

fn spread(cluster: &RedisCluster, key: &NamingKey) -> Counters {
    let mut setup = Setup::cluster(cluster.urls(), key.clone());
    setup.deadline = PATIENCE;
    of(setup)
}

/// One test, because a Cluster takes seconds to come up.
#[test]
fn a_cluster_keeps_the_contract_and_the_limit_of_a_fleet() {
    let Some(cluster) = RedisCluster::start() else {
        return;
    };
    contract::whole_suite!(async { travelling(Setup::cluster(cluster.urls(), fresh_key())) });
    run(refusals_come_back_from_every_slot(&cluster));
    run(a_fleet_shares_limits_over_several_slots(&cluster));
    run(what_one_slot_cannot_say_is_no_admission(&cluster));
}

async fn refusals_come_back_from_every_slot(cluster: &RedisCluster) {
    let counters = spread(cluster, &fresh_key());
    // Names without a frame have a slot each: these lie all over the Cluster.
    let names: Vec<String> = (0..12).map(|n| format!("k{n}")).collect();
    let all: Vec<Op> = names.iter().map(|name| gate(name, 1, 5, HOUR)).collect();
    apply(&counters, 0, &[gate("k7", 5, 5, HOUR)])
        .await
        .unwrap();
    for _ in 0..10 {
        let outcomes = apply(&counters, 0, &all).await.unwrap();
        assert!(matches!(outcomes[7], Outcome::Full { total: 5, .. }));
        assert_eq!(
            outcomes
                .iter()
                .filter(|outcome| **outcome == passed(1))
                .count(),
            11
        );
    }
    for name in names.iter().filter(|name| *name != "k7") {
        let held = apply(&counters, 0, &[read(name, HOUR)]).await.unwrap();
        assert_eq!(held, [Outcome::Total(0)], "{name}");
    }
}

async fn a_fleet_shares_limits_over_several_slots(cluster: &RedisCluster) {
    let key = fresh_key();
    let admitted = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for proxy in 0..8 {
        let counters = spread(cluster, &key);
        let admitted = admitted.clone();
        let said = if proxy < 2 {
            proxy * 48 * HOUR
        } else {
            24 * HOUR
        };
        tasks.spawn(async move {
            for n in 0..150 {
                let ops = [
                    gate("account", 1, LIMIT, HOUR),
                    gate("source", 1, LIMIT + 20, HOUR),
                ];
                let (results, receipt) = counters
                    .apply(Timestamp(said), &ops)
                    .await
                    .expect("it answers");
                if !results.all_passed() {
                    assert!(receipt.is_none());
                } else if n % 7 == 0 {
                    counters.give_back(receipt.expect("charged")).await;
                } else {
                    admitted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    tasks.join_all().await;
    let admitted = admitted.load(Ordering::Relaxed);
    assert!((LIMIT / 2..=LIMIT).contains(&admitted), "{admitted}");
    let counters = spread(cluster, &key);
    for name in ["account", "source"] {
        let held = apply(&counters, 0, &[read(name, HOUR)]).await.unwrap();
        assert_eq!(held, [Outcome::Total(admitted)], "{name}");
    }
}

/// One slot holds rubbish: the call is unavailable and costs nothing elsewhere, unless a gate there is full, whose refusal stands.
async fn what_one_slot_cannot_say_is_no_admission(cluster: &RedisCluster) {
    let counters = spread(cluster, &fresh_key());
    let before = all_keys(cluster);
    apply(&counters, 0, &[gate("broken", 1, 5, HOUR)])
        .await
        .unwrap();
    let mut new = all_keys(cluster)
        .difference(&before)
        .cloned()
        .collect::<Vec<_>>();
    let (at, key) = new.pop().expect("it was just written");
    assert!(new.is_empty(), "{new:?}");
    cluster.masters()[at].cli(&["set", &key, "rubbish"]);
    let fine = gate("fine", 1, 1, HOUR);
    let broken = gate("broken", 1, 5, HOUR);
    for _ in 0..3 {
        let call = [fine.clone(), broken.clone(), meter("seen", 1, HOUR)];
        let refused = apply(&counters, 0, &call).await.unwrap_err();
        assert!(refused.why.contains("not of its kind"), "{}", refused.why);
    }
    let held = apply(&counters, 0, &[read("fine", HOUR), read("seen", HOUR)]).await;
    assert_eq!(held.unwrap(), [Outcome::Total(0), Outcome::Total(3)]);
    assert_eq!(
        apply(&counters, 0, std::slice::from_ref(&fine))
            .await
            .unwrap(),
        [passed(1)]
    );
    let outcomes = apply(&counters, 0, &[fine, broken]).await.unwrap();
    assert!(
        matches!(outcomes[0], Outcome::Full { total: 1, .. }),
        "{outcomes:?}"
    );
}

/// A server dies under load and its replica takes over. Replication is asynchronous: what was acknowledged and not yet passed on is
/// forgotten, and that is what a limit can be exceeded by.
#[test]
fn a_server_that_dies_is_replaced_and_forgets_little() {
    let Some(mut cluster) = RedisCluster::start() else {
        return;
    };
    let key = fresh_key();
    let make = |cluster: &RedisCluster| of(Setup::cluster(cluster.urls(), key.clone()));
    let (admitted, unanswered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = run(async { (0..8).map(|_| Arc::new(make(&cluster))).collect() });
    wait_until("the Cluster to answer", || {
        run(apply(&clients[0], 0, &[read("account", HOUR)])).ok()
    });
    let name = key_of_account(&cluster, &clients[0]);
    let victim = cluster.holder_of(&name);

    let mut tasks = JoinSet::new();
    run(async {
        for client in &clients {
            let (client, admitted, unanswered) =
                (client.clone(), admitted.clone(), unanswered.clone());
            let stop = stop.clone();
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    match apply(&client, 0, &[gate("account", 1, 1_000_000, HOUR)]).await {
                        Ok(outcomes) if matches!(outcomes[..], [Outcome::Passed { .. }]) => {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(_) => {
                            unanswered.fetch_add(1, Ordering::Relaxed);
                            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                        }
                    }
                }
            });
        }
    });
    wait_until("a thousand admitted", || {
        (admitted.load(Ordering::Relaxed) > 1_000).then_some(())
    });
    cluster.server(victim).kill();
    let died = Instant::now();
    cluster.wait_for_successor();
    let replaced = died.elapsed();
    let before = admitted.load(Ordering::Relaxed);
    wait_until("events to be admitted again", || {
        (admitted.load(Ordering::Relaxed) > before + 500).then_some(())
    });
    let back = died.elapsed();
    stop.store(true, Ordering::Relaxed);
    run(async { while tasks.join_next().await.is_some() {} });

    let admitted = admitted.load(Ordering::Relaxed);
    let counted = wait_until("the sum", || {
        match run(apply(&clients[0], 0, &[read("account", HOUR)])).ok()?[..] {
            [Outcome::Total(total)] => Some(total),
            ref other => panic!("{other:?}"),
        }
    });
    let forgotten = admitted.saturating_sub(counted);
    eprintln!(
        "a master of a Cluster killed under load: {admitted} admitted, {forgotten} of them forgotten (that is the overshoot), {} without \
         an answer; another took over after {replaced:?}, events were counted again after {back:?}",
        unanswered.load(Ordering::Relaxed)
    );
    assert!(forgotten <= 1_000, "{forgotten}");
    assert!(
        unanswered.load(Ordering::Relaxed) > 0,
        "somebody must have noticed"
    );
}

/// The key under which "account" is counted.
fn key_of_account(cluster: &RedisCluster, counters: &Counters) -> String {
    run(apply(counters, 0, &[meter("account", 1, HOUR)])).expect("it answers");
    let found = all_keys(cluster).pop_first();
    found.expect("it was just written").1
}

/// Every tally, with the place of its server among the masters. Probes are left out: they come and go.
fn all_keys(cluster: &RedisCluster) -> BTreeSet<(usize, String)> {
    let masters = cluster.masters();
    let of = masters.iter().enumerate().flat_map(|(at, server)| {
        let found = server.cli(&["--scan", "--pattern", "*}t*"]);
        let keys: Vec<_> = found.lines().map(|key| (at, key.to_owned())).collect();
        keys
    });
    of.collect()
}
