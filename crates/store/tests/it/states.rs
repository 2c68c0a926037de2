//! What every database behind account states must do, as functions over [`AccountStates`]; `suite!` makes tests of them.
#![allow(
    clippy::unwrap_used,
    reason = "these are tests, though the attribute is on what the macro makes of them"
)]

mod kept;
mod releases;
mod time;

use std::path::Path;

use sekisho_policy::snapshot::Kind;
use sekisho_policy::states::{
    Absence, Change, Extent, Imposition, Onto, Part, Release, Rest, States,
};
use sekisho_policy::{Account, Level, Millis, ObjectRef, Origin, Restriction, Span, Timestamp};
use sekisho_store::{
    AccountAction, AccountStates, HistoryEntry, Mandate, ReleaseFrom, Released, Store, Tending,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NS: &str = "mail";

pub(crate) use kept::*;
pub(crate) use releases::*;
pub(crate) use time::*;

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
                what_a_thief_may_have_used_is_told,
                nothing_is_disowned_ahead_of_time,
                what_people_released_stays_released_though_something_new_stands,
                what_people_released_does_not_come_back_after_something_new,
                so_many_rules_restrict_an_account_and_people_besides,
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
        then: None,
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
    let from = origin.map_or_else(ReleaseFrom::default, ReleaseFrom::Origin);
    let released = states.release(NS, &account(name), from, &mandate(at)).await;
    released.unwrap().restrictions.len()
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

/// A proxy tells what it imposed, of which nobody is to hear.
async fn tell(
    states: &AccountStates,
    namespace: &str,
    told: &[Imposition],
    at: Timestamp,
) -> States {
    let nobody = |_: &Imposition| Vec::new();
    let imposed = states.impose(namespace, told, "pod-1", at, &nobody);
    imposed.await.unwrap().states
}

async fn impose(
    states: &AccountStates,
    name: &str,
    restriction: Restriction,
) -> Option<Restriction> {
    let at = NOW.plus(Millis(50_000));
    let said = tell(states, NS, &[imposition(name, restriction)], at).await;
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
    // Of two proxies, the one that was heard last had found it first. What is milder and lasts longer goes on after it.
    let followed = |worse: Restriction, then: &Restriction| {
        let then = Some(Box::new(then.clone()));
        Some(Restriction { then, ..worse })
    };
    let first = impose(states, "a", suspended(4)).await;
    assert_eq!(first, followed(suspended(4), &watch));
    assert_eq!(impose(states, "a", watch).await, first);
    assert_eq!(impose(states, "a", other.clone()).await, Some(other));
    let endless = Restriction {
        until: None,
        ..restriction(Level::Quarantine, rule("stolen"), 6)
    };
    let second = impose(states, "a", endless.clone()).await;
    assert_eq!(second, followed(suspended(4), &endless));
    let shorter = Restriction {
        until: Some(NOW.plus(Millis(50_001))),
        ..suspended(6)
    };
    for known in [shorter, suspended(3)] {
        assert_eq!(impose(states, "a", known).await, second);
    }
    let longer = impose(states, "a", suspended(6)).await;
    assert_eq!(longer, followed(suspended(6), &endless));
    assert_eq!(
        levels(states, "a", 10).await,
        [Level::Limit, Level::Suspend]
    );
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
        .release(
            NS,
            &account("a"),
            ReleaseFrom::Origin(&rule("stolen")),
            &mandate(30),
        )
        .await
        .unwrap();
    assert_eq!(released.restrictions, [suspended(0)]);
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
        .release(NS, &account("b"), ReleaseFrom::default(), &mandate(50))
        .await
        .unwrap();
    assert_eq!(nothing.restrictions, []);
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
        .release("other", &account("a"), ReleaseFrom::default(), &mandate(1))
        .await
        .unwrap();
    assert_eq!(released.restrictions, []);
}

pub(crate) async fn the_whole_comes_in_parts(states: &AccountStates) {
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        impose(states, name, suspended(0)).await;
    }
    states
        .release(NS, &account("b"), ReleaseFrom::default(), &mandate(60_000))
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
    tell(states, "other", &elsewhere, NOW).await;
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
