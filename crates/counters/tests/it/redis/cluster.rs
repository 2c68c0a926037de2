//! A real Cluster of six: calls that touch several slots, and a server that is slow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_counters::redis::{Leases, Lending};
use sekisho_policy::op::Cause;
use sekisho_testkit::{Conduct, Link, PATIENCE, RedisCluster, RedisServer, wait_until};
use tokio::task::JoinSet;

use super::stored::keys;
use super::*;

const LIMIT: u64 = 300;

fn spread(cluster: &RedisCluster, key: &NamingKey) -> Counters {
    spread_lending(cluster, key, Leases::Off)
}

fn spread_lending(cluster: &RedisCluster, key: &NamingKey, leases: Leases) -> Counters {
    let mut setup = Setup::cluster(cluster.urls(), key.clone());
    setup.deadline = PATIENCE;
    setup.leases = leases;
    of(setup)
}

/// One test, because a Cluster takes seconds to come up.
#[test]
fn a_cluster_keeps_the_contract_and_the_limit_of_a_fleet() {
    let Some(cluster) = RedisCluster::start() else {
        return;
    };
    let user = RedisUser::documented_of_cluster();
    for server in cluster.running() {
        server.allow(&user);
    }
    let setup = || by(&user, Setup::cluster(cluster.urls(), fresh_key()));
    contract::whole_suite!(async { travelling(setup()) });
    let eager = Lending { busy: 1, most: 256 };
    contract::whole_suite!(async {
        let mut setup = setup();
        setup.leases = Leases::On(eager);
        travelling(setup)
    });
    run(refusals_come_back_from_every_slot(&cluster));
    what_was_given_back_is_known_for_a_while(&cluster);
    for leases in [Leases::Off, Leases::On(eager)] {
        run(a_fleet_shares_limits_over_several_slots(&cluster, leases));
    }
    run(what_one_slot_cannot_say_is_no_admission(&cluster));
    a_server_that_is_slow_or_talks_rubbish_costs_its_own_slots(&cluster);
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

/// So that it comes back once, although a connection that breaks has it sent anew.
fn what_was_given_back_is_known_for_a_while(cluster: &RedisCluster) {
    let masters = cluster.masters();
    let found = masters.iter().find_map(|server| {
        let key = keys(server, "*}g*").pop()?;
        Some((server, key))
    });
    let (server, key) = found.expect("refusals came back");
    cost::check(server, &[(cost::GIVEN_BACK, vec![cost::of(server, &key)])]);
}

async fn a_fleet_shares_limits_over_several_slots(cluster: &RedisCluster, leases: Leases) {
    let key = fresh_key();
    let admitted = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for proxy in 0..8 {
        let counters = spread_lending(cluster, &key, leases);
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
            counters.retire().await;
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

/// Every tally, with the place of its server among the masters. Probes are left out: they come and go.
pub(super) fn all_keys(cluster: &RedisCluster) -> BTreeSet<(usize, String)> {
    let masters = cluster.masters();
    let of = masters.iter().enumerate().flat_map(|(at, server)| {
        let found = server.cli(&["--scan", "--pattern", "*}t*"]);
        let keys: Vec<_> = found.lines().map(|key| (at, key.to_owned())).collect();
        keys
    });
    of.collect()
}

/// Between proxies and one server of a Cluster there is a network: what it does costs the events of that server's slots, and no other.
fn a_server_that_is_slow_or_talks_rubbish_costs_its_own_slots(cluster: &RedisCluster) {
    let key = fresh_key();
    let (link, at) = run(async {
        let masters = cluster.masters();
        let address = ([127, 0, 0, 1], masters[0].port()).into();
        (Link::to(address).await, masters[0].port())
    });
    announce(cluster, at, link.address().port());
    let mut setup = Setup::cluster(
        cluster
            .urls()
            .into_iter()
            .filter(|url| !url.ends_with(&at.to_string())),
        key.clone(),
    );
    setup.deadline = std::time::Duration::from_millis(500);
    let counters = run(async { of(setup) });
    wait_until("the Cluster to answer", || {
        run(apply(&counters, 0, &[read("k", HOUR)])).ok()
    });
    let (behind, elsewhere) = two_names(cluster, &counters, at);
    assert!(link.connections() > 0, "it is asked through the link");
    let ask = |name: &str| run(apply(&counters, 0, &[gate(name, 1, 1_000_000, HOUR)]));
    let late = Conduct::Late(std::time::Duration::from_secs(1));
    for (conduct, causes) in [
        (late, &[Cause::Timeout][..]),
        (
            Conduct::Rubbish,
            &[Cause::Protocol, Cause::Connection, Cause::Timeout],
        ),
        (Conduct::Silent, &[Cause::Timeout, Cause::Connection]),
    ] {
        link.conduct(conduct);
        let mut failed = 0;
        wait_until("the breaker of its slots to open", || {
            match ask(&behind) {
                Ok(outcomes) => assert!(matches!(outcomes[..], [Outcome::Passed { .. }])),
                Err(refused) if refused.cause == Cause::Open => return Some(()),
                Err(refused) => {
                    assert!(causes.contains(&refused.cause), "{conduct:?}: {refused}");
                    failed += 1;
                }
            }
            assert!(matches!(
                ask(&elsewhere).expect("others answer")[..],
                [Outcome::Passed { .. }]
            ));
            None
        });
        assert!(failed > 0, "{conduct:?}");
        link.conduct(Conduct::Pass);
        wait_until("an answer again", || ask(&behind).ok());
    }
}

/// Has a server be known under another port: that of a link to it.
fn announce(cluster: &RedisCluster, port: u16, instead: u16) {
    let server = cluster.running().find(|server| server.port() == port);
    let server = server.expect("it runs");
    server.cli(&[
        "config",
        "set",
        "cluster-announce-port",
        &instead.to_string(),
    ]);
    let known = format!("127.0.0.1:{instead}@");
    wait_until("all servers to know it", || {
        let knows = |server: &RedisServer| server.cli(&["cluster", "nodes"]).contains(&known);
        cluster.running().all(knows).then_some(())
    });
}

/// A name that is counted at the server of that port, and one that is not.
fn two_names(cluster: &RedisCluster, counters: &Counters, port: u16) -> (String, String) {
    let masters = cluster.masters();
    let (mut behind, mut elsewhere) = (None, None);
    for n in 0..12 {
        let (name, before) = (format!("k{n}"), all_keys(cluster));
        run(apply(counters, 0, &[meter(&name, 1, HOUR)])).expect("it answers");
        let after = all_keys(cluster);
        let &(at, _) = after
            .difference(&before)
            .next()
            .expect("it was just written");
        let place = if masters[at].port() == port {
            &mut behind
        } else {
            &mut elsewhere
        };
        place.get_or_insert(name);
        if behind.is_some() && elsewhere.is_some() {
            break;
        }
    }
    behind
        .zip(elsewhere)
        .expect("names lie all over the Cluster")
}
