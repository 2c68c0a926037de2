//! What a release means for logins: locks that end, and networks that are known to be good no more. And who passes a lock because others
//! have looked at his password.

use sekisho_policy::decision::Said;
use sekisho_policy::event::*;
use sekisho_policy::snapshot::*;
use sekisho_policy::states::{UNNOTICED, disowned_by_both, incident};
use sekisho_policy::{Account, Millis, Span, Timestamp};

use crate::support::*;

const HOUR: Millis = Millis::HOUR;
const MINUTE: u64 = Millis::MINUTE.0;
const ME: &str = "a@example.jp";
const HOME: &str = "203.0.113.9";
const THIEF: &str = "198.51.100.7";

/// Three wrong passwords lock the account for half an hour, three failures from one source the pair.
fn world() -> World {
    let guard = LoginGuard {
        per_account: Some(PerAccount {
            distinct_passwords: 3,
            per: HOUR,
            lock: Millis(30 * MINUTE),
        }),
        per_source: None,
        per_account_and_source: Some(PerPair {
            failures: 3,
            per: HOUR,
            lock: Millis(30 * MINUTE),
        }),
        lock_growth: 2,
        max_lock: Millis::DAY,
        known_good: KnownGood::default(),
        decoys: None,
    };
    World::new(vec![rule("guard", RuleSpec::LoginGuard(guard))])
}

fn me() -> Account {
    Account::canonical(ME, None)
}

/// Wrong passwords, each from another source.
fn guess(world: &World, guesses: std::ops::Range<u8>, after: u64) {
    for guess in guesses {
        let source = format!("192.0.2.{guess}");
        let wrong = failed(ME, Some(guess)).source(&source).after(Millis(after));
        world.judge(&wrong.0);
    }
}

fn asks(world: &World, source: &str, after: u64) -> String {
    code(&world.judge(&login(ME).source(source).after(Millis(after)).0))
}

/// As a proxy does that hears of a release.
fn release(world: &World, of: Option<&ObjectRef>, at: u64, heard: u64) {
    let heard = START.plus(Millis(heard));
    let ops = world.rules.pardon(&me(), of, START.plus(Millis(at)), heard);
    now(world.counters.apply(heard, &ops)).unwrap();
}

#[test]
fn a_release_from_everything_ends_the_lock_of_the_account() {
    let world = world();
    guess(&world, 1..4, 0);
    assert_eq!(asks(&world, THIEF, MINUTE), "454 4.7.0");
    let guard = object(Kind::LoginGuard, "guard");
    release(&world, Some(&guard), 2 * MINUTE, 2 * MINUTE);
    assert_eq!(asks(&world, THIEF, 2 * MINUTE), "454 4.7.0", "of one rule");
    release(&world, None, 2 * MINUTE, 2 * MINUTE);
    assert_eq!(asks(&world, THIEF, 2 * MINUTE), "ok");
    // What was guessed before counts no more.
    guess(&world, 11..13, 3 * MINUTE);
    assert_eq!(asks(&world, THIEF, 4 * MINUTE), "ok");
    guess(&world, 13..14, 5 * MINUTE);
    assert_eq!(asks(&world, THIEF, 6 * MINUTE), "454 4.7.0");
    // Whoever hears of it late, or says it again, ends nothing that came since.
    release(&world, None, 2 * MINUTE, 7 * MINUTE);
    assert_eq!(asks(&world, THIEF, 7 * MINUTE), "454 4.7.0");
    // Nor does a release forget how many locks there were: this one is twice as long.
    assert_eq!(asks(&world, THIEF, 64 * MINUTE), "454 4.7.0");
    assert_eq!(asks(&world, THIEF, 66 * MINUTE), "ok");
}

#[test]
fn a_release_forgets_what_is_on_its_way_to_a_lock() {
    let world = world();
    guess(&world, 1..3, 0);
    release(&world, None, MINUTE, 2 * MINUTE);
    guess(&world, 3..5, 3 * MINUTE);
    assert_eq!(asks(&world, THIEF, 4 * MINUTE), "ok");
    guess(&world, 5..6, 5 * MINUTE);
    assert_eq!(asks(&world, THIEF, 6 * MINUTE), "454 4.7.0");
}

#[test]
fn the_lock_of_a_pair_stays() {
    let world = world();
    for _ in 0..3 {
        world.judge(&failed(ME, Some(1)).source(THIEF).0);
    }
    assert_eq!(asks(&world, THIEF, MINUTE), "454 4.7.0");
    release(&world, None, 2 * MINUTE, 2 * MINUTE);
    assert_eq!(asks(&world, THIEF, 3 * MINUTE), "454 4.7.0");
    assert_eq!(asks(&world, HOME, 3 * MINUTE), "ok");
    assert_eq!(asks(&world, THIEF, 31 * MINUTE), "ok");
}

/// A login that was right, on that day.
fn come(world: &World, source: &str, day: u64) {
    let right = at(Stage::LoginSucceeded).source(source);
    world.judge(&right.after(Millis(day * Millis::DAY.0)).0);
}

fn network(world: &World, source: &str, day: u64) -> Network {
    let asked = login(ME).source(source);
    let asked = asked.after(Millis(day * Millis::DAY.0));
    world.judge(&asked.0).network
}

#[test]
fn what_a_thief_came_from_is_known_good_no_more() {
    let world = world();
    let day = |day: u64| START.plus(Millis(day * Millis::DAY.0));
    for day in 0..10 {
        come(&world, HOME, day);
        if day >= 5 {
            come(&world, THIEF, day);
        }
    }
    assert_eq!(network(&world, THIEF, 10), Network::KnownGood);
    assert_eq!(network(&world, HOME, 10), Network::KnownGood);
    let span = Span {
        from: day(4),
        to: day(10),
    };
    let ops = [world.rules.disown(&me(), span)];
    for heard in [10, 10, 12] {
        now(world.counters.apply(day(heard), &ops)).unwrap();
        assert_eq!(network(&world, THIEF, heard), Network::New, "day {heard}");
        assert_eq!(network(&world, HOME, heard), Network::KnownGood);
    }
    // A lock lets the owner pass at home, and the thief no more.
    guess(&world, 1..4, 12 * Millis::DAY.0);
    let locked = 12 * Millis::DAY.0 + MINUTE;
    assert_eq!(asks(&world, HOME, locked), "ok");
    assert_eq!(asks(&world, THIEF, locked), "454 4.7.0");
    // Days of other accounts are their own, and those that come count as ever.
    for day in 13..16 {
        come(&world, THIEF, day);
    }
    assert_eq!(network(&world, THIEF, 16), Network::KnownGood);
}

#[test]
fn an_incident_begins_a_week_before_anybody_noticed() {
    let at = START;
    let before = |span: u64| Timestamp(at.0 - span);
    let from = |from: Timestamp| Some(Span { from, to: at });
    let first = before(MINUTE);
    assert_eq!(incident(at, None, None), None);
    assert_eq!(
        incident(at, None, Some(first)),
        from(before(MINUTE + UNNOTICED.0))
    );
    assert_eq!(
        incident(at, Some(HOUR), Some(first)),
        from(before(HOUR.0)),
        "as it was said"
    );
    assert_eq!(incident(at, Some(HOUR), None), from(before(HOUR.0)));
    assert_eq!(incident(at, Some(Millis(0)), Some(first)), None);
    // By a clock that was ahead.
    let ahead = at.plus(Millis::DAY);
    assert_eq!(incident(at, None, Some(ahead)), from(before(UNNOTICED.0)));
    let [one, touching, apart] = [(0, 9), (10, 20), (22, 30)].map(|(from, to)| {
        let (from, to) = (Timestamp(from), Timestamp(to));
        Some(Span { from, to })
    });
    let both = one.zip(touching).map(|(one, other)| one.joined(&other));
    assert_eq!(disowned_by_both(one, touching), both);
    assert_eq!(disowned_by_both(touching, apart), apart);
    assert_eq!(disowned_by_both(one, None), one);
    assert_eq!(disowned_by_both(None, one), one);
}

/// The peer has looked at the password: who guesses elsewhere locks nobody out there. Where it was guessed from it helps nobody.
#[test]
fn a_login_that_a_trusted_peer_tells_of_passes_the_lock_of_the_account() {
    let world = world();
    let by_peer = |source: &str| {
        let mut asked = login(ME).source(source).after(Millis(MINUTE)).0;
        asked.checked = Checked::ByPeer;
        world.judge(&asked)
    };
    guess(&world, 1..4, 0);
    assert_eq!(asks(&world, HOME, MINUTE), "454 4.7.0");
    let told = by_peer(HOME);
    assert_eq!(code(&told), "ok");
    assert_eq!(said(&told, "spec.perAccount"), Said::Exempt);
    let mut right = at(Stage::LoginSucceeded).after(Millis(MINUTE)).0;
    assert_eq!(code(&world.judge(&right)), "454 4.7.0");
    right.checked = Checked::ByPeer;
    assert_eq!(code(&world.judge(&right)), "ok");
    for _ in 0..3 {
        world.judge(&failed(ME, Some(1)).source(THIEF).0);
    }
    assert_eq!(code(&by_peer(THIEF)), "454 4.7.0", "the pair");
}
