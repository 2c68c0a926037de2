//! The contract on points and correspondents.

use sekisho_counters::Counters;
use sekisho_policy::signal::Added::{No, Yes};
use sekisho_policy::signal::{MAX_AWARDS, MAX_CORRESPONDENTS};
use sekisho_policy::{Outcome, Signal};

use crate::contract::{HOUR, ask};
use crate::ops::*;

const DAY: u64 = 24 * HOUR;

pub(crate) async fn an_award_is_given_once_in_its_window_and_fades(counters: &Counters) {
    use Signal::{SpamVerdicts, UnknownRecipients};
    let start = 50 * HOUR;
    let unknown = || award("p", UnknownRecipients, 60, HOUR, DAY);
    let first = (UnknownRecipients, 60, start);
    assert_eq!(ask(counters, start, unknown()).await, awards(Yes, &[first]));
    let again = ask(counters, start + HOUR - 1, unknown()).await;
    assert_eq!(again, awards(No, &[first]));
    // Another signal has a window of its own, and so has another key.
    let spam = ask(
        counters,
        start + HOUR - 1,
        award("p", SpamVerdicts, 40, HOUR, DAY),
    )
    .await;
    let second = (SpamVerdicts, 40, start + HOUR - 1);
    assert_eq!(spam, awards(Yes, &[first, second]));
    assert_eq!(
        ask(counters, start, points("q", DAY)).await,
        awards(No, &[])
    );
    let third = (UnknownRecipients, 60, start + HOUR);
    let later = ask(counters, start + HOUR, unknown()).await;
    assert_eq!(later, awards(Yes, &[first, second, third]));
    let kept = ask(counters, start + DAY, points("p", DAY)).await;
    assert_eq!(kept, awards(No, &[second, third]));
    let gone = ask(counters, start + DAY + HOUR, points("p", DAY)).await;
    assert_eq!(gone, awards(No, &[]));
}

pub(crate) async fn awards_are_bounded_and_the_oldest_goes(counters: &Counters) {
    let most = MAX_AWARDS as u64;
    for at in 0..most + 3 {
        let given = award("p", Signal::SpamVerdicts, at as u32, 1, DAY);
        ask(counters, 1000 + at, given).await;
    }
    let Outcome::Awards(left) = ask(counters, 2000, points("p", DAY)).await else {
        panic!("points answer with awards");
    };
    assert_eq!(left.list.len(), MAX_AWARDS);
    assert_eq!(left.list.first().map(|award| award.points), Some(3));
    assert_eq!(
        left.list.last().map(|award| award.points),
        Some(most as u32 + 2)
    );
}

pub(crate) async fn correspondents_are_new_once_and_not_in_the_first_time(counters: &Counters) {
    let spans = (DAY, 14 * DAY, 180 * DAY);
    let write = async |at, to: &[u32]| ask(counters, at, correspond("c", to, spans)).await;
    let start = 100 * DAY;
    assert_eq!(write(start, &[1, 2, 3]).await, Outcome::Total(0));
    assert_eq!(write(start + 14 * DAY - 1, &[4]).await, Outcome::Total(0));
    let open = start + 14 * DAY;
    assert_eq!(write(open, &[1, 4]).await, Outcome::Total(0));
    assert_eq!(write(open, &[5, 6, 5]).await, Outcome::Total(2));
    assert_eq!(write(open + HOUR, &[6, 7]).await, Outcome::Total(3));
    // Another window over the same circle: what was told twice is known by then.
    let short = ask(
        counters,
        open + HOUR,
        correspond("c", &[7], (HOUR, 14 * DAY, 180 * DAY)),
    )
    .await;
    assert_eq!(short, Outcome::Total(1));
    assert_eq!(write(open + DAY, &[]).await, Outcome::Total(1));
    assert_eq!(write(open + DAY + HOUR, &[5]).await, Outcome::Total(0));
}

pub(crate) async fn correspondents_are_bounded_and_forgotten(counters: &Counters) {
    let spans = (HOUR, 0, 10 * DAY);
    let write = async |at, to: &[u32]| ask(counters, at, correspond("c", to, spans)).await;
    let most = MAX_CORRESPONDENTS as u32;
    let all: Vec<u32> = (1..=most).collect();
    let start = 100 * DAY;
    assert_eq!(write(start, &[1]).await, Outcome::Total(1));
    assert_eq!(
        write(start + DAY, &all[1..]).await,
        Outcome::Total(u64::from(most) - 1)
    );
    // One more, and the one that was written to longest ago is a stranger.
    assert_eq!(write(start + 2 * DAY, &[most + 1]).await, Outcome::Total(1));
    assert_eq!(write(start + 3 * DAY, &[2]).await, Outcome::Total(0));
    assert_eq!(write(start + 4 * DAY, &[1]).await, Outcome::Total(1));
    // Who was not written to for so long is one too.
    assert_eq!(write(start + 13 * DAY, &[2]).await, Outcome::Total(1));
}

pub(crate) async fn clearing_forgets_points_and_who_was_new(counters: &Counters) {
    let spans = (DAY, 0, 180 * DAY);
    let at = 100 * DAY;
    ask(counters, at, award("a", Signal::SpamVerdicts, 40, DAY, DAY)).await;
    ask(counters, at, correspond("a", &[1, 2], spans)).await;
    ask(counters, at, clear("a")).await;
    assert_eq!(ask(counters, at, points("a", DAY)).await, awards(No, &[]));
    let known = ask(counters, at + 1, correspond("a", &[1, 2, 3], spans)).await;
    assert_eq!(known, Outcome::Total(1), "those two are known still");
    let given = ask(counters, at, award("a", Signal::SpamVerdicts, 40, DAY, DAY)).await;
    assert!(matches!(given, Outcome::Awards(given) if given.added == Yes));
}

pub(crate) async fn forgiving_forgets_what_is_older_and_nothing_newer(counters: &Counters) {
    let spans = (DAY, 0, 180 * DAY);
    let (start, released) = (100 * DAY, 100 * DAY + HOUR);
    let newer = released + 2 * HOUR;
    for (at, item) in [(start, 1), (released, 2), (newer, 3)] {
        ask(counters, at, meter("f", item, DAY)).await;
        ask(counters, at, distinct("f", item as u32, DAY)).await;
        let points = item as u32;
        ask(
            counters,
            at,
            award("f", Signal::SpamVerdicts, points, 1, DAY),
        )
        .await;
        ask(counters, at, correspond("f", &[points], spans)).await;
    }
    // Whoever hears of it late says it again: what came since stays.
    for late in [newer, newer + HOUR, newer + 2 * HOUR] {
        let said = ask(counters, late, forgive("f", released)).await;
        assert_eq!(said, Outcome::Done);
        assert_eq!(ask(counters, late, read("f", DAY)).await, Outcome::Total(3));
        let members = ask(counters, late, count("f", DAY)).await;
        assert_eq!(members, Outcome::Total(1));
        let left = ask(counters, late, points("f", DAY)).await;
        assert_eq!(left, awards(No, &[(Signal::SpamVerdicts, 3, newer)]));
        let fresh = ask(counters, late, correspond("f", &[], spans)).await;
        assert_eq!(fresh, Outcome::Total(1));
    }
    let known = ask(counters, newer + 3 * HOUR, correspond("f", &[1, 2], spans)).await;
    assert_eq!(known, Outcome::Total(1), "those two are known still");
    // A part of the window in which something came since stays whole, and what was never counted is not missed.
    let newer = newer + 4 * HOUR;
    ask(counters, newer, meter("g", 4, DAY)).await;
    ask(counters, newer + 1, meter("g", 5, DAY)).await;
    ask(counters, newer + 2, forgive("g", newer)).await;
    let held = ask(counters, newer + 3, read("g", DAY)).await;
    assert_eq!(held, Outcome::Total(9));
    ask(counters, newer + 4, forgive("g", newer + 1)).await;
    ask(counters, newer + 4, forgive("never", newer)).await;
    let held = ask(counters, newer + 5, meter("g", 1, DAY)).await;
    assert_eq!(held, Outcome::Total(1));
}

pub(crate) async fn forgiving_ends_a_lock_that_goes_on_to_count(counters: &Counters) {
    let start = 100 * DAY;
    let again = || lock("l", 6 * HOUR, 2, 10 * DAY);
    assert_eq!(ask(counters, start, again()).await, until(start + 6 * HOUR));
    let released = start + HOUR;
    ask(counters, released, forgive("l", start - 1)).await;
    assert_eq!(
        ask(counters, released, locked("l")).await,
        until(start + 6 * HOUR),
        "it began later"
    );
    ask(counters, released, forgive("l", released)).await;
    assert_eq!(
        ask(counters, released, locked("l")).await,
        Outcome::Until(None)
    );
    let next = released + HOUR;
    let grown = until(next + 12 * HOUR);
    assert_eq!(ask(counters, next, again()).await, grown);
    ask(counters, next + HOUR, forgive("l", released)).await;
    assert_eq!(ask(counters, next + HOUR, locked("l")).await, grown);
}
