//! LoginGuard: what is counted before a backend is asked, and what becomes of attempts that are under way when a lock falls.

use proptest::prelude::*;
use sekisho_policy::decision::{Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Account, Millis, Op};

use crate::support::*;

const HOUR: Millis = Millis::HOUR;
const HALF: Millis = Millis(30 * Millis::MINUTE.0);
const MOST: u64 = 3;
const ME: &str = "a@example.jp";

fn guard(change: impl FnOnce(&mut LoginGuard)) -> RuleSpec {
    let mut spec = LoginGuard {
        per_account: Some(PerAccount {
            distinct_passwords: MOST,
            per: HOUR,
            lock: HALF,
        }),
        per_source: None,
        per_account_and_source: None,
        lock_growth: 2,
        max_lock: Millis::DAY,
        known_good: KnownGood::default(),
        decoys: None,
    };
    change(&mut spec);
    RuleSpec::LoginGuard(spec)
}

fn world(change: impl FnOnce(&mut LoginGuard)) -> World {
    World::new(vec![rule("guard", guard(change))])
}

fn shown(account: &str, password: Option<u8>) -> At {
    at(Stage::LoginShown {
        account: Account::canonical(account, None),
        password: password.map(|byte| [byte; 16]),
    })
}

fn right() -> At {
    at(Stage::LoginSucceeded)
}

fn says(world: &World, event: &At) -> String {
    code(&world.judge(&event.0))
}

/// As the proxy does once a backend said yes.
fn forgive(world: &World, shown: &At) {
    let ops = world.rules.forgive_login(&shown.0);
    now(world.counters.apply(shown.0.at, &ops)).unwrap();
}

#[test]
fn no_more_are_looked_at_at_once_than_may_fail() {
    let world = world(|_| {});
    for guess in 1..=3 {
        assert_eq!(says(&world, &shown(ME, Some(guess))), "ok", "guess {guess}");
    }
    let late = world.judge(&shown(ME, Some(4)).0);
    assert_eq!(code(&late), "454 4.7.0");
    assert_eq!(
        late.verdict.refusal().unwrap().reason,
        Reason::AccountLocked
    );
    assert!(late.records.is_empty(), "nobody has failed yet");
    assert_eq!(
        says(&world, &shown(ME, Some(2))),
        "ok",
        "what is under way already is no further guess"
    );
    assert_eq!(says(&world, &shown("b@example.jp", Some(4))), "ok");
    // The first that fails locks, and none of the others learns what it was.
    assert_eq!(says(&world, &failed(ME, Some(1))), "535 5.7.8");
    assert_eq!(says(&world, &failed(ME, Some(2))), "454 4.7.0");
    assert_eq!(says(&world, &right()), "454 4.7.0");
    assert_eq!(says(&world, &shown(ME, Some(9))), "454 4.7.0");
}

#[test]
fn who_was_right_is_not_counted() {
    let world = world(|_| {});
    for _ in 0..10 {
        let mine = shown(ME, Some(42));
        assert_eq!(says(&world, &mine), "ok");
        forgive(&world, &mine);
        assert_eq!(says(&world, &right()), "ok");
    }
    for guess in 1..=3 {
        assert_eq!(says(&world, &shown(ME, Some(guess))), "ok");
    }
    // Its own name takes back its own attempt, and nobody else's.
    forgive(&world, &shown("b@example.jp", Some(1)));
    forgive(&world, &shown(ME, Some(9)));
    assert_eq!(says(&world, &shown(ME, Some(4))), "454 4.7.0");
}

/// What was let in before a lock fell, and comes to be counted after it, does not slip into the set that the lock has cleared.
#[test]
fn nothing_slips_past_a_lock_that_falls_meanwhile() {
    let world = world(|_| {});
    assert_eq!(says(&world, &login(ME)), "ok");
    for guess in 1..=3 {
        says(&world, &failed(ME, Some(guess)));
    }
    // Nor do those that come too late fill that set: once the lock is over, as many are looked at as before.
    for late in 4..=9 {
        assert_eq!(says(&world, &shown(ME, Some(late))), "454 4.7.0");
    }
    for guess in 11..=13 {
        let later = shown(ME, Some(guess)).after(HALF);
        assert_eq!(says(&world, &later), "ok", "guess {guess}");
    }
    assert_eq!(says(&world, &shown(ME, Some(14)).after(HALF)), "454 4.7.0");
}

#[test]
fn a_known_good_network_is_not_kept_waiting_by_guesses() {
    let world = world(|_| {});
    let day = |n: u64| Millis(n * Millis::DAY.0);
    for n in 0..3 {
        assert_eq!(says(&world, &right().after(day(n))), "ok");
    }
    let elsewhere = |guess| shown(ME, Some(guess)).source("198.51.100.7").after(day(2));
    for guess in 1..=3 {
        assert_eq!(says(&world, &elsewhere(guess)), "ok");
    }
    assert_eq!(says(&world, &elsewhere(4)), "454 4.7.0");
    let home = world.judge(&shown(ME, Some(5)).after(day(2)).0);
    assert_eq!(code(&home), "ok");
    assert!(
        home.findings
            .iter()
            .any(|finding| finding.said == Said::Exempt)
    );
}

#[test]
fn a_shadow_guard_refuses_nothing_here_either() {
    let mut shadow = rule("guard", guard(|_| {}));
    shadow.enforcement = Enforcement::Shadow;
    let world = World::new(vec![shadow]);
    for guess in 1..=9 {
        assert_eq!(says(&world, &shown(ME, Some(guess))), "ok");
    }
    let decision = world.judge(&shown(ME, Some(10)).0);
    let late = decision
        .findings
        .iter()
        .find(|finding| finding.said == Said::Defer(Reason::AccountLocked));
    assert_eq!(
        late.unwrap().saw,
        "3 of 3 distinct passwords in 1h failed or are under way"
    );
}

#[test]
fn without_an_account_part_nothing_is_asked() {
    let world = world(|spec| {
        spec.per_account = None;
        spec.per_account_and_source = Some(PerPair {
            failures: 3,
            per: HOUR,
            lock: HALF,
        });
    });
    let event = shown(ME, Some(1)).0;
    assert!(!world.rules.counts_logins_shown(&event));
    assert!(world.rules.forgive_login(&event).is_empty());
}

#[test]
fn without_counters_the_password_check_goes_on() {
    let world = world(|_| {});
    let decision = world.judge_without_counters(&shown(ME, Some(1)).0);
    assert_eq!(code(&decision), "ok");
    for guess in 1..=3 {
        let decision = world.judge_alone(&shown(ME, Some(guess)).0);
        assert_eq!(code(&decision), "ok");
    }
    assert_eq!(
        code(&world.judge_alone(&shown(ME, Some(4)).0)),
        "454 4.7.0",
        "a process that counts alone"
    );
}

/// Sources are not counted in advance, but what is under way when their number is reached hears what all hear from then on: before the lock is
/// set, which is a call of its own.
#[test]
fn what_is_under_way_when_a_source_is_locked_learns_nothing() {
    let world = world(|spec| {
        spec.per_account = None;
        spec.per_source = Some(PerSource {
            distinct_accounts: Some(MOST),
            failed_pairs: None,
            per: HOUR,
            lock: HALF,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        });
    });
    let judge_before_records = |event: &At| {
        let plan = world.rules.plan(&event.0);
        let (results, _) = now(world.counters.apply(event.0.at, plan.ops())).unwrap();
        plan.decide(Ok(&results))
    };
    let fail = |name: &str| judge_before_records(&failed(name, Some(1)));
    assert_eq!(code(&fail("a@x")), "535 5.7.8");
    assert_eq!(code(&fail("b@x")), "535 5.7.8");
    assert_eq!(code(&judge_before_records(&right())), "ok");
    let last = fail("c@x");
    assert_eq!(code(&last), "535 5.7.8");
    assert!(last.records.iter().any(|op| matches!(op, Op::Lock { .. })));
    assert_eq!(code(&judge_before_records(&right())), "454 4.7.0");
    assert_eq!(code(&fail("d@x")), "454 4.7.0");
    assert_eq!(
        code(&judge_before_records(&right().source("198.51.100.9"))),
        "ok"
    );
}

/// A program that goes on with an old password that nobody can see: whatever the time, it is one for its account and one for its source,
/// while its pair of account and source is locked and locked again.
#[test]
fn a_stale_program_that_hides_its_password_locks_nobody_else() {
    let world = world(|spec| {
        spec.per_source = Some(PerSource {
            distinct_accounts: Some(3),
            failed_pairs: Some(3),
            per: HOUR,
            lock: HALF,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        });
        spec.per_account_and_source = Some(PerPair {
            failures: 4,
            per: HALF,
            lock: HALF,
        });
    });
    let mut looked_at = 0;
    for minute in 0..24 * 60 {
        let after = Millis(minute * Millis::MINUTE.0);
        if says(&world, &login(ME).after(after)) != "ok" {
            continue;
        }
        assert_eq!(says(&world, &shown(ME, None).after(after)), "ok");
        says(&world, &failed(ME, None).after(after));
        looked_at += 1;
        let elsewhere = login(ME).source("198.51.100.9").after(after);
        assert_eq!(says(&world, &elsewhere), "ok", "minute {minute}");
        assert_eq!(says(&world, &login("b@x").after(after)), "ok");
    }
    // Four attempts in four minutes, and a lock of 30 minutes from the fourth on: these do not grow, for its owner sits beside it.
    assert_eq!(looked_at, (24 * 60_usize).div_ceil(33) * 4);
}

/// Sets hold no more: a number that is never reached would lock nobody.
#[test]
fn numbers_above_what_can_be_counted_lock_at_what_can() {
    let world = world(|spec| {
        spec.per_account = Some(PerAccount {
            distinct_passwords: 5_000,
            per: HOUR,
            lock: HALF,
        });
    });
    for guess in 0..1_024_u32 {
        let mut item = [0; 16];
        item[..4].copy_from_slice(&guess.to_be_bytes());
        let mut event = failed(ME, None);
        event.0.stage = Stage::LoginFailed {
            account: Some(Account::canonical(ME, None)),
            password: Some(item),
        };
        assert_eq!(says(&world, &event), "535 5.7.8", "guess {guess}");
    }
    assert_eq!(says(&world, &login(ME)), "454 4.7.0");
}

/// Where addresses are not the clients' own, nothing limits a pair, and hidden passwords go on counting by the minute.
#[test]
fn a_source_that_is_nobodys_excuses_nobody() {
    let world = world(|spec| {
        spec.per_account_and_source = Some(PerPair {
            failures: 4,
            per: HALF,
            lock: HALF,
        });
    });
    let fail = |minute: u64| {
        let mut event = failed(ME, None).after(Millis(minute * Millis::MINUTE.0));
        std::sync::Arc::make_mut(&mut event.0.session).source.trust = SourceTrust::Untrusted;
        says(&world, &event)
    };
    for minute in 0..3 {
        assert_eq!(fail(minute), "535 5.7.8");
    }
    assert_eq!(says(&world, &login(ME)), "454 4.7.0");
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Begin(u8),
    End(u8),
}

proptest! {
    /// Whatever begins and ends when: between two locks no more different passwords are looked at than lock, and what was told to be wrong or
    /// right is among them.
    #[test]
    fn the_bound_holds_in_any_order(
        turns in prop::collection::vec(
            prop_oneof![(0u8..12).prop_map(Turn::Begin), (0u8..12).prop_map(Turn::End)], 0..80),
        secret in 0u8..12,
    ) {
        let world = world(|_| {});
        let (mut under_way, mut looked_at) = (Vec::new(), std::collections::BTreeSet::new());
        for turn in turns {
            match turn {
                Turn::Begin(password) => {
                    if says(&world, &login(ME)) == "ok" && says(&world, &shown(ME, Some(password))) == "ok" {
                        under_way.push(password);
                        if password != secret {
                            looked_at.insert(password);
                        }
                    }
                }
                Turn::End(password) => {
                    let Some(at) = under_way.iter().position(|other| *other == password) else { continue };
                    under_way.remove(at);
                    if password == secret {
                        forgive(&world, &shown(ME, Some(password)));
                        says(&world, &right());
                    } else {
                        says(&world, &failed(ME, Some(password)));
                    }
                }
            }
        }
        // No time passes, so there is one lock at most.
        prop_assert!(looked_at.len() as u64 <= MOST, "{looked_at:?}");
    }
}
