//! LoginGuard: locks by account, by source and by both, without an oracle and without locking honest people out.

use sekisho_policy::decision::{Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::op::Op;
use sekisho_policy::restriction::Standing;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Level, Millis, Origin, Restriction, Ruleset};

use crate::support::*;

const MINUTE: u64 = Millis::MINUTE.0;

fn guard() -> LoginGuard {
    LoginGuard {
        per_account: None,
        per_source: None,
        per_account_and_source: None,
        lock_growth: 2,
        max_lock: Millis::DAY,
        known_good: KnownGood::default(),
        decoys: None,
    }
}

fn per_account() -> PerAccount {
    PerAccount {
        distinct_passwords: 3,
        per: Millis::HOUR,
        lock: Millis(30 * MINUTE),
    }
}

fn per_source() -> PerSource {
    PerSource {
        distinct_accounts: Some(3),
        failed_pairs: Some(5),
        per: Millis::HOUR,
        lock: Millis::HOUR,
        ipv4_prefix: 32,
        ipv6_prefix: 64,
    }
}

fn per_pair() -> PerPair {
    PerPair {
        failures: 4,
        per: Millis(15 * MINUTE),
        lock: Millis(15 * MINUTE),
    }
}

fn world(change: impl FnOnce(&mut LoginGuard)) -> World {
    let mut spec = guard();
    change(&mut spec);
    World::new(vec![rule("guard", RuleSpec::LoginGuard(spec))])
}

fn asks(world: &World, event: At) -> String {
    code(&world.judge(&event.0))
}

/// Guesses that were let in together before any of them failed: those that come back after the lock are answered alike.
#[test]
fn a_burst_of_guesses_does_not_outrun_the_lock() {
    let world = world(|spec| spec.per_account = Some(per_account()));
    let account = "a@example.jp";
    for guess in 1..=3 {
        let decision = world.judge(&failed(account, Some(guess)).0);
        assert_eq!(code(&decision), "535 5.7.8", "guess {guess}");
    }
    let wrong = world.judge(&failed(account, Some(4)).0);
    let right = world.judge(&at(Stage::LoginSucceeded).0);
    assert_eq!(code(&wrong), "454 4.7.0");
    assert_eq!(code(&right), "454 4.7.0");
    assert_eq!(
        wrong.verdict.refusal().unwrap().text,
        right.verdict.refusal().unwrap().text
    );
}

#[test]
fn distinct_passwords_lock_the_account() {
    let world = world(|spec| spec.per_account = Some(per_account()));
    for _ in 0..20 {
        world.judge(&failed("a@example.jp", Some(1)).0);
    }
    assert_eq!(
        asks(&world, login("a@example.jp")),
        "ok",
        "one stale password locks nobody"
    );
    world.judge(&failed("a@example.jp", Some(2)).source("198.51.100.2").0);
    let decision = world.judge(&failed("a@example.jp", Some(3)).source("198.51.100.3").0);
    assert_eq!(
        finding(&decision, "spec.perAccount").saw,
        "3 of 3 distinct passwords in 1h, locked"
    );
    assert_eq!(
        said(&decision, "spec.perAccount"),
        Said::Noted(Reason::AccountLocked)
    );
    assert_eq!(
        code(&decision),
        "535 5.7.8",
        "the reply is that of a wrong password"
    );
    let locked = world.judge(&login("a@example.jp").source("192.0.2.1").0);
    assert_eq!(code(&locked), "454 4.7.0");
    assert_eq!(
        locked.verdict.refusal().unwrap().reason,
        Reason::AccountLocked
    );
    assert_eq!(asks(&world, login("b@example.jp")), "ok");
    assert_eq!(
        asks(&world, login("a@example.jp").after(Millis(30 * MINUTE))),
        "ok",
        "the lock ends"
    );
}

#[test]
fn unknown_accounts_are_treated_alike() {
    let world = world(|spec| {
        spec.per_account = Some(per_account());
        spec.per_source = Some(per_source());
        spec.per_account_and_source = Some(per_pair());
    });
    let ops = |account: &str| world.rules.plan(&login(account).0).ops().len();
    assert_eq!(ops("a@example.jp"), ops("nobody@example.jp"));
    let texts: Vec<_> = ["a@example.jp", "nobody@example.jp"]
        .into_iter()
        .map(|account| {
            for password in 0..3 {
                world.judge(&failed(account, Some(password)).0);
            }
            world
                .judge(&login(account).0)
                .verdict
                .refusal()
                .unwrap()
                .text
                .clone()
        })
        .collect();
    assert_eq!(texts[0], texts[1]);
}

/// Locks by account, source and pair read alike, so that nobody learns which it was.
#[test]
fn locks_read_alike() {
    let mut texts = Vec::new();
    for change in [
        (|spec: &mut LoginGuard| spec.per_account = Some(per_account())) as fn(&mut LoginGuard),
        |spec| spec.per_source = Some(per_source()),
        |spec| spec.per_account_and_source = Some(per_pair()),
    ] {
        let world = world(change);
        for password in 0..6 {
            world.judge(&failed("a@example.jp", Some(password)).0);
        }
        let decision = world.judge(&login("a@example.jp").0);
        assert_eq!(code(&decision), "454 4.7.0");
        texts.push(decision.verdict.refusal().unwrap().text.clone());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1);
}

#[test]
fn distinct_accounts_lock_the_source() {
    let world = world(|spec| spec.per_source = Some(per_source()));
    for account in ["a@x", "a@x", "a@x", "b@x"] {
        world.judge(&failed(account, Some(1)).0);
    }
    assert_eq!(asks(&world, login("z@x")), "ok");
    let decision = world.judge(&failed("c@x", Some(1)).0);
    assert_eq!(
        said(&decision, "spec.perSource.distinctAccounts"),
        Said::Noted(Reason::SourceLocked)
    );
    assert_eq!(asks(&world, login("z@x")), "454 4.7.0");
    assert_eq!(
        asks(&world, login("z@x").source("203.0.113.10")),
        "ok",
        "the next address is another source"
    );
}

/// One stale printer must not lock an office: its pair is one, however often it fails.
#[test]
fn distinct_pairs_lock_the_source() {
    let world = world(|spec| {
        spec.per_source = Some(PerSource {
            distinct_accounts: None,
            ..per_source()
        })
    });
    for minute in 0..50 {
        world.judge(
            &failed("printer@x", Some(9))
                .after(Millis(minute * MINUTE))
                .0,
        );
    }
    assert_eq!(asks(&world, login("a@x").after(Millis(50 * MINUTE))), "ok");
    for password in 0..4 {
        world.judge(&failed("a@x", Some(password)).after(Millis(50 * MINUTE)).0);
    }
    assert_eq!(
        asks(&world, login("a@x").after(Millis(50 * MINUTE))),
        "454 4.7.0"
    );
}

#[test]
fn sources_are_as_wide_as_the_guard_says() {
    let world = world(|spec| {
        spec.per_source = Some(PerSource {
            ipv4_prefix: 24,
            ..per_source()
        })
    });
    for (account, source) in [
        ("a@x", "203.0.113.1"),
        ("b@x", "203.0.113.2"),
        ("c@x", "203.0.113.3"),
    ] {
        world.judge(&failed(account, Some(1)).source(source).0);
    }
    assert_eq!(
        asks(&world, login("z@x").source("203.0.113.200")),
        "454 4.7.0"
    );
    assert_eq!(asks(&world, login("z@x").source("203.0.114.1")), "ok");
    for account in ["a@x", "b@x", "c@x"] {
        world.judge(&failed(account, Some(1)).source("2001:db8::1").0);
    }
    assert_eq!(
        asks(&world, login("z@x").source("2001:db8::ffff:1")),
        "454 4.7.0",
        "the same /64"
    );
    assert_eq!(asks(&world, login("z@x").source("2001:db8:0:1::1")), "ok");
}

#[test]
fn failures_lock_the_pair_alone() {
    let world = world(|spec| spec.per_account_and_source = Some(per_pair()));
    for _ in 0..4 {
        world.judge(&failed("a@x", Some(1)).0);
    }
    assert_eq!(asks(&world, login("a@x")), "454 4.7.0");
    assert_eq!(asks(&world, login("b@x")), "ok");
    assert_eq!(asks(&world, login("a@x").source("192.0.2.1")), "ok");
}

/// The tallies that led to a lock are cleared by it; each further lock lasts longer.
#[test]
fn locks_grow_and_start_afresh() {
    let world = world(|spec| spec.per_account = Some(per_account()));
    let fail = |at: u64, password| world.judge(&failed("a@x", Some(password)).after(Millis(at)).0);
    let is_locked = |at: u64| asks(&world, login("a@x").after(Millis(at))) == "454 4.7.0";
    (0..3).for_each(|password| drop(fail(0, password)));
    assert!(is_locked(30 * MINUTE - 1) && !is_locked(30 * MINUTE));
    // Within the hour, yet the count began anew.
    fail(31 * MINUTE, 3);
    fail(31 * MINUTE, 4);
    assert!(!is_locked(31 * MINUTE));
    fail(31 * MINUTE, 5);
    assert!(
        is_locked(91 * MINUTE - 1) && !is_locked(91 * MINUTE),
        "twice as long"
    );
}

/// A mechanism that hides the password counts one failure for each account, source and minute.
#[test]
fn hidden_passwords_count_by_the_minute() {
    let world = world(|spec| spec.per_account = Some(per_account()));
    for _ in 0..10 {
        world.judge(&failed("a@x", None).0);
    }
    let total = |event: At| {
        finding(&world.judge(&event.0), "spec.perAccount")
            .saw
            .clone()
    };
    assert_eq!(
        total(failed("a@x", None)),
        "1 of 3 distinct passwords in 1h"
    );
    assert_eq!(
        total(failed("a@x", None).source("192.0.2.7")),
        "2 of 3 distinct passwords in 1h"
    );
    assert_eq!(
        total(failed("a@x", None).after(Millis::MINUTE)),
        "3 of 3 distinct passwords in 1h, locked"
    );
}

/// After logins on three different days, an account passes its own lock and the source's from there, but never the pair's.
#[test]
fn known_good_networks_pass() {
    let world = world(|spec| {
        spec.per_account = Some(per_account());
        spec.per_source = Some(PerSource {
            failed_pairs: None,
            ..per_source()
        });
        spec.per_account_and_source = Some(per_pair());
    });
    let day = |n: u64| Millis(n * Millis::DAY.0);
    let good = |n| {
        world
            .judge(&at(Stage::LoginSucceeded).after(day(n)).0)
            .network
    };
    assert_eq!(
        [good(0), good(0), good(1), good(2)],
        [Network::New, Network::New, Network::New, Network::KnownGood]
    );
    let attack = |account: &str, password| {
        world.judge(
            &failed(account, Some(password))
                .source("192.0.2.66")
                .after(day(2))
                .0,
        );
    };
    (0..3).for_each(|password| attack("a@example.jp", password));
    let home = || login("a@example.jp").after(day(2));
    let decision = world.judge(&home().0);
    assert_eq!(
        (code(&decision).as_str(), decision.network),
        ("ok", Network::KnownGood)
    );
    assert_eq!(said(&decision, "spec.perAccount"), Said::Exempt);
    assert_eq!(
        asks(&world, home().source("203.0.113.250")),
        "ok",
        "the same /24"
    );
    assert_eq!(
        asks(&world, home().source("203.0.114.9")),
        "454 4.7.0",
        "another network"
    );
    assert_eq!(
        asks(
            &world,
            login("b@example.jp").source("192.0.2.66").after(day(2))
        ),
        "ok",
        "the source is not locked yet"
    );
    // Somebody else behind the same address locks the source; the known-good pair passes, others do not.
    for account in ["x@x", "y@x", "z@x"] {
        world.judge(&failed(account, Some(1)).after(day(2)).0);
    }
    assert_eq!(
        asks(&world, login("new@example.jp").after(day(2))),
        "454 4.7.0"
    );
    assert_eq!(asks(&world, home()), "ok");
    // Its own failures from there still count towards the pair.
    for _ in 0..4 {
        world.judge(&failed("a@example.jp", Some(77)).after(day(2)).0);
    }
    assert_eq!(asks(&world, home()), "454 4.7.0");
    // Days are forgotten after `keep`.
    assert_eq!(
        world.judge(&login("a@example.jp").after(day(40)).0).network,
        Network::New
    );
}

/// The brake needs known-good networks, so that they are learnt without a guard, and a guard that comes later knows them.
#[test]
fn networks_are_learnt_without_a_guard() {
    let learns = |world: &World| match world.rules.plan(&at(Stage::LoginSucceeded).0).ops() {
        [Op::Heed { .. }, Op::Distinct { key, .. }] => key.clone(),
        other => panic!("{other:?}"),
    };
    let bare = World::new(Vec::new());
    assert_eq!(learns(&bare), learns(&world(|_| {})));
    let days = (0..3).map(|day| {
        bare.judge(
            &at(Stage::LoginSucceeded)
                .after(Millis(day * Millis::DAY.0))
                .0,
        )
        .network
    });
    assert_eq!(days.last(), Some(Network::KnownGood));
    let login = login("a@example.jp").after(Millis(2 * Millis::DAY.0));
    assert_eq!(bare.judge(&login.0).network, Network::KnownGood);
    let strict = world(|spec| spec.known_good.after_days = 1);
    assert_eq!(
        strict.judge(&at(Stage::LoginSucceeded).0).network,
        Network::KnownGood
    );
    // From MAIL on, the event's account says it.
    let mut mail = at(Stage::Mail).0;
    assert_eq!(bare.judge(&mail).network, Network::New);
    std::sync::Arc::make_mut(mail.account.as_mut().unwrap()).network = Network::KnownGood;
    assert_eq!(bare.judge(&mail).network, Network::KnownGood);
}

/// Who is logged in while something restricts the account may be the thief.
#[test]
fn nothing_is_learnt_of_an_account_that_is_restricted() {
    let world = world(|_| {});
    let mut event = at(Stage::LoginSucceeded).0;
    let restriction = Restriction {
        level: Level::Watch,
        since: event.at,
        until: None,
        origin: Origin::Desk,
        why: "".into(),
        decision: None,
        recipients_per_hour: None,
        then: None,
    };
    let standing = Standing::of([&restriction], event.at).unwrap();
    let account = std::sync::Arc::make_mut(event.account.as_mut().unwrap());
    account.standing = Some(Box::new(standing));
    let plan = world.rules.plan(&event);
    assert!(
        matches!(plan.ops(), [Op::Heed { .. }, Op::Count { .. }]),
        "{:?}",
        plan.ops()
    );
}

#[test]
fn decoys() {
    let with = |action| {
        world(|spec| {
            spec.per_source = Some(per_source());
            spec.decoys = Some(Decoys {
                accounts: vec!["admin@example.jp".into()],
                action,
            });
        })
    };
    for (action, after) in [
        (DecoyAction::Points, "ok"),
        (DecoyAction::LockSource, "454 4.7.0"),
    ] {
        let world = with(action);
        let decision = world.judge(&login("admin@example.jp").0);
        assert_eq!(
            code(&decision),
            "ok",
            "no oracle: the decoy reads like any account"
        );
        assert_eq!(
            said(&decision, "spec.decoys"),
            Said::Noted(Reason::DecoyTouched)
        );
        assert_eq!(asks(&world, login("a@example.jp")), after, "{action:?}");
        assert_eq!(
            asks(&world, login("a@example.jp").source("192.0.2.1")),
            "ok"
        );
    }
}

/// Refusing every login because counters are out would be worse than what the guard wards off.
#[test]
fn without_counters_the_password_check_goes_on() {
    let world = world(|spec| spec.per_account = Some(per_account()));
    let decision = world.judge_without_counters(&login("a@x").0);
    assert_eq!(
        (code(&decision).as_str(), decision.network),
        ("ok", Network::New)
    );
    assert_eq!(said(&decision, "spec.perAccount"), Said::Unjudged);
    let decision = world.judge_without_counters(&failed("a@x", Some(1)).0);
    assert_eq!(
        (code(&decision).as_str(), decision.records.len()),
        ("535 5.7.8", 0)
    );
}

#[test]
fn shadow_shows_the_lock_and_lets_pass() {
    let mut shadow = rule(
        "guard",
        RuleSpec::LoginGuard(LoginGuard {
            per_account: Some(per_account()),
            ..guard()
        }),
    );
    shadow.enforcement = Enforcement::Shadow;
    let world = World::new(vec![shadow]);
    (0..3).for_each(|password| drop(world.judge(&failed("a@x", Some(password)).0)));
    let decision = world.judge(&login("a@x").0);
    assert_eq!(code(&decision), "ok");
    assert_eq!(
        said(&decision, "spec.perAccount"),
        Said::Defer(Reason::AccountLocked)
    );
}

/// One failure can reach both of the source's numbers; it locks once, and clears both.
#[test]
fn a_source_is_locked_once() {
    let world = world(|spec| {
        spec.per_source = Some(PerSource {
            failed_pairs: Some(3),
            ..per_source()
        })
    });
    let [.., last] =
        ["a@x", "b@x", "c@x"].map(|account| world.judge(&failed(account, Some(1)).0).records);
    let count = |wanted: fn(&Op) -> bool| last.iter().filter(|op| wanted(op)).count();
    assert_eq!(count(|op| matches!(op, Op::Lock { .. })), 1);
    assert_eq!(count(|op| matches!(op, Op::Clear { .. })), 2);
}

#[test]
fn guards_that_cannot_be_put_in_force() {
    for (change, part) in [
        (
            (|spec: &mut LoginGuard| spec.lock_growth = 0) as fn(&mut LoginGuard),
            "spec.lockGrowth",
        ),
        (|spec| spec.known_good.after_days = 0, "spec.knownGood"),
        (
            |spec| {
                spec.per_account = Some(PerAccount {
                    per: Millis(0),
                    ..per_account()
                })
            },
            "spec.perAccount",
        ),
        (
            |spec| {
                spec.per_source = Some(PerSource {
                    failed_pairs: Some(0),
                    ..per_source()
                })
            },
            "spec.perSource",
        ),
        (
            |spec| {
                spec.decoys = Some(Decoys {
                    accounts: vec!["x".into()],
                    action: DecoyAction::LockSource,
                })
            },
            "spec.decoys.action",
        ),
    ] {
        let mut spec = guard();
        change(&mut spec);
        let error = Ruleset::load(&envelope(snapshot(vec![rule(
            "guard",
            RuleSpec::LoginGuard(spec),
        )])))
        .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("LoginGuard/mail/guard: {part}: ")),
            "{error}"
        );
    }
}

/// Failures that name no account lock no account, and are one for each source and minute.
#[test]
fn a_token_that_names_nobody_counts_for_its_source_alone() {
    let world = world(|spec| {
        spec.per_account = Some(PerAccount {
            distinct_passwords: 1,
            ..per_account()
        });
        spec.per_account_and_source = Some(PerPair {
            failures: 1,
            ..per_pair()
        });
        spec.per_source = Some(PerSource {
            failed_pairs: Some(2),
            ..per_source()
        });
    });
    let nobody = |minute: u64| {
        let stage = Stage::LoginFailed {
            account: None,
            password: None,
        };
        at(stage).anonymous().after(Millis(minute * MINUTE))
    };
    for _ in 0..5 {
        assert_eq!(asks(&world, nobody(0)), "535 5.7.8");
    }
    assert_eq!(asks(&world, login("a@example.jp")), "ok");
    world.judge(&nobody(1).0);
    let later = login("a@example.jp").after(Millis(MINUTE));
    let locked = world.judge(&later.0);
    assert_eq!(
        locked.verdict.refusal().unwrap().reason,
        Reason::SourceLocked
    );
}

/// Before anybody knows whose login it is, what goes by the source is asked, and what goes by accounts is not.
#[test]
fn a_login_without_a_name_is_judged_by_its_source() {
    let world = world(|spec| {
        spec.per_source = Some(PerSource {
            distinct_accounts: None,
            failed_pairs: Some(2),
            per: Millis::HOUR,
            lock: Millis::HOUR,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        });
    });
    assert_eq!(asks(&world, nameless_login()), "ok");
    for account in ["a@x", "b@x"] {
        world.judge(&failed(account, Some(1)).0);
    }
    assert_eq!(asks(&world, nameless_login()), "454 4.7.0");
    assert_eq!(
        asks(&world, nameless_login().source("203.0.113.77")),
        "ok",
        "elsewhere"
    );
    let event = nameless_login().0;
    assert!(event.may_be_asked_again() && !login("a@x").0.may_be_asked_again());
    let written = serde_json::to_value(&event.stage).unwrap();
    assert_eq!(written, serde_json::json!({ "login": {} }));
    let read: Stage = serde_json::from_value(written).unwrap();
    assert_eq!(read, event.stage);
}
