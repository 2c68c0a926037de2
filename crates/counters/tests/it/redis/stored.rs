//! What is in Redis: names that tell nothing, keys that expire, and values that are not ours.

use sekisho_policy::op::Cause;
use sekisho_policy::{Millis, Signal};
use sekisho_testkit::RedisServer;

use super::*;

const DAY: u64 = 24 * HOUR;

pub(super) fn keys(server: &RedisServer, pattern: &str) -> Vec<String> {
    let found = server.cli(&["--scan", "--pattern", pattern]);
    found
        .lines()
        .map(str::to_owned)
        .filter(|key| !key.ends_with("probe"))
        .collect()
}

#[test]
fn names_tell_nothing_and_every_key_expires_soon_after_its_window() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = patient(&server.url(), &fresh_key());
        let ops = [
            gate("office@example.jp", 1, 5, HOUR),
            distinct("office@example.jp", 1, HOUR),
            lock("office@example.jp", HOUR, 2, 2 * HOUR),
            read("other", HOUR),
            count("other", HOUR),
            locked("other"),
            gate("free", 0, 5, HOUR),
        ];
        apply(&counters, 0, &ops).await.unwrap();
        let found = keys(&server, "*");
        assert_eq!(
            found.len(),
            3,
            "nothing is kept of what was only asked: {found:?}"
        );
        for key in found {
            assert!(
                key.starts_with("sekisho:1:{") && !key.contains("office"),
                "{key}"
            );
            let left: u64 = server.cli(&["pttl", &key]).parse().unwrap();
            let holds = if key.contains("}l") { 3 * HOUR } else { HOUR };
            assert!(
                (holds - 10_000..=holds + 60_000).contains(&left),
                "{key}: {left}"
            );
        }
    });
}

#[test]
fn clearing_and_giving_back_leave_nothing_behind() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = patient(&server.url(), &fresh_key());
        apply(&counters, 0, &[meter("k", 1, HOUR), distinct("k", 1, HOUR)])
            .await
            .unwrap();
        assert_eq!(keys(&server, "*").len(), 2);
        apply(&counters, 0, &[clear("k")]).await.unwrap();
        assert_eq!(keys(&server, "*"), Vec::<String>::new());
    });
}

#[test]
fn a_set_is_exact_up_to_its_bound_and_says_no_more() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = travelling(Setup::single(&server.url(), fresh_key()));
        for n in 1..=1_024 {
            let seen = apply(&counters, 0, &[distinct("s", n, HOUR)])
                .await
                .unwrap();
            assert_eq!(seen, [Outcome::Total(u64::from(n))]);
        }
        for (at, op, members) in [
            (1, distinct("s", 0, HOUR), 1_024),
            (HOUR - 1, distinct("s", 1, HOUR), 1_024),
            (HOUR, distinct("s", 2_000, HOUR), 2),
        ] {
            assert_eq!(
                apply(&counters, at, &[op]).await.unwrap(),
                [Outcome::Total(members)]
            );
        }
    });
}

#[test]
fn windows_of_any_length_are_harmless() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = patient(&server.url(), &fresh_key());
        let ops = [
            gate("k", 1, 1, u64::MAX),
            lock("k", u64::MAX, u32::MAX, u64::MAX),
            distinct("k", 1, u64::MAX),
            meter("m", u64::MAX, u64::MAX),
        ];
        let outcomes = apply(&counters, u64::MAX - 5, &ops).await.unwrap();
        assert_eq!(
            outcomes,
            [
                passed(1),
                until(u64::MAX),
                Outcome::Total(1),
                Outcome::Total(u64::MAX)
            ]
        );
        let [Outcome::Full { total: 1, retry_at }] =
            apply(&counters, 0, &[gate("k", 1, 1, u64::MAX)])
                .await
                .unwrap()[..]
        else {
            panic!("it is full");
        };
        assert!(retry_at.is_some_and(|at| at.0 > 1 << 46), "{retry_at:?}");
    });
}

/// Everything that is not what we wrote: other types, other versions, cut short, made up, from the far future.
#[test]
fn what_is_not_ours_is_unavailable_and_stays_as_it_is() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = patient(&server.url(), &fresh_key());
        let first = [
            gate("k", 1, 5, HOUR),
            distinct("k", 1, HOUR),
            lock("k", HOUR, 2, HOUR),
            award("k", Signal::SpamVerdicts, 5, HOUR, HOUR),
            correspond("k", &[1], (HOUR, 0, HOUR)),
            disown(&key("k"), 0, 0, HOUR),
        ];
        apply(&counters, 0, &first).await.unwrap();
        let [tally, set, lock_key, purse, circle, spans] =
            ["*}t*", "*}s*", "*}l*", "*}p*", "*}c*", "*}d*"]
                .map(|sort| keys(&server, sort).remove(0));
        let asks = |key: &str| -> Vec<Op> {
            if key == tally {
                vec![gate("k", 1, 5, HOUR), read("k", HOUR), meter("k", 1, HOUR)]
            } else if key == set {
                vec![distinct("k", 2, HOUR), count("k", HOUR)]
            } else if key == purse {
                vec![
                    points("k", HOUR),
                    award("k", Signal::AuthFailures, 1, HOUR, HOUR),
                ]
            } else if key == circle {
                vec![correspond("k", &[2], (HOUR, 0, HOUR)), clear("k")]
            } else if key == spans {
                let mark = sekisho_policy::Key::new(b"k");
                vec![disown(&mark, 0, 0, HOUR), heed(&mark, &mark)]
            } else {
                vec![lock("k", HOUR, 2, HOUR), locked("k")]
            }
        };
        let head = "T\\x01\\x00";
        let zeros = "\\x00".repeat(19);
        let future = format!("{head}{zeros}{}{}", "\\x7f".repeat(6), "\\x00".repeat(7));
        let backwards = format!(
            "{head}{zeros}\\x00\\x00\\x00\\x00\\x00\\x09{0}\\x00\\x00\\x00\\x00\\x00\\x08{0}",
            "\\x00".repeat(7)
        );
        let endless = format!(
            "{head}{zeros}\\x00\\x00\\x00\\x00\\x00\\x09{}",
            "\\xff".repeat(7)
        );
        let newer = format!("T\\x02\\x00{zeros}{}", "\\x00".repeat(13));
        let huge = format!("{head}{zeros}{}", "\\x00".repeat(13 * 67));
        let points_to_come = format!("P\\x01{}\\x01{}", "\\x00".repeat(6), "\\x7f".repeat(10));
        let met_tomorrow = format!("C\\x01{}{}", "\\x00".repeat(24), "\\x7f".repeat(6));
        let locked_for_ever = format!("L\\x01{}\\x00\\x00\\x00\\x01", "\\x7f".repeat(6));
        let disowned_tomorrow = format!("D\\x01{}{}", "\\x00".repeat(12), "\\x7f".repeat(6));
        let strings = [
            "",
            "x",
            "12",
            &newer,
            &future,
            &backwards,
            &endless,
            &huge,
            head,
            &locked_for_ever,
            &points_to_come,
            &met_tomorrow,
            "P\\x01",
            "C\\x01",
            "D\\x01",
            &disowned_tomorrow,
        ];
        for key in [&tally, &set, &lock_key, &purse, &circle, &spans] {
            let written = strings.map(|value| format!("set {key} \"{value}\""));
            let others = [
                format!("lpush {key} a"),
                format!("hset {key} a b"),
                format!("zadd {key} inf member"),
                format!("zadd {key} -5 member"),
            ];
            for command in written.iter().chain(&others) {
                server.cli(&["del", key]);
                server.feed(command);
                let before = server.cli(&["dump", key]);
                for op in asks(key) {
                    let call = [op, meter("innocent", 1, HOUR)];
                    let refused = apply(&counters, 0, &call).await.expect_err(command);
                    assert_eq!(refused.cause, Cause::Protocol);
                    assert!(refused.why.contains(key.as_str()), "{}", refused.why);
                }
                assert_eq!(
                    server.cli(&["dump", key]),
                    before,
                    "it is left to look at: {command}"
                );
            }
            server.cli(&["del", key]);
        }
        // Nothing else of those calls was counted, and the server is not held for dead.
        let innocent = apply(&counters, 0, &[read("innocent", HOUR)])
            .await
            .unwrap();
        assert_eq!(innocent, [Outcome::Total(0)]);
        apply(&counters, 0, &first).await.unwrap();
    });
}

#[test]
fn keys_of_policy_are_named_by_what_they_are_about() {
    use sekisho_policy::key::{Scope, Subject, Subjects, Tally};
    use sekisho_policy::snapshot::{Kind, ObjectRef};
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let object = ObjectRef {
            kind: Kind::RateLimit,
            namespace: "mail".into(),
            name: "by-account".into(),
        };
        let subjects = Subjects::of(&[Subject::Account("office@example.jp")]);
        let op = |tally| Op::Meter {
            key: Scope::new(&object, tally, Millis(HOUR)).key(&subjects),
            cost: 1,
            window: Millis(HOUR),
        };
        let counters = patient(&server.url(), &fresh_key());
        apply(&counters, 0, &[op(Tally::Messages), op(Tally::Recipients)])
            .await
            .unwrap();
        let found = keys(&server, "*");
        let groups: Vec<_> = found.iter().map(|key| &key[..23]).collect();
        assert!(groups.len() == 2 && groups[0] == groups[1], "{found:?}");
    });
}

/// Older proxies wrote locks that do not say when they began: they hold, and any release ends them.
#[test]
fn a_lock_without_a_beginning_is_read_and_ended() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    run(async {
        let counters = travelling(Setup::single(&server.url(), fresh_key()));
        let asked = lock("k", HOUR, 2, 4 * HOUR);
        apply(&counters, DAY, std::slice::from_ref(&asked))
            .await
            .unwrap();
        let key = keys(&server, "*}l*").remove(0);
        let older = (DAY + HOUR).to_be_bytes();
        let octets = older[2..].iter().map(|octet| format!("\\x{octet:02x}"));
        let octets: String = octets.collect();
        server.feed(&format!(
            "set {key} \"L\\x01{octets}\\x00\\x00\\x00\\x01\" keepttl"
        ));
        let held = apply(&counters, DAY, &[locked("k")]).await.unwrap();
        assert_eq!(held, [until(DAY + HOUR)]);
        apply(&counters, DAY + 2, &[forgive("k", 1)]).await.unwrap();
        let ended = apply(&counters, DAY + 3, &[locked("k")]).await.unwrap();
        assert_eq!(ended, [Outcome::Until(None)]);
        let next = apply(&counters, DAY + 4, &[asked]).await.unwrap();
        assert_eq!(next, [until(DAY + 4 + 2 * HOUR)], "it goes on to count");
    });
}
