//! What every database behind account states must do, as functions over [`AccountStates`]; `suite!` makes tests of them.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

use std::path::Path;

use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::{
    Absence, Change, Extent, Imposition, Onto, Part, Release, Rest, States,
};
use sekisho_policy::{Account, Level, Millis, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_store::{AccountAction, AccountStates, HistoryEntry, Mandate, Store, Tending};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NS: &str = "mail";

/// Makes a test of each function of the contract: `suite!(name, an async function to empty states and what keeps them)`.
macro_rules! suite {
    ($name:ident, $open:path) => {
        mod $name {
            crate::states::suite!(@tests $open;
                what_is_imposed_is_told_to_those_who_ask,
                an_imposition_can_be_sent_again,
                the_worst_of_a_rule_holds_whichever_comes_first,
                what_is_long_over_when_it_arrives_is_not_taken,
                what_was_imposed_before_a_release_is_not_taken_though_nothing_stood,
                a_release_is_told_to_all_who_ask,
                what_is_older_than_the_releases_that_are_known_is_not_taken,
                what_people_released_stays_released,
                what_people_released_stays_released_though_something_new_stands,
                a_clock_that_is_ahead_does_not_keep_people_from_releasing,
                people_restrict_and_release_with_who_and_why,
                what_is_over_lifts_by_itself,
                a_clock_that_jumps_ahead_ends_nothing,
                a_release_by_a_clock_that_was_ahead_does_not_last,
                what_rules_impose_does_not_fill_the_history,
                a_store_has_a_name,
                namespaces_do_not_hear_of_one_another,
                the_whole_comes_in_parts,
                one_that_cannot_be_read_hides_no_other,
                who_is_too_far_behind_gets_the_whole,
                parts_go_on_though_the_horizon_lies_ahead,
                revisions_grow_with_the_time_and_never_shrink,
                changes_are_told_of,
                writers_at_once_lose_nothing,
            );
        }
    };
    (@tests $open:path; $($test:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let Some((states, _keeper)) = $open().await else { return };
                crate::states::$test(&states).await;
            }
        )*
    };
}
pub(crate) use suite;

pub(crate) async fn in_a_file() -> Option<(AccountStates, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    Some((AccountStates::in_ledger(&store), folder))
}

async fn open(folder: &Path) -> Store {
    Store::open(&folder.join("ledger.sqlite")).await.unwrap()
}

fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

fn rule(name: &str) -> Origin {
    Origin::Rule(ObjectRef {
        kind: Kind::RateLimit,
        namespace: NS.into(),
        name: name.into(),
    })
}

fn restriction(level: Level, origin: Origin, since: u64) -> Restriction {
    let since = NOW.plus(Millis(since));
    Restriction {
        level,
        since,
        until: Some(since.plus(Millis::HOUR)),
        origin,
        why: "120 points".into(),
        decision: Some(sekisho_policy::DecisionId::from_random(7)),
        recipients_per_hour: None,
    }
}

fn suspended(since: u64) -> Restriction {
    restriction(Level::Suspend, rule("stolen"), since)
}

fn imposition(name: &str, restriction: Restriction) -> Imposition {
    Imposition {
        account: account(name),
        restriction,
    }
}

fn change(name: &str, restriction: Restriction) -> Change {
    Change {
        account: account(name),
        origin: restriction.origin.clone(),
        restriction: Some(restriction),
        absence: Absence::Release,
        release: None,
    }
}

async fn history(states: &AccountStates, name: &str, after: u64) -> Vec<HistoryEntry> {
    let now = NOW.plus(Millis(after));
    states
        .history(NS, &account(name), now, 1_000)
        .await
        .unwrap()
}

async fn whole(states: &AccountStates) -> States {
    states.since(NS, 0, Part::First, 100).await.unwrap()
}

async fn release(states: &AccountStates, name: &str, origin: Option<&Origin>, at: u64) -> usize {
    let released = states
        .release(NS, &account(name), origin, &mandate(at))
        .await;
    released.unwrap().len()
}

/// Looks every ten minutes, from `from` to `to`.
async fn tend(states: &AccountStates, from: u64, to: u64) -> u64 {
    let tending = Tending {
        step: Millis(1_200_000),
        ..Tending::default()
    };
    let mut lifted = 0;
    for at in (from..=to).step_by(600_000) {
        lifted += states.tend(NOW.plus(Millis(at)), tending).await.unwrap();
    }
    lifted
}

fn mandate(at: u64) -> Mandate {
    Mandate {
        at: NOW.plus(Millis(at)),
        who: "hanako".into(),
        why: "ticket 4711".into(),
    }
}

async fn impose(
    states: &AccountStates,
    name: &str,
    restriction: Restriction,
) -> Option<Restriction> {
    let at = NOW.plus(Millis(50_000));
    let said = states
        .impose(NS, &[imposition(name, restriction)], "pod-1", at)
        .await
        .unwrap();
    let [change] = said.changes.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!(change.account, account(name));
    change.restriction.clone()
}

async fn levels(states: &AccountStates, name: &str, after: u64) -> Vec<Level> {
    let found = states
        .restrictions(NS, &account(name), NOW.plus(Millis(after)))
        .await
        .unwrap();
    found.iter().map(|restriction| restriction.level).collect()
}

pub(crate) async fn what_is_imposed_is_told_to_those_who_ask(states: &AccountStates) {
    let empty = states.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(
        (empty.onto, empty.rest, empty.changes),
        (Onto::Nothing, Rest::Nothing, vec![])
    );
    assert_eq!(impose(states, "a", suspended(0)).await, Some(suspended(0)));
    let first = states.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(first.changes, [change("a", suspended(0))]);
    let none = states
        .since(NS, first.revision, Part::First, 10)
        .await
        .unwrap();
    assert_eq!((none.onto, none.changes.len()), (Onto::Known, 0));
    impose(states, "b", suspended(1)).await;
    let next = states
        .since(NS, first.revision, Part::First, 10)
        .await
        .unwrap();
    assert_eq!(
        (next.onto, next.changes),
        (Onto::Known, vec![change("b", suspended(1))])
    );
    assert!(next.revision > first.revision);
}

pub(crate) async fn an_imposition_can_be_sent_again(states: &AccountStates) {
    for _ in 0..3 {
        assert_eq!(impose(states, "a", suspended(0)).await, Some(suspended(0)));
    }
    let history = history(states, "a", 50_000).await;
    assert_eq!(history.len(), 1, "{history:?}");
    let entry = &history[0];
    assert_eq!(
        (entry.action, &*entry.mandate.who),
        (AccountAction::Imposed, "proxy pod-1")
    );
    assert_eq!(entry.restriction, Some(suspended(0)));
}

pub(crate) async fn the_worst_of_a_rule_holds_whichever_comes_first(states: &AccountStates) {
    let watch = restriction(Level::Watch, rule("stolen"), 5);
    let other = restriction(Level::Limit, rule("other"), 1);
    impose(states, "a", watch.clone()).await;
    // Of two proxies, the one that was heard last had found it first.
    let worse = suspended(4);
    assert_eq!(
        impose(states, "a", worse.clone()).await,
        Some(worse.clone())
    );
    assert_eq!(impose(states, "a", watch).await, Some(worse.clone()));
    assert_eq!(impose(states, "a", other.clone()).await, Some(other));
    let endless = Restriction {
        until: None,
        ..restriction(Level::Quarantine, rule("stolen"), 6)
    };
    let shorter = Restriction {
        until: Some(NOW.plus(Millis(50_001))),
        ..suspended(6)
    };
    for milder in [endless, shorter, suspended(3)] {
        assert_eq!(impose(states, "a", milder).await, Some(worse.clone()));
    }
    let longer = suspended(6);
    assert_eq!(impose(states, "a", longer.clone()).await, Some(longer));
    assert_eq!(
        levels(states, "a", 10).await,
        [Level::Limit, Level::Suspend]
    );
}

pub(crate) async fn what_is_long_over_when_it_arrives_is_not_taken(states: &AccountStates) {
    let until = |at| Restriction {
        until: Some(NOW.plus(Millis(at))),
        ..restriction(Level::Suspend, rule("stolen"), 0)
    };
    let at = NOW.plus(Millis(2 * Millis::DAY.0));
    let verdict = async |name, restriction| {
        let told = [imposition(name, restriction)];
        let mut said = states.impose(NS, &told, "pod-1", at).await.unwrap();
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
    let said = states.impose(NS, &told, "pod-1", at).await.unwrap();
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
        Some(Release {
            at,
            revision,
            extent,
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
        let said = states.impose(NS, &told, "pod-1", at).await.unwrap();
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
        .release(NS, &account("a"), None, &mandate(100))
        .await
        .unwrap();
    let watch = restriction(Level::Watch, rule("stolen"), 200);
    impose(states, "a", watch.clone()).await;
    assert_eq!(
        impose(states, "a", suspended(100)).await,
        Some(watch),
        "another proxy found it before the release"
    );
    let after = suspended(101);
    assert_eq!(impose(states, "a", after.clone()).await, Some(after));
}

pub(crate) async fn what_people_released_stays_released(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let released = states
        .release(NS, &account("a"), None, &mandate(100))
        .await
        .unwrap();
    assert_eq!(released, [suspended(0)]);
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
        .release(NS, &account("a"), None, &mandate(60_000))
        .await
        .unwrap();
    assert_eq!(impose(states, "a", ahead.clone()).await, None);
    // Told again after the release, and cut to a later time.
    let later = NOW.plus(Millis(70_000));
    let told = [imposition("a", ahead.clone())];
    let again = states.impose(NS, &told, "pod-1", later).await.unwrap();
    assert_eq!(again.changes[0].restriction, None);
    let another = Restriction {
        decision: Some(sekisho_policy::DecisionId::from_random(8)),
        ..ahead
    };
    let told = [imposition("a", another)];
    let taken = states.impose(NS, &told, "pod-1", later).await.unwrap();
    assert!(taken.changes[0].restriction.is_some(), "it is another");
}

pub(crate) async fn people_restrict_and_release_with_who_and_why(states: &AccountStates) {
    let desk = Restriction {
        until: None,
        ..restriction(Level::Quarantine, Origin::Desk, 10)
    };
    impose(states, "a", suspended(0)).await;
    states
        .restrict(NS, &account("a"), &desk, &mandate(10))
        .await
        .unwrap();
    assert_eq!(
        levels(states, "a", 20).await,
        [Level::Suspend, Level::Quarantine]
    );
    let released = states
        .release(NS, &account("a"), Some(&rule("stolen")), &mandate(30))
        .await
        .unwrap();
    assert_eq!(released, [suspended(0)]);
    assert_eq!(levels(states, "a", 40).await, [Level::Quarantine]);
    let history = history(states, "a", 50_000).await;
    let told: Vec<_> = history
        .iter()
        .map(|entry| {
            (
                entry.action,
                entry.mandate.who.as_str(),
                entry.mandate.at.since(NOW).0,
            )
        })
        .collect();
    let expected = [
        (AccountAction::Imposed, "proxy pod-1", 50_000),
        (AccountAction::Released, "hanako", 30),
        (AccountAction::Restricted, "hanako", 10),
    ];
    assert_eq!(told, expected);
    assert_eq!(history[1].mandate.why, "ticket 4711");
    assert_eq!(history[2].restriction, Some(desk));
    let newest = states.history(NS, &account("a"), NOW, 1).await.unwrap();
    assert_eq!(newest, history[1..2], "what was done last");
    let nothing = states
        .release(NS, &account("b"), None, &mandate(50))
        .await
        .unwrap();
    assert_eq!(nothing, []);
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
        let said = states.impose(NS, &told, "pod-1", now).await.unwrap();
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
        let said = states.impose(NS, &told, "pod-1", at).await.unwrap();
        assert_eq!(said.changes[0].restriction.is_some(), taken, "{since}");
    }
}

pub(crate) async fn what_rules_impose_does_not_fill_the_history(states: &AccountStates) {
    let desk = restriction(Level::Watch, Origin::Desk, 0);
    let by_desk = states.restrict(NS, &account("a"), &desk, &mandate(0)).await;
    by_desk.unwrap();
    for n in 0..150 {
        impose(states, "a", suspended(n)).await;
    }
    impose(states, "b", suspended(0)).await;
    let found = history(states, "a", 0).await;
    let imposed: Vec<_> = found
        .iter()
        .filter(|entry| entry.action == AccountAction::Imposed)
        .collect();
    assert_eq!(imposed.len(), 100);
    assert!(
        imposed
            .iter()
            .any(|entry| entry.restriction == Some(suspended(149)))
    );
    assert_eq!(found.len(), 101, "what people did stays");
    assert_eq!(history(states, "b", 0).await.len(), 1);
}

pub(crate) async fn a_store_has_a_name(states: &AccountStates) {
    let name = whole(states).await.store.unwrap();
    assert_eq!(name.len(), 32, "{name}");
    impose(states, "a", suspended(0)).await;
    let again = states.since("other", 5, Part::First, 10).await.unwrap();
    assert_eq!(again.store, Some(name));
}

pub(crate) async fn namespaces_do_not_hear_of_one_another(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let elsewhere = states.since("other", 0, Part::First, 10).await.unwrap();
    assert_eq!(elsewhere.changes, []);
    let at = NOW.plus(Millis(1));
    let found = states
        .restrictions("other", &account("a"), at)
        .await
        .unwrap();
    assert_eq!(found, []);
    let released = states
        .release("other", &account("a"), None, &mandate(1))
        .await
        .unwrap();
    assert_eq!(released, []);
}

pub(crate) async fn the_whole_comes_in_parts(states: &AccountStates) {
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        impose(states, name, suspended(0)).await;
    }
    states
        .release(NS, &account("b"), None, &mandate(60_000))
        .await
        .unwrap();
    let mut all = Vec::new();
    let mut asked = (0, Part::First);
    let mut parts = Vec::new();
    loop {
        let part = states.since(NS, asked.0, asked.1, 2).await.unwrap();
        parts.push(part.onto);
        all.extend(part.changes);
        asked = (part.revision, Part::Next);
        if part.rest == Rest::Nothing {
            break;
        }
    }
    let (first, next) = (Onto::Nothing, Onto::Known);
    assert_eq!(parts, [first, next, next, next]);
    let standing = all.iter().filter(|change| change.restriction.is_some());
    assert_eq!(standing.count(), 4, "{all:?}");
}

pub(crate) async fn one_that_cannot_be_read_hides_no_other(states: &AccountStates) {
    let odd = restriction(Level::Suspend, rule("a/b"), 0);
    impose(states, "a", odd.clone()).await;
    impose(states, "b", suspended(0)).await;
    let whole = states.since(NS, 0, Part::First, 10).await.unwrap();
    assert_eq!(whole.changes, [change("b", suspended(0))]);
    impose(states, "c", odd).await;
    let asked = whole.revision;
    let next = states.since(NS, asked, Part::First, 10).await.unwrap();
    assert_eq!((next.onto, next.changes), (Onto::Known, vec![]));
    assert!(next.revision > asked);
    let released = states
        .release(NS, &account("a"), None, &mandate(60_000))
        .await
        .unwrap();
    assert_eq!(released.len(), 1);
}

/// Forgets what ended and was released until 60,000 ms, and lifts nothing.
async fn forget_releases(states: &AccountStates) {
    let tending = Tending {
        ended: Millis(0),
        releases: Millis(0),
        ..Tending::default()
    };
    states
        .tend(NOW.plus(Millis(60_001)), tending)
        .await
        .unwrap();
}

pub(crate) async fn who_is_too_far_behind_gets_the_whole(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let before = states.since(NS, 0, Part::First, 10).await.unwrap().revision;
    impose(states, "b", suspended(0)).await;
    release(states, "b", None, 60_000).await;
    let later = states.since(NS, before, Part::First, 10).await.unwrap();
    assert_eq!((later.onto, later.changes.len()), (Onto::Known, 2));
    forget_releases(states).await;
    let behind = states.since(NS, before, Part::First, 10).await.unwrap();
    assert_eq!(
        (behind.onto, behind.changes),
        (Onto::Nothing, vec![change("a", suspended(0))])
    );
    let current = states
        .since(NS, later.revision, Part::First, 10)
        .await
        .unwrap();
    assert_eq!((current.onto, current.changes.len()), (Onto::Known, 0));
    let ahead = states
        .since(NS, later.revision + 9, Part::First, 10)
        .await
        .unwrap();
    assert_eq!(
        ahead.onto,
        Onto::Nothing,
        "a store that was restored has forgotten what it said"
    );
}

pub(crate) async fn parts_go_on_though_the_horizon_lies_ahead(states: &AccountStates) {
    for name in ["a", "b", "gone"] {
        impose(states, name, suspended(0)).await;
    }
    release(states, "gone", None, 60_000).await;
    forget_releases(states).await;
    let first = states.since(NS, 0, Part::First, 1).await.unwrap();
    let next = states
        .since(NS, first.revision, Part::Next, 1)
        .await
        .unwrap();
    assert_eq!(
        (next.onto, next.changes),
        (Onto::Known, vec![change("b", suspended(0))])
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

pub(crate) async fn changes_are_told_of(states: &AccountStates) {
    let mut changes = states.changes(NS);
    changes.mark_unchanged();
    impose(states, "a", suspended(0)).await;
    assert!(changes.has_changed().unwrap());
    let newest = *changes.borrow_and_update();
    assert_eq!(whole(states).await.revision, newest);
    states.look().await.unwrap();
    impose(states, "a", suspended(0)).await;
    let elsewhere = [imposition("a", suspended(0))];
    states
        .impose("other", &elsewhere, "pod-1", NOW)
        .await
        .unwrap();
    assert!(!changes.has_changed().unwrap(), "nothing changed here");
}

pub(crate) async fn writers_at_once_lose_nothing(states: &AccountStates) {
    let writers = (0..8).map(|writer| {
        let states = states.clone();
        tokio::spawn(async move {
            for n in 0..10 {
                let name = format!("{writer}-{n}");
                impose(&states, &name, suspended(0)).await;
                // All of them restrict the same one too.
                impose(&states, "shared", suspended(writer)).await;
            }
        })
    });
    // Whoever follows meanwhile misses none of them.
    let (mut revision, mut seen) = (0, std::collections::BTreeSet::new());
    let writers: Vec<_> = writers.collect();
    while seen.len() < 81 {
        let part = states.since(NS, revision, Part::First, 7).await.unwrap();
        revision = part.revision;
        seen.extend(part.changes.into_iter().map(|change| change.account));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(levels(states, "shared", 10).await.len(), 1);
}

/// What version 1 of the tables may hold.
pub(crate) const LEFT_BEHIND: &str = r#"
    UPDATE account_revision SET revision = 1800000000007, horizon = 3;
    INSERT INTO restrictions VALUES ('mail', 'a@example.jp', 'Desk', 1800000000007, NULL, NULL,
        '{"level":"Suspend","since":1800000000000,"origin":"Desk","why":"a test"}');
    INSERT INTO account_history VALUES (1800000000007, 'mail', 'a@example.jp', 1800000000000, 'Restricted', 'hanako', 'a test',
        '{"level":"Suspend","since":1800000000000,"origin":"Desk","why":"a test"}');
"#;

pub(crate) async fn what_was_left_behind_is_there(states: &AccountStates) {
    let told = states
        .since(NS, 1_800_000_000_006, Part::First, 10)
        .await
        .unwrap();
    assert_eq!((told.onto, told.revision), (Onto::Known, 1_800_000_000_007));
    assert_eq!(told.changes.len(), 1);
    assert!(told.store.is_some());
    assert_eq!(history(states, "a", 0).await.len(), 1);
    let far_behind = states.since(NS, 2, Part::First, 10).await.unwrap();
    assert_eq!(far_behind.onto, Onto::Nothing);
    impose(states, "b", suspended(0)).await;
    assert_eq!(release(states, "a", None, 100).await, 1);
}

/// Rows that somebody else wrote, or a disk spoilt.
pub(crate) const SPOIL: &str = r#"
    UPDATE restrictions SET json = '{"level":' WHERE account = 'a@example.jp';
    UPDATE account_trail SET json = 'x' WHERE account = 'a@example.jp';
"#;

pub(crate) async fn two_stand(states: &AccountStates) {
    for name in ["a", "b"] {
        impose(states, name, suspended(0)).await;
        let desk = restriction(Level::Watch, Origin::Desk, 0);
        let restricted = states
            .restrict(NS, &account(name), &desk, &mandate(0))
            .await;
        restricted.unwrap();
    }
}

pub(crate) async fn what_is_spoilt_gives_way(states: &AccountStates) {
    assert_eq!(whole(states).await.changes.len(), 2, "the others are told");
    assert_eq!(levels(states, "a", 10).await, []);
    assert_eq!(levels(states, "b", 10).await.len(), 2);
    assert_eq!(history(states, "a", 0).await, []);
    // What a proxy tells takes its place, and people are rid of the rest.
    assert_eq!(impose(states, "a", suspended(5)).await, Some(suspended(5)));
    assert_eq!(levels(states, "a", 10).await, [Level::Suspend]);
    release(states, "a", None, 60_000).await;
    assert_eq!(levels(states, "a", 10).await, []);
    states
        .tend(NOW.plus(Millis(60_000)), Tending::default())
        .await
        .unwrap();
}
