//! What every database behind account states must do, as functions over [`AccountStates`]; `suite!` makes tests of them.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

use std::path::Path;

use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::{Absence, Change, Imposition, Onto, Part, Rest};
use sekisho_policy::{Account, Level, Millis, ObjectRef, Origin, Restriction, Timestamp};
use sekisho_store::{AccountAction, AccountStates, Mandate, Store};

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
                what_is_over_when_it_arrives_is_not_taken,
                what_people_released_stays_released,
                what_people_released_stays_released_though_something_new_stands,
                a_clock_that_is_ahead_does_not_keep_people_from_releasing,
                people_restrict_and_release_with_who_and_why,
                what_is_over_lifts_by_itself,
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
    }
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
    let history = states.history(NS, &account("a"), 10).await.unwrap();
    assert_eq!(history.len(), 1, "{history:?}");
    let entry = &history[0];
    assert_eq!(
        (entry.action, &*entry.mandate.who),
        (AccountAction::Imposed, "proxy pod-1")
    );
    assert_eq!(entry.restriction, suspended(0));
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

pub(crate) async fn what_is_over_when_it_arrives_is_not_taken(states: &AccountStates) {
    let over = |level| Restriction {
        until: Some(NOW.plus(Millis(50_000))),
        ..restriction(level, rule("stolen"), 0)
    };
    let absence = async |name| {
        let told = [imposition(name, over(Level::Suspend))];
        let at = NOW.plus(Millis(50_000));
        let said = states.impose(NS, &told, "pod-1", at).await.unwrap();
        let [change] = said.changes.as_slice() else {
            panic!("{said:?}")
        };
        assert_eq!(change.restriction, None);
        change.absence
    };
    assert_eq!(absence("a").await, Absence::Untaken);
    impose(states, "b", suspended(0)).await;
    let mandate = mandate(10);
    states
        .release(NS, &account("b"), None, &mandate)
        .await
        .unwrap();
    assert_eq!(absence("b").await, Absence::Release);
    let limit = restriction(Level::Limit, rule("stolen"), 1);
    impose(states, "a", limit.clone()).await;
    assert_eq!(impose(states, "a", over(Level::Suspend)).await, Some(limit));
    let history = states.history(NS, &account("a"), 10).await.unwrap();
    assert_eq!(history.len(), 1, "{history:?}");
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
    let history = states.history(NS, &account("a"), 10).await.unwrap();
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
        (AccountAction::Released, "hanako", 30),
        (AccountAction::Restricted, "hanako", 10),
        (AccountAction::Imposed, "proxy pod-1", 50_000),
    ];
    assert_eq!(told, expected);
    assert_eq!(history[0].mandate.why, "ticket 4711");
    assert_eq!(history[1].restriction, desk);
    assert_eq!(states.history(NS, &account("a"), 1).await.unwrap().len(), 1);
    let nothing = states
        .release(NS, &account("b"), None, &mandate(50))
        .await
        .unwrap();
    assert_eq!(nothing, []);
}

pub(crate) async fn what_is_over_lifts_by_itself(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let due = NOW.plus(Millis::HOUR);
    assert_eq!(
        levels(states, "a", Millis::HOUR.0 - 1).await,
        [Level::Suspend]
    );
    assert_eq!(levels(states, "a", Millis::HOUR.0).await, []);
    assert_eq!(states.lift(Timestamp(due.0 - 1)).await.unwrap(), 0);
    assert_eq!(states.lift(due).await.unwrap(), 1);
    assert_eq!(states.lift(due).await.unwrap(), 0);
    let history = states.history(NS, &account("a"), 10).await.unwrap();
    assert_eq!(history[0].action, AccountAction::Lifted);
    assert_eq!(
        impose(states, "a", suspended(1)).await,
        None,
        "it is older than its end"
    );
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
    let first = states.since(NS, 0, Part::First, 2).await.unwrap();
    assert_eq!((first.onto, first.rest), (Onto::Nothing, Rest::More));
    let second = states
        .since(NS, first.revision, Part::Next, 2)
        .await
        .unwrap();
    assert_eq!((second.onto, second.rest), (Onto::Known, Rest::More));
    let third = states
        .since(NS, second.revision, Part::Next, 2)
        .await
        .unwrap();
    assert_eq!((third.onto, third.rest), (Onto::Known, Rest::Nothing));
    let all: Vec<_> = [first, second, third]
        .into_iter()
        .flat_map(|part| part.changes)
        .collect();
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

pub(crate) async fn who_is_too_far_behind_gets_the_whole(states: &AccountStates) {
    impose(states, "a", suspended(0)).await;
    let before = states.since(NS, 0, Part::First, 10).await.unwrap().revision;
    impose(states, "b", suspended(0)).await;
    states
        .release(NS, &account("b"), None, &mandate(60_000))
        .await
        .unwrap();
    let later = states.since(NS, before, Part::First, 10).await.unwrap();
    assert_eq!((later.onto, later.changes.len()), (Onto::Known, 1));
    let (history, ended) = (Timestamp(0), NOW.plus(Millis(60_001)));
    states.forget(history, ended).await.unwrap();
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
    states
        .release(NS, &account("gone"), None, &mandate(60_000))
        .await
        .unwrap();
    states
        .forget(Timestamp(0), NOW.plus(Millis(60_001)))
        .await
        .unwrap();
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
    let mut changes = states.changes();
    changes.mark_unchanged();
    impose(states, "a", suspended(0)).await;
    assert!(changes.has_changed().unwrap());
    let newest = *changes.borrow_and_update();
    assert_eq!(states.look().await.unwrap(), newest);
    impose(states, "a", suspended(0)).await;
    assert!(!changes.has_changed().unwrap(), "nothing changed");
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
