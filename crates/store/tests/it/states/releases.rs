//! What people release stays released, whoever tells of it later, and is told to all.
use super::*;

/// The proxy could not tell it while somebody looked, found nothing, and released the account all the same.
pub(crate) async fn what_was_imposed_before_a_release_is_not_taken_though_nothing_stood(
    states: &AccountStates,
) {
    assert_eq!(release(states, "a", None, 100).await, 0);
    assert_eq!(release(states, "b", Some(&rule("stolen")), 100).await, 0);
    for name in ["a", "b"] {
        assert_eq!(impose(states, name, suspended(100)).await, None, "{name}");
    }
    let told = [imposition("a", suspended(100))];
    let at = NOW.plus(Millis(50_000));
    let said = tell(states, NS, &told, at).await;
    let release = said.changes[0].release.clone().unwrap();
    assert_eq!(
        (release.at, release.extent),
        (mandate(100).at, Extent::Account)
    );
    let other = restriction(Level::Limit, rule("other"), 100);
    assert_eq!(impose(states, "a", other.clone()).await, None);
    assert_eq!(
        impose(states, "b", other.clone()).await,
        Some(other),
        "of another rule"
    );
    let after = suspended(101);
    assert_eq!(impose(states, "a", after.clone()).await, Some(after));
    let history = history(states, "a", 0).await;
    let nothing = history
        .iter()
        .find(|entry| entry.action == AccountAction::Released);
    let nothing = nothing.unwrap();
    assert_eq!(
        (nothing.mandate.clone(), &nothing.restriction),
        (mandate(100), &None)
    );
}

pub(crate) async fn a_release_is_told_to_all_who_ask(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let before = whole(states).await.revision;
    release(states, "a", None, 60_000).await;
    release(states, "b", Some(&rule("stolen")), 60_001).await;
    let marks = |states: &States| -> Vec<(Account, Origin, Option<Release>)> {
        let changes = states
            .changes
            .iter()
            .filter(|change| change.release.is_some());
        let marks = changes.map(|change| {
            assert_eq!(change.restriction, None);
            (
                change.account.clone(),
                change.origin.clone(),
                change.release.clone(),
            )
        });
        marks.collect()
    };
    let after = states.since(NS, before, Part::First, 10).await.unwrap();
    assert_eq!(
        after.changes.len(),
        3,
        "the end of what stood, and two releases"
    );
    assert_eq!(after.changes[0].release, None);
    let told = marks(&after);
    let release = |after: u64, revision, extent| {
        let at = NOW.plus(Millis(after));
        // What stood began then: a week before that somebody else may have been in.
        let from = Timestamp(NOW.0 - 7 * Millis::DAY.0);
        let disowned = (extent == Extent::Account).then_some(Span { from, to: at });
        Some(Release {
            at,
            revision,
            extent,
            disowned,
        })
    };
    let expected = [
        (
            account("a"),
            Origin::Desk,
            release(60_000, NOW.0 + 60_001, Extent::Account),
        ),
        (
            account("b"),
            rule("stolen"),
            release(60_001, NOW.0 + 60_002, Extent::Origin),
        ),
    ];
    assert_eq!(told, expected);
    assert_eq!(after.revision, NOW.0 + 60_002);
    // Whoever was away hears of it with the whole.
    assert_eq!(marks(&whole(states).await), told);
}

pub(crate) async fn what_is_older_than_the_releases_that_are_known_is_not_taken(
    states: &AccountStates,
) {
    let endless = |since| Restriction {
        until: None,
        ..suspended(since)
    };
    release(states, "a", None, 100).await;
    let month = 31 * Millis::DAY.0;
    let step = 6 * Millis::HOUR.0;
    let tending = Tending {
        step: Millis(step),
        ..Tending::default()
    };
    for at in (0..=month).step_by(usize::try_from(step).unwrap()) {
        states.tend(NOW.plus(Millis(at)), tending).await.unwrap();
    }
    assert_eq!(whole(states).await.changes, [], "it is forgotten");
    let at = NOW.plus(Millis(month));
    let absence = async |since| {
        let told = [imposition("a", endless(since))];
        let said = tell(states, NS, &told, at).await;
        (
            said.changes[0].restriction.is_some(),
            said.changes[0].absence,
        )
    };
    assert_eq!(absence(100).await, (false, Absence::Untaken));
    assert_eq!(absence(101).await, (true, Absence::Release));
}

pub(crate) async fn what_people_released_stays_released_though_something_new_stands(
    states: &AccountStates,
) {
    impose(states, "a", suspended(0)).await;
    states
        .release(NS, &account("a"), ReleaseFrom::default(), &mandate(100))
        .await
        .unwrap();
    let watch = restriction(Level::Watch, rule("stolen"), 200);
    impose(states, "a", watch.clone()).await;
    assert_eq!(
        impose(states, "a", suspended(100)).await,
        Some(watch.clone()),
        "another proxy found it before the release"
    );
    let after = Restriction {
        then: Some(Box::new(watch)),
        ..suspended(101)
    };
    assert_eq!(impose(states, "a", suspended(101)).await, Some(after));
}

pub(crate) async fn what_people_released_stays_released(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let released = states
        .release(NS, &account("a"), ReleaseFrom::default(), &mandate(100))
        .await
        .unwrap();
    assert_eq!(released.restrictions, [suspended(0)]);
    // It was on its way when it was released; what comes about later is something else.
    assert_eq!(impose(states, "a", suspended(100)).await, None);
    assert_eq!(levels(states, "a", 200).await, []);
    assert_eq!(
        impose(states, "a", suspended(101)).await,
        Some(suspended(101))
    );
}

pub(crate) async fn a_clock_that_is_ahead_does_not_keep_people_from_releasing(
    states: &AccountStates,
) {
    let ahead = suspended(Millis::DAY.0);
    let taken = impose(states, "a", ahead.clone()).await.unwrap();
    assert_eq!(
        (taken.since, taken.until),
        (NOW.plus(Millis(50_000)), ahead.until)
    );
    states
        .release(NS, &account("a"), ReleaseFrom::default(), &mandate(60_000))
        .await
        .unwrap();
    assert_eq!(impose(states, "a", ahead.clone()).await, None);
    // Told again after the release, and cut to a later time.
    let later = NOW.plus(Millis(70_000));
    let told = [imposition("a", ahead.clone())];
    let again = tell(states, NS, &told, later).await;
    assert_eq!(again.changes[0].restriction, None);
    let another = Restriction {
        decision: Some(sekisho_policy::DecisionId::from_random(8)),
        ..ahead
    };
    let told = [imposition("a", another)];
    let taken = tell(states, NS, &told, later).await;
    assert!(taken.changes[0].restriction.is_some(), "it is another");
}

pub(crate) async fn a_release_by_a_clock_that_was_ahead_does_not_last(states: &AccountStates) {
    let ahead = 30 * Millis::DAY.0;
    tend(states, ahead, ahead).await;
    release(states, "a", None, ahead).await;
    // The clock is right again: what is found from now on counts.
    assert_eq!(impose(states, "a", suspended(49_999)).await, None);
    assert_eq!(
        impose(states, "a", suspended(50_000)).await,
        Some(suspended(50_000))
    );
    release(states, "b", None, ahead).await;
    tend(states, 60_000, 60_000).await;
    let at = NOW.plus(Millis(120_000));
    for (since, taken) in [(60_000, false), (60_001, true)] {
        let told = [imposition("b", suspended(since))];
        let said = tell(states, NS, &told, at).await;
        assert_eq!(said.changes[0].restriction.is_some(), taken, "{since}");
    }
}

/// A proxy joins what it finds with what it knew before it heard of the release.
pub(crate) async fn what_people_released_does_not_come_back_after_something_new(
    states: &AccountStates,
) {
    let limit = |since| Restriction {
        until: None,
        ..restriction(Level::Limit, rule("stolen"), since)
    };
    impose(states, "a", limit(0)).await;
    release(states, "a", None, 100).await;
    let followed = |since, then| Restriction {
        then: Some(Box::new(then)),
        ..suspended(since)
    };
    let taken = impose(states, "a", followed(101, limit(0))).await;
    assert_eq!(taken, Some(suspended(101)));
    // Told again by whoever knows no better.
    let taken = impose(states, "a", followed(101, limit(100))).await;
    assert_eq!(taken, Some(suspended(101)));
    let both = followed(101, limit(102));
    let taken = impose(states, "a", both.clone()).await;
    assert_eq!(taken, Some(both));
    // A clock that is ahead does not save what follows either.
    let ahead = limit(Millis::DAY.0);
    impose(states, "b", followed(1, ahead.clone())).await;
    release(states, "b", None, 60_000).await;
    let another = Restriction {
        decision: Some(sekisho_policy::DecisionId::from_random(8)),
        ..followed(60_001, ahead)
    };
    let told = [imposition("b", another)];
    let later = NOW.plus(Millis(70_000));
    let said = tell(states, NS, &told, later).await;
    let taken = said.changes[0].restriction.as_ref().unwrap();
    assert_eq!((taken.level, &taken.then), (Level::Suspend, &None));
}

/// How long ago the incident began, as whoever releases the account says it.
async fn release_since(states: &AccountStates, since: Option<Millis>, at: u64) -> Released {
    let from = ReleaseFrom::Everything { since };
    let released = states.release(NS, &account("a"), from, &mandate(at)).await;
    released.unwrap()
}

/// What a proxy hears of it that asks for the whole.
async fn told_to_disown(states: &AccountStates) -> Option<Span> {
    let whole = states.since(NS, 0, Part::First, 10).await.unwrap();
    let releases = whole
        .changes
        .iter()
        .filter_map(|change| change.release.as_ref());
    let mut of_account = releases.filter(|release| release.extent == Extent::Account);
    of_account.next().unwrap().disowned
}

pub(crate) async fn what_a_thief_may_have_used_is_told(states: &AccountStates) {
    let days = |days: u64| Millis(days * Millis::DAY.0);
    let span = |from: u64, to: u64| {
        let (from, to) = (Timestamp(NOW.0 - from), NOW.plus(Millis(to)));
        Some(Span { from, to })
    };
    // Nobody restricted it: a lock is no sign that somebody else was in.
    assert_eq!(release_since(states, None, 0).await, Released::default());
    assert_eq!(told_to_disown(states).await, None);
    // A week before the oldest of what stood.
    impose(states, "a", suspended(10)).await;
    let younger = restriction(Level::Watch, rule("other"), 30_000);
    impose(states, "a", younger).await;
    let released = release_since(states, None, 40_000).await;
    assert_eq!(released.restrictions.len(), 2);
    assert_eq!(released.disowned, span(days(7).0 - 10, 40_000));
    assert_eq!(told_to_disown(states).await, released.disowned);
    // Another release does not unsay it, nor make it longer.
    release_since(states, None, 50_000).await;
    release(states, "a", Some(&rule("stolen")), 50_001).await;
    assert_eq!(told_to_disown(states).await, released.disowned);
    // Whoever releases it says it better.
    let since = release_since(states, Some(days(20)), 60_000).await;
    assert_eq!(since.disowned, span(days(20).0 - 60_000, 60_000));
    assert_eq!(told_to_disown(states).await, since.disowned);
    let none = release_since(states, Some(Millis(0)), 70_000).await;
    assert_eq!(none.disowned, None);
    assert_eq!(told_to_disown(states).await, since.disowned);
    // One that has nothing to do with the one before: who heard of that has noted it.
    let later = 70_000 + days(9).0;
    let apart = release_since(states, Some(days(1)), later).await;
    assert_eq!(told_to_disown(states).await, apart.disowned);
}

/// A clock that was ahead disowns no days that are still to come, once it is right.
pub(crate) async fn nothing_is_disowned_ahead_of_time(states: &AccountStates) {
    let ahead = 30 * Millis::DAY.0;
    tend(states, ahead, ahead).await;
    release_since(states, Some(Millis(31 * Millis::DAY.0)), ahead).await;
    tend(states, 60_000, 60_000).await;
    let told = told_to_disown(states).await.unwrap();
    assert_eq!(told.from, Timestamp(NOW.0 - Millis::DAY.0));
    assert_eq!(told.to, NOW.plus(Millis(60_000)));
}
