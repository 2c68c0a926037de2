//! What the time does, and what clocks that are wrong do not.
use super::*;

pub(crate) async fn what_is_long_over_when_it_arrives_is_not_taken(states: &AccountStates) {
    let until = |at| Restriction {
        until: Some(NOW.plus(Millis(at))),
        ..restriction(Level::Suspend, rule("stolen"), 0)
    };
    let at = NOW.plus(Millis(2 * Millis::DAY.0));
    let verdict = async |name, restriction| {
        let told = [imposition(name, restriction)];
        let mut said = tell(states, NS, &told, at).await;
        said.changes.pop().unwrap()
    };
    let late = verdict("a", until(Millis::DAY.0)).await;
    assert_eq!((late.restriction, late.absence), (None, Absence::Untaken));
    // Whose clock is right nobody knows: who hears of it judges by his own.
    let over = until(2 * Millis::DAY.0 - 1);
    assert_eq!(
        verdict("a", over.clone()).await.restriction,
        Some(over.clone())
    );
    // It takes the place of nothing that holds.
    let limit = Restriction {
        until: None,
        ..restriction(Level::Limit, rule("stolen"), 1)
    };
    impose(states, "b", limit.clone()).await;
    assert_eq!(verdict("b", over).await.restriction, Some(limit));
    assert_eq!(history(states, "b", 0).await.len(), 1);
}

pub(crate) async fn what_is_over_lifts_by_itself(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let due = Millis::HOUR.0;
    assert_eq!(levels(states, "a", due - 1).await, [Level::Suspend]);
    assert_eq!(levels(states, "a", due).await, []);
    assert_eq!(history(states, "a", due - 1).await.len(), 1);
    let lifted = |history: &[HistoryEntry]| {
        let newest = &history[0];
        let at = newest.mandate.at.since(NOW).0;
        (history.len(), newest.action, at, newest.restriction.clone())
    };
    let expected = (2, AccountAction::Lifted, due, Some(suspended(0)));
    assert_eq!(lifted(&history(states, "a", due).await), expected);
    // It goes on to be told for a day: whoever hears of it has a clock of his own.
    let later = due + Millis::DAY.0;
    assert_eq!(tend(states, 0, later - 1).await, 0);
    assert_eq!(whole(states).await.changes, [change("a", suspended(0))]);
    assert_eq!(tend(states, later, later + 60_000).await, 1);
    assert_eq!(whole(states).await.changes, []);
    assert_eq!(lifted(&history(states, "a", later).await), expected);
    let again = impose(states, "a", suspended(0)).await;
    assert_eq!(again, None, "it is what ended");
}

/// The clock of a control plane says that a year has gone by, and is put right an hour later.
pub(crate) async fn a_clock_that_jumps_ahead_ends_nothing(states: &AccountStates) {
    let year = 365 * Millis::DAY.0;
    impose(states, "a", suspended(0)).await;
    let endless = Restriction {
        until: None,
        ..suspended(0)
    };
    impose(states, "b", endless.clone()).await;
    tend(states, 0, 120_000).await;
    let wrong = async |at| {
        let mild = restriction(Level::Limit, rule("stolen"), at);
        let told = [imposition("c", mild.clone())];
        let now = NOW.plus(Millis(year + at));
        let said = tell(states, NS, &told, now).await;
        said.changes[0].restriction.clone()
    };
    assert_eq!(wrong(130_000).await, None, "it is over by that clock");
    let from = year + 180_000;
    assert_eq!(tend(states, from, from + Millis::HOUR.0).await, 0);
    let told = whole(states).await.changes;
    let expected = [change("a", suspended(0)), change("b", endless)];
    assert_eq!(told, expected, "proxies whose clocks are right go on");
    // As before, and what a year does not end is remembered.
    let back = 180_000 + Millis::HOUR.0;
    tend(states, back, back + 600_000).await;
    assert_eq!(whole(states).await.changes, expected);
    assert!(!history(states, "a", 0).await.is_empty());
    let due = Millis::HOUR.0 + Millis::DAY.0;
    assert_eq!(
        tend(states, back, due + 600_000).await,
        1,
        "and then it lifts"
    );
}

pub(crate) async fn revisions_grow_with_the_time_and_never_shrink(states: &AccountStates) {
    let restrict = async |at: u64| {
        let desk = restriction(Level::Watch, Origin::Desk, at);
        states
            .restrict(NS, &account("a"), &desk, &mandate(at))
            .await
            .unwrap()
    };
    let first = restrict(0).await;
    assert_eq!(first, NOW.0);
    assert_eq!(restrict(0).await, first + 1);
    assert_eq!(restrict(5_000).await, NOW.0 + 5_000);
    assert_eq!(
        restrict(10).await,
        NOW.0 + 5_001,
        "a clock that was set back"
    );
}
