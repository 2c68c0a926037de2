//! Servers that are away, stand still, or refuse: no event waits longer than its deadline, most do not wait at all.

use std::time::Duration;

use sekisho_policy::op::Cause;
use sekisho_testkit::{RedisServer, wait_until};
use tokio::time::Instant;

use super::*;

fn counters(server: &RedisServer, key: &NamingKey) -> Counters {
    of(Setup::single(&server.url(), key.clone()))
}

fn try_gate(counters: &Counters) -> Result<Vec<Outcome>, Unavailable> {
    run(apply(counters, 0, &[gate("k", 1, 2, HOUR)]))
}

/// Asks until the breaker is open, and says how long the slowest took.
fn until_open(counters: &Counters) -> Duration {
    let mut slowest = Duration::ZERO;
    wait_until("the breaker to open", || {
        let began = Instant::now();
        let refused = try_gate(counters).expect_err("nobody is there");
        slowest = slowest.max(began.elapsed());
        (refused.cause == Cause::Open).then_some(())
    });
    slowest
}

#[test]
fn a_stopped_server_costs_a_deadline_at_most_and_then_nothing_and_is_found_again() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let counters = run(async { counters(&server, &fresh_key()) });
    wait_until("the first answer", || try_gate(&counters).ok());
    server.stop();
    let slowest = until_open(&counters);
    assert!(slowest < Duration::from_millis(1_500), "{slowest:?}");

    let Counters::Redis(redis) = &counters else {
        unreachable!()
    };
    redis.take_round_trips();
    let began = Instant::now();
    for _ in 0..10_000 {
        assert_eq!(try_gate(&counters).unwrap_err().cause, Cause::Open);
    }
    let each = began.elapsed() / 10_000;
    assert_eq!(redis.take_round_trips(), 0, "events ask nobody");
    assert!(each < Duration::from_millis(1), "{each:?} for each event");
    eprintln!("a stopped Redis: the slowest event took {slowest:?}, each after that {each:?}");

    let standing = redis.standing().borrow().clone();
    assert_eq!((standing.open, standing.parts), (1, 1));
    assert!(standing.why.is_some());
    server.begin();
    wait_until("an answer after the restart", || try_gate(&counters).ok());
    assert_eq!(redis.standing().borrow().open, 0);
}

#[test]
fn a_server_that_stands_still_is_given_up_within_the_deadline() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let counters = run(async { counters(&server, &fresh_key()) });
    wait_until("the first answer", || try_gate(&counters).ok());
    server.pause();
    let began = Instant::now();
    let refused = try_gate(&counters).unwrap_err();
    assert_eq!(refused.cause, Cause::Timeout, "{refused}");
    let waited = began.elapsed();
    assert!(
        waited >= Duration::from_millis(250) && waited < Duration::from_millis(1_500),
        "{waited:?}"
    );
    until_open(&counters);
    server.resume();
    wait_until("an answer again", || try_gate(&counters).ok());
    // What was sent while it stood still was counted when it went on: never more is let through for that.
    let admitted =
        (0..5).filter(|_| matches!(try_gate(&counters).unwrap()[..], [Outcome::Passed { .. }]));
    assert_eq!(
        admitted.count(),
        0,
        "two were let through or counted before"
    );
}

/// The client library gives up a connection that was made and then refused; the probes do not.
#[test]
fn a_server_that_refuses_the_login_for_a_while_is_found_again() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let counters = run(async { counters(&server, &fresh_key()) });
    wait_until("the first answer", || try_gate(&counters).ok());
    server.cli(&["config", "set", "requirepass", "hunter2"]);
    server.cli(&["-a", "hunter2", "client", "kill", "type", "normal"]);
    until_open(&counters);
    server.cli(&["-a", "hunter2", "config", "set", "requirepass", ""]);
    wait_until("an answer", || try_gate(&counters).ok());
}

#[test]
fn a_server_that_was_never_there_does_not_keep_anybody_from_starting() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    server.stop();
    let counters = run(async { counters(&server, &fresh_key()) });
    until_open(&counters);
    server.begin();
    wait_until("an answer", || try_gate(&counters).ok());
}

#[test]
fn a_server_that_refuses_is_unavailable_and_says_why() {
    // A replica of nobody that is there, and one without memory.
    for (set, unset, word) in [
        (
            &["replicaof", "127.0.0.1", "9"][..],
            &["replicaof", "no", "one"][..],
            "read only replica",
        ),
        (
            &["config", "set", "maxmemory", "1"],
            &["config", "set", "maxmemory", "0"],
            "OOM",
        ),
    ] {
        let Some(server) = RedisServer::start() else {
            return;
        };
        let counters = run(async { patient(&server.url(), &fresh_key()) });
        assert_eq!(try_gate(&counters).unwrap(), [passed(1)]);
        server.cli(set);
        let refused = try_gate(&counters).unwrap_err();
        assert_eq!(refused.cause, Cause::Refused);
        assert!(refused.why.contains(word), "{}", refused.why);
        until_open(&counters);
        server.cli(unset);
        wait_until("an answer", || try_gate(&counters).ok());
    }
}

#[test]
fn more_calls_than_may_wait_fail_at_once() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let mut setup = Setup::single(&server.url(), fresh_key());
        setup.in_flight = 3;
        setup.deadline = Duration::from_secs(2);
        let counters = of(setup);
        apply(&counters, 0, &[read("k", HOUR)]).await.unwrap();
        server.pause();
        let ops = [read("k", HOUR)];
        let calls = (0..10).map(|_| apply(&counters, 0, &ops));
        let all = futures_util::future::join_all(calls);
        let (answers, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            server.resume();
        });
        let crowded = answers
            .iter()
            .filter(|answer| matches!(answer, Err(refused) if refused.cause == Cause::Crowded));
        assert_eq!(crowded.count(), 7);
    });
}

#[test]
fn while_it_is_away_this_process_can_count_alone() {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let counters = run(async { counters(&server, &fresh_key()) });
    server.stop();
    until_open(&counters);
    let ops = [gate("k", 1, 2, HOUR)];
    let alone = || {
        counters
            .apply_alone(Timestamp(0), &ops)
            .expect("there is room")
    };
    let (results, receipt) = alone();
    assert_eq!(results.0, [passed(1)]);
    run(counters.give_back(receipt.expect("charged")));
    for total in [1, 2] {
        assert_eq!(alone().0.0, [passed(total)]);
    }
    assert!(matches!(alone().0.0[..], [Outcome::Full { total: 2, .. }]));
    assert_eq!(counters.sizes().keys(), 1);
}

#[test]
fn setups_that_cannot_be_used_say_why_and_no_secret() {
    use sekisho_counters::redis::{Defect, Topology};
    let make = |urls: &[&str], topology, change: &dyn Fn(&mut Setup)| {
        let mut setup = Setup::cluster(urls.iter().map(|url| (*url).to_owned()), fresh_key());
        setup.topology = topology;
        change(&mut setup);
        let shown = format!("{setup:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        run(async { Counters::redis(setup, Limits::default()) }).map(drop)
    };
    let plain = |_: &mut Setup| {};
    let good = "redis://:hunter2@127.0.0.1:6379/0";
    for (urls, topology, defect) in [
        (&[][..], Topology::Single, Defect::NoServer),
        (&[], Topology::Cluster, Defect::NoServer),
        (&[good, good], Topology::Single, Defect::Several(2)),
        (
            &["http://:hunter2@127.0.0.1"],
            Topology::Single,
            Defect::Url(1),
        ),
        (&[good, "hunter2"], Topology::Cluster, Defect::Url(2)),
        (
            &["rediss://127.0.0.1/#insecure"],
            Topology::Single,
            Defect::Url(1),
        ),
        (&["unix:///tmp/hunter2"], Topology::Single, Defect::Url(1)),
        (
            &["redis://127.0.0.1/3"],
            Topology::Cluster,
            Defect::Database(1),
        ),
    ] {
        let found = make(urls, topology, &plain).unwrap_err();
        assert_eq!(found, defect, "{urls:?}");
        assert!(!found.to_string().contains("hunter2"), "{found}");
    }
    let authorities = |setup: &mut Setup| setup.authorities = Some(b"nothing".to_vec());
    assert_eq!(
        make(&[good], Topology::Single, &authorities).unwrap_err(),
        Defect::NoTls(1)
    );
    make(&[good, good], Topology::Cluster, &plain).unwrap();
}
