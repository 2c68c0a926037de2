//! What every implementation must do, as functions over [`Counters`]; `suite!` makes tests of them.

use sekisho_counters::redis::Leases;
use sekisho_counters::{Counters, Receipt};
use sekisho_policy::{Op, Outcome, Timestamp};

pub(crate) use crate::abuse::*;
pub(crate) use crate::disowned::*;
use crate::ops::*;

/// Hands each function of the contract to a macro of [`suite`] or [`whole_suite`].
macro_rules! each {
    ($then:ident, $make:expr) => {
        crate::contract::$then!(@tests $make;
            a_gate_admits_up_to_its_limit_in_any_window,
            gates_add_together_or_not_at_all,
            gates_of_one_call_on_one_key_see_each_other,
            gates_are_judged_by_what_was_there_before_the_call,
            a_cost_over_the_limit_never_passes,
            a_changed_limit_applies_to_what_was_counted,
            a_meter_counts_whatever_the_gates_say,
            a_receipt_gives_back_what_it_charged,
            a_receipt_gives_back_only_what_is_still_there,
            nothing_is_charged_without_a_cost,
            a_set_counts_each_member_once_while_it_lives,
            a_set_admits_no_more_than_it_may_hold,
            what_is_taken_out_of_a_set_makes_room,
            a_set_is_never_larger_than_it_can_be,
            clearing_forgets_tallies_and_sets_but_not_locks,
            an_award_is_given_once_in_its_window_and_fades,
            awards_are_bounded_and_the_oldest_goes,
            correspondents_are_new_once_and_not_in_the_first_time,
            correspondents_are_bounded_and_forgotten,
            clearing_forgets_points_and_who_was_new,
            forgiving_forgets_what_is_older_and_nothing_newer,
            forgiving_ends_a_lock_that_goes_on_to_count,
            what_is_disowned_is_taken_out_of_sets_that_heed_it,
            spans_that_touch_are_one_and_too_many_are_fewer,
            locks_grow_and_calm_down,
            a_lock_in_force_stays_as_it_is,
            odd_lock_settings_are_harmless,
            time_that_steps_back_returns_nothing,
            sums_without_end_do_not_overflow,
            a_key_with_longer_and_longer_windows_forgets_nothing,
        );
    };
}
pub(crate) use each;

/// Makes a test of each function of the contract: `suite!(name, async { the counters })`.
macro_rules! suite {
    (@tests $make:expr; $($test:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                run(async { crate::contract::$test(&$make.await).await });
            }
        )*
    };
    ($name:ident, $make:expr) => {
        mod $name {
            use super::*;
            crate::contract::each!(suite, $make);
            #[test]
            fn random_schedules_keep_the_promise() {
                crate::windows::random_schedules_keep_the_promise(4_000, crate::model::Clocks::Callers, || run($make));
            }
            #[test]
            fn retry_at_is_the_first_moment() {
                crate::windows::retry_at_is_the_first_moment(1_000, || run($make));
            }
            use crate::ops::run;
        }
    };
}
pub(crate) use suite;

/// Runs each function of the contract after the other, each with counters of its own.
macro_rules! whole_suite {
    (@tests $make:expr; $($test:ident),* $(,)?) => {
        $(
            crate::ops::run(async { crate::contract::$test(&$make.await).await });
        )*
    };
    ($make:expr) => {
        crate::contract::each!(whole_suite, $make)
    };
}
pub(crate) use whole_suite;

pub(crate) const HOUR: u64 = 3_600_000;

async fn apply(counters: &Counters, at: u64, ops: &[Op]) -> (Vec<Outcome>, Option<Receipt>) {
    let (results, receipt) = counters.apply(Timestamp(at), ops).await.expect("available");
    (results.0, receipt)
}

/// How much later it comes back where some of it was lent.
fn lent(counters: &Counters, window: u64) -> u64 {
    match counters {
        Counters::Redis(redis) if redis.setup().leases != Leases::Off => longest_lease(window),
        _ => 0,
    }
}

/// The longest that credit of a limit over `window` ms may be spent after it was charged.
pub(crate) fn longest_lease(window: u64) -> u64 {
    (window / 64).min(10_000)
}

pub(crate) async fn ask(counters: &Counters, at: u64, op: Op) -> Outcome {
    apply(counters, at, &[op]).await.0.swap_remove(0)
}

pub(crate) async fn a_gate_admits_up_to_its_limit_in_any_window(counters: &Counters) {
    let start = 50 * HOUR;
    for n in 1..=20 {
        assert_eq!(
            ask(counters, start + n, gate("a", 1, 20, HOUR)).await,
            passed(n)
        );
    }
    let Outcome::Full {
        total: 20,
        retry_at: Some(retry),
    } = ask(counters, start + 30, gate("a", 1, 20, HOUR)).await
    else {
        panic!("the twenty-first must not pass");
    };
    let late = retry.since(Timestamp(start + HOUR)).0;
    assert!(
        (1..=HOUR / 64 + 1 + lent(counters, HOUR)).contains(&late),
        "comes back {late} ms after the first could"
    );
    assert!(matches!(
        ask(counters, start + HOUR, gate("a", 1, 20, HOUR)).await,
        Outcome::Full { .. }
    ));
    assert!(matches!(
        ask(counters, retry.0, gate("a", 1, 20, HOUR)).await,
        Outcome::Passed { .. }
    ));
}

pub(crate) async fn gates_add_together_or_not_at_all(counters: &Counters) {
    apply(counters, 0, &[gate("narrow", 3, 3, HOUR)]).await;
    let call = [
        gate("wide", 1, 10, HOUR),
        gate("narrow", 1, 3, HOUR),
        gate("other", 2, 10, HOUR),
    ];
    let (outcomes, receipt) = apply(counters, 1, &call).await;
    assert_eq!(outcomes, [passed(1), full(3, HOUR), passed(2)]);
    assert!(receipt.is_none(), "nothing was added");
    for name in ["wide", "other"] {
        assert_eq!(ask(counters, 2, read(name, HOUR)).await, Outcome::Total(0));
    }
}

pub(crate) async fn gates_of_one_call_on_one_key_see_each_other(counters: &Counters) {
    let (outcomes, _) = apply(
        counters,
        0,
        &[
            gate("k", 2, 5, HOUR),
            gate("k", 2, 3, HOUR),
            gate("k", 2, 5, HOUR),
        ],
    )
    .await;
    assert_eq!(outcomes, [passed(2), full(2, None), passed(4)]);
    let (outcomes, _) = apply(counters, 0, &[gate("k", 2, 5, HOUR), gate("k", 3, 5, HOUR)]).await;
    assert_eq!(outcomes, [passed(2), passed(5)]);
    assert_eq!(ask(counters, 1, gate("k", 1, 5, HOUR)).await, full(5, HOUR));
}

pub(crate) async fn gates_are_judged_by_what_was_there_before_the_call(counters: &Counters) {
    let (outcomes, _) = apply(counters, 0, &[meter("k", 5, HOUR), gate("k", 5, 5, HOUR)]).await;
    assert_eq!(outcomes, [Outcome::Total(10), passed(5)]);
    let (outcomes, _) = apply(
        counters,
        1,
        &[clear("k"), gate("k", 1, 5, HOUR), read("k", HOUR)],
    )
    .await;
    assert_eq!(outcomes, [Outcome::Done, full(10, HOUR), Outcome::Total(0)]);
}

pub(crate) async fn a_cost_over_the_limit_never_passes(counters: &Counters) {
    assert_eq!(ask(counters, 0, gate("k", 6, 5, HOUR)).await, full(0, None));
    assert_eq!(
        ask(counters, 0, gate("k", u64::MAX, u64::MAX - 1, HOUR)).await,
        full(0, None)
    );
    assert_eq!(ask(counters, 0, gate("k", 1, 0, HOUR)).await, full(0, None));
    assert_eq!(ask(counters, 0, read("k", HOUR)).await, Outcome::Total(0));
}

pub(crate) async fn a_changed_limit_applies_to_what_was_counted(counters: &Counters) {
    apply(counters, 0, &[gate("k", 10, 10, HOUR)]).await;
    assert_eq!(
        ask(counters, 1, gate("k", 1, 8, HOUR)).await,
        full(10, HOUR)
    );
    assert_eq!(ask(counters, 1, gate("k", 2, 12, HOUR)).await, passed(12));
}

pub(crate) async fn a_meter_counts_whatever_the_gates_say(counters: &Counters) {
    let (outcomes, receipt) =
        apply(counters, 0, &[gate("g", 2, 1, HOUR), meter("m", 7, HOUR)]).await;
    assert_eq!(outcomes, [full(0, None), Outcome::Total(7)]);
    counters
        .give_back(receipt.expect("the meter was charged"))
        .await;
    assert_eq!(ask(counters, 1, read("m", HOUR)).await, Outcome::Total(0));
}

pub(crate) async fn a_receipt_gives_back_what_it_charged(counters: &Counters) {
    let (_, kept) = apply(counters, 0, &[gate("k", 3, 10, HOUR)]).await;
    let (_, returned) = apply(counters, 0, &[gate("k", 4, 10, HOUR), meter("m", 4, HOUR)]).await;
    assert_eq!(
        ask(counters, 1, gate("k", 4, 10, HOUR)).await,
        full(7, HOUR)
    );
    counters.give_back(returned.expect("charged")).await;
    drop(kept.expect("charged"));
    let (outcomes, _) = apply(counters, 1, &[gate("k", 7, 10, HOUR), read("m", HOUR)]).await;
    assert_eq!(outcomes, [passed(10), Outcome::Total(0)]);
}

pub(crate) async fn a_receipt_gives_back_only_what_is_still_there(counters: &Counters) {
    let (_, faded) = apply(counters, 0, &[meter("k", 5, HOUR)]).await;
    let (_, cleared) = apply(counters, 0, &[meter("c", 5, HOUR)]).await;
    apply(
        counters,
        3 * HOUR,
        &[meter("k", 2, HOUR), clear("c"), meter("c", 2, HOUR)],
    )
    .await;
    apply(counters, 3 * HOUR, &[meter("c", 2, HOUR)]).await;
    counters.give_back(faded.expect("charged")).await;
    counters.give_back(cleared.expect("charged")).await;
    let (outcomes, _) = apply(counters, 3 * HOUR, &[read("k", HOUR), read("c", HOUR)]).await;
    assert_eq!(outcomes, [Outcome::Total(2), Outcome::Total(4)]);
}

pub(crate) async fn nothing_is_charged_without_a_cost(counters: &Counters) {
    let (outcomes, receipt) = apply(
        counters,
        0,
        &[gate("g", 0, 0, HOUR), meter("m", 0, HOUR), read("r", HOUR)],
    )
    .await;
    assert_eq!(outcomes, [passed(0), Outcome::Total(0), Outcome::Total(0)]);
    assert!(receipt.is_none());
    assert_eq!(counters.sizes().keys(), 0, "nothing is kept of it");
}

pub(crate) async fn a_set_counts_each_member_once_while_it_lives(counters: &Counters) {
    for (at, item, members) in [(0, 1, 1), (10, 2, 2), (20, 1, 2), (30, 3, 3)] {
        assert_eq!(
            ask(counters, at, distinct("s", item, HOUR)).await,
            Outcome::Total(members)
        );
    }
    for (at, members) in [
        (HOUR + 9, 3),
        (HOUR + 10, 2),
        (HOUR + 19, 2),
        (HOUR + 20, 1),
        (HOUR + 30, 0),
    ] {
        assert_eq!(
            ask(counters, at, count("s", HOUR)).await,
            Outcome::Total(members),
            "at {at}"
        );
    }
    assert_eq!(
        ask(counters, HOUR + 30, count("never seen", HOUR)).await,
        Outcome::Total(0)
    );
}

pub(crate) async fn a_set_admits_no_more_than_it_may_hold(counters: &Counters) {
    // Who is a member already is let in, and is seen anew; who finds no room leaves nothing behind.
    for (at, item, total) in [(0, 1, 1), (10, 2, 2), (20, 3, 3), (30, 1, 2), (40, 4, 3)] {
        let outcome = ask(counters, at, admit("s", item, 2, HOUR)).await;
        assert_eq!(outcome, Outcome::Total(total), "{item} at {at}");
    }
    assert_eq!(ask(counters, 50, count("s", HOUR)).await, Outcome::Total(2));
    // The second one was not seen again, and makes room.
    for (at, item, total) in [(HOUR + 9, 5, 3), (HOUR + 10, 5, 2), (HOUR + 10, 6, 3)] {
        let outcome = ask(counters, at, admit("s", item, 2, HOUR)).await;
        assert_eq!(outcome, Outcome::Total(total), "{item} at {at}");
    }
    // Others count whatever is there, and are in the way.
    let outcome = ask(counters, HOUR + 20, distinct("s", 7, HOUR)).await;
    assert_eq!(outcome, Outcome::Total(3));
    let outcome = ask(counters, HOUR + 20, admit("s", 8, 2, HOUR)).await;
    assert_eq!(outcome, Outcome::Total(4));
    let outcome = ask(counters, HOUR + 20, admit("s", 7, 2, HOUR)).await;
    assert_eq!(outcome, Outcome::Total(3), "a member is let in");
}

pub(crate) async fn what_is_taken_out_of_a_set_makes_room(counters: &Counters) {
    for item in [1, 2] {
        ask(counters, 0, admit("s", item, 2, HOUR)).await;
    }
    for (item, total) in [(9, 2), (1, 1), (1, 1), (2, 0), (2, 0)] {
        let call = [forget("s", item), count("s", HOUR)];
        let (outcomes, receipt) = apply(counters, 10, &call).await;
        assert_eq!(outcomes, [Outcome::Done, Outcome::Total(total)], "{item}");
        assert!(receipt.is_none());
    }
    let outcome = ask(counters, 20, admit("s", 3, 1, HOUR)).await;
    assert_eq!(outcome, Outcome::Total(1));
    let outcome = ask(counters, 20, forget("never seen", 3)).await;
    assert_eq!(outcome, Outcome::Done);
}

pub(crate) async fn a_set_is_never_larger_than_it_can_be(counters: &Counters) {
    let all: Vec<_> = (0..1_024)
        .map(|item| admit("s", item, 5_000, HOUR))
        .collect();
    for call in all.chunks(128) {
        apply(counters, 0, call).await;
    }
    let outcome = ask(counters, 1, admit("s", 7, 5_000, HOUR)).await;
    assert_eq!(outcome, Outcome::Total(1_024));
    let outcome = ask(counters, 1, admit("s", 2_000, 5_000, HOUR)).await;
    assert_eq!(outcome, Outcome::Total(5_001), "it found no room");
}

pub(crate) async fn clearing_forgets_tallies_and_sets_but_not_locks(counters: &Counters) {
    apply(
        counters,
        0,
        &[
            meter("k", 5, HOUR),
            distinct("k", 1, HOUR),
            lock("k", HOUR, 2, 24 * HOUR),
        ],
    )
    .await;
    let (outcomes, _) = apply(
        counters,
        1,
        &[clear("k"), read("k", HOUR), count("k", HOUR), locked("k")],
    )
    .await;
    assert_eq!(
        outcomes,
        [
            Outcome::Done,
            Outcome::Total(0),
            Outcome::Total(0),
            until(HOUR)
        ]
    );
}

pub(crate) async fn locks_grow_and_calm_down(counters: &Counters) {
    let (base, max) = (HOUR, 6 * HOUR);
    assert_eq!(ask(counters, 0, locked("k")).await, Outcome::Until(None));
    // One hour, then two, then four, then the longest allowed.
    let mut free = 0;
    for length in [HOUR, 2 * HOUR, 4 * HOUR, max, max] {
        assert_eq!(
            ask(counters, free, lock("k", base, 2, max)).await,
            until(free + length)
        );
        assert_eq!(
            ask(counters, free + length - 1, locked("k")).await,
            until(free + length)
        );
        free += length;
        assert_eq!(ask(counters, free, locked("k")).await, Outcome::Until(None));
    }
    // A key that was free for less than `max` goes on from there; one that was free for as long starts anew.
    let soon = free + max - 1;
    assert_eq!(
        ask(counters, soon, lock("k", base, 2, max)).await,
        until(soon + max)
    );
    let later = soon + 2 * max;
    assert_eq!(
        ask(counters, later, lock("k", base, 2, max)).await,
        until(later + base)
    );
}

pub(crate) async fn a_lock_in_force_stays_as_it_is(counters: &Counters) {
    assert_eq!(
        ask(counters, 0, lock("k", HOUR, 2, 24 * HOUR)).await,
        until(HOUR)
    );
    for _ in 0..5 {
        assert_eq!(
            ask(counters, 10, lock("k", HOUR, 2, 24 * HOUR)).await,
            until(HOUR)
        );
    }
    assert_eq!(
        ask(counters, HOUR, lock("k", HOUR, 2, 24 * HOUR)).await,
        until(3 * HOUR),
        "five at once were one"
    );
}

pub(crate) async fn odd_lock_settings_are_harmless(counters: &Counters) {
    assert_eq!(
        ask(counters, 0, lock("none", 0, 2, HOUR)).await,
        Outcome::Until(None)
    );
    assert_eq!(
        ask(counters, 0, lock("short", 2 * HOUR, 2, HOUR)).await,
        until(HOUR)
    );
    for at in 0..3 {
        assert_eq!(
            ask(counters, at * HOUR, lock("even", HOUR, 1, 24 * HOUR)).await,
            until((at + 1) * HOUR)
        );
        assert_eq!(
            ask(counters, at * HOUR, lock("zero", HOUR, 0, 24 * HOUR)).await,
            until((at + 1) * HOUR)
        );
    }
    let mut at = 3 * HOUR;
    for _ in 0..200 {
        let Outcome::Until(Some(end)) = ask(counters, at, lock("steep", 1, u32::MAX, HOUR)).await
        else {
            panic!()
        };
        assert!(end.0 > at && end.0 <= at + HOUR);
        at = end.0;
    }
}

pub(crate) async fn time_that_steps_back_returns_nothing(counters: &Counters) {
    let noon = 12 * HOUR;
    apply(
        counters,
        noon,
        &[
            gate("k", 5, 5, HOUR),
            lock("l", HOUR, 2, 24 * HOUR),
            distinct("s", 1, HOUR),
        ],
    )
    .await;
    for at in [
        noon - 1,
        noon - 30_000,
        noon - HOUR,
        noon - 5 * HOUR,
        0,
        noon + HOUR - 1,
    ] {
        let (outcomes, _) = apply(
            counters,
            at,
            &[gate("k", 1, 5, HOUR), locked("l"), count("s", HOUR)],
        )
        .await;
        assert_eq!(
            outcomes,
            [full(5, noon + HOUR), until(noon + HOUR), Outcome::Total(1)],
            "at {at}"
        );
    }
    assert_eq!(
        ask(counters, noon + HOUR, gate("k", 1, 5, HOUR)).await,
        passed(1)
    );
}

pub(crate) async fn sums_without_end_do_not_overflow(counters: &Counters) {
    apply(
        counters,
        0,
        &[meter("k", u64::MAX, HOUR), meter("k", 9, HOUR)],
    )
    .await;
    assert_eq!(
        ask(counters, 0, read("k", HOUR)).await,
        Outcome::Total(u64::MAX)
    );
    assert_eq!(
        ask(counters, 0, gate("k", 1, u64::MAX, HOUR)).await,
        full(u64::MAX, HOUR)
    );
    for at in 0..2 {
        assert_eq!(
            ask(counters, at, gate("instant", 1, 1, 0)).await,
            passed(1),
            "a window of nothing holds nothing"
        );
    }
}

/// Policy asks a key about one window alone; nobody shall get a key into a state that cannot be read any more.
pub(crate) async fn a_key_with_longer_and_longer_windows_forgets_nothing(counters: &Counters) {
    let (mut at, mut added) = (HOUR, 0);
    for round in 0..6 {
        let window = HOUR << round;
        for _ in 0..64 {
            at += window / 128;
            added += 1;
            assert_eq!(
                ask(counters, at, meter("k", 1, window)).await,
                Outcome::Total(added),
                "none of them is over"
            );
        }
    }
    let longest = HOUR << 5;
    assert_eq!(
        ask(counters, at + longest, read("k", longest)).await,
        Outcome::Total(0)
    );
}
