//! What the user of a proxy may do, as docs/limits.md has operators grant it: enough for whatever is asked, and nothing beyond it.

use std::collections::BTreeSet;

use sekisho_policy::Signal;

use super::*;

const SCRIPT: &str = include_str!("../../../src/redis/script.lua");
const DAY: u64 = 24 * HOUR;

/// The commands that the script gives, each named where it is given.
fn commands_of_script() -> BTreeSet<String> {
    let calls = SCRIPT.split("redis.").skip(1);
    let calls = calls.filter_map(|call| call.strip_prefix("call(").or(call.strip_prefix("pcall(")));
    let name = |call: &str| {
        let name = call
            .strip_prefix('\'')
            .and_then(|call| call.split_once('\''));
        let (name, _) = name.unwrap_or_else(|| panic!("a command without a name: {call:.40}"));
        name.to_lowercase()
    };
    calls.map(name).collect()
}

#[test]
fn the_documented_user_may_give_the_commands_of_the_script_and_no_other() {
    let mut given = commands_of_script();
    assert!(given.contains("set") && given.contains("zadd"), "{given:?}");
    // Beside the script we ask whether keys are thrown away when memory is full.
    given.insert("info|memory".to_owned());
    let user = RedisUser::documented();
    let granted: BTreeSet<_> = user.commands().map(str::to_owned).collect();
    assert_eq!(granted, given);
}

/// Everything that can be asked, in an order in which each has something to do.
fn one_of_each() -> Vec<Op> {
    let ops = vec![
        gate("k", 1, 5, HOUR),
        meter("k", 1, HOUR),
        read("k", HOUR),
        distinct("k", 1, HOUR),
        admit("k", 2, 5, HOUR),
        count("k", HOUR),
        forget("k", 2),
        award("k", Signal::SpamVerdicts, 5, HOUR, DAY),
        points("k", DAY),
        correspond("k", &[1, 2], (DAY, 0, DAY)),
        lock("k", HOUR, 2, DAY),
        locked("k"),
        forgive("k", HOUR),
        disown(&key("k"), 0, HOUR, DAY),
        heed(&key("k"), &key("k")),
        clear("k"),
    ];
    // A new one does not compile until it has a place here, and is not found until it is asked above.
    let place = |op: &Op| match op {
        Op::Gate { .. } => 0,
        Op::Meter { .. } => 1,
        Op::Read { .. } => 2,
        Op::Distinct { .. } => 3,
        Op::Admit { .. } => 4,
        Op::Forget { .. } => 5,
        Op::Count { .. } => 6,
        Op::Lock { .. } => 7,
        Op::Locked { .. } => 8,
        Op::Award { .. } => 9,
        Op::Points { .. } => 10,
        Op::Correspond { .. } => 11,
        Op::Forgive { .. } => 12,
        Op::Clear { .. } => 13,
        Op::Disown { .. } => 14,
        Op::Heed { .. } => 15,
    };
    let places: BTreeSet<_> = ops.iter().map(place).collect();
    assert!(places.into_iter().eq(0..16));
    ops
}

#[test]
fn the_documented_user_may_ask_everything() {
    let (Some(server), user) = (RedisServer::start(), RedisUser::documented()) else {
        return;
    };
    server.allow(&user);
    let setup = || by(&user, Setup::single(&server.url(), fresh_key()));
    run(async {
        let counters = travelling(setup());
        for op in one_of_each() {
            let asked = apply(&counters, HOUR, std::slice::from_ref(&op)).await;
            assert!(asked.is_ok(), "{op:?}: {asked:?}");
        }
        // What an account did before it was released, and what it did since: each kind is cut, and not only deleted.
        let before = [
            meter("f", 1, DAY),
            distinct("f", 1, DAY),
            award("f", Signal::SpamVerdicts, 5, 1, DAY),
            correspond("f", &[1], (DAY, 0, DAY)),
        ];
        for at in [HOUR, 3 * HOUR] {
            apply(&counters, at, &before).await.unwrap();
        }
        let held = [lock("f", 4 * HOUR, 2, DAY), forgive("f", 2 * HOUR)];
        apply(&counters, 3 * HOUR, &held).await.unwrap();
        let held = apply(&counters, 3 * HOUR, &[locked("f")]).await.unwrap();
        assert_eq!(held, [until(7 * HOUR)], "it began later");
        let released = [forgive("f", 3 * HOUR), locked("f")];
        let outcomes = apply(&counters, 3 * HOUR + 1, &released).await.unwrap();
        assert_eq!(outcomes, [Outcome::Done, Outcome::Until(None)]);

        // What is charged, charged ahead, and given back.
        let counters = travelling(leases::lending(setup(), leases::EAGER));
        let ops = [gate("k", 1, 1_000, HOUR)];
        for at in HOUR..HOUR + 3 {
            let (results, receipt) = counters.apply(Timestamp(at), &ops).await.unwrap();
            assert!(results.all_passed());
            counters.give_back(receipt.expect("charged")).await;
        }
        assert!(leases::redis_of(&counters).take_lease_counts().taken > 0);
        counters.retire().await;
        let held = apply(&counters, HOUR + 3, &[read("k", HOUR)])
            .await
            .unwrap();
        assert_eq!(held, [Outcome::Total(0)], "all of it was given back");
    });
}
