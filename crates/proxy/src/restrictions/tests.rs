//! What holds, what is brought to the store, and what the store's word does to it.

use std::path::Path;

use proptest::prelude::*;
use sekisho_policy::states::{Absence, Change, Extent, Release, Rest};
use sekisho_policy::{Millis, ObjectRef, Origin};

use super::journal::State;
use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

fn all() -> Restrictions {
    Restrictions::new(Metrics::new())
}

fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

fn rule() -> Origin {
    Origin::Rule(ObjectRef {
        kind: sekisho_policy::snapshot::Kind::RateLimit,
        namespace: "mail".into(),
        name: "stolen".into(),
    })
}

fn suspended(origin: Origin, since: u64) -> Restriction {
    Restriction {
        level: Level::Suspend,
        since: NOW.plus(Millis(since)),
        until: Some(NOW.plus(Millis(10_000))),
        origin,
        why: "a test".into(),
        decision: None,
        recipients_per_hour: None,
    }
}

fn change(name: &str, origin: Origin, restriction: Option<Restriction>) -> Change {
    Change {
        account: account(name),
        origin,
        restriction,
        absence: Absence::Release,
        release: None,
    }
}

/// That somebody released the account from everything.
fn released(name: &str, revision: u64) -> Change {
    Change {
        release: Some(Release {
            at: NOW,
            revision,
            extent: Extent::Account,
        }),
        ..change(name, Origin::Desk, None)
    }
}

fn said(revision: u64, changes: Vec<Change>) -> States {
    States {
        revision,
        onto: Onto::Known,
        rest: Rest::Nothing,
        changes,
        store: None,
    }
}

/// What a store of that name says.
fn of_store(name: &str, states: States) -> States {
    States {
        store: Some(name.into()),
        ..states
    }
}

fn whole(revision: u64, changes: Vec<Change>) -> States {
    States {
        onto: Onto::Nothing,
        ..said(revision, changes)
    }
}

fn level(all: &Restrictions, name: &str, after: u64) -> Option<Level> {
    let standing = all.standing(&account(name), NOW.plus(Millis(after)));
    standing.map(|standing| standing.worst.level)
}

#[test]
fn what_is_imposed_bites_at_once_and_lifts_when_it_is_due() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    assert_eq!(level(&all, "b", 0), None);
    let behind = Timestamp(NOW.0 - 60_000);
    assert!(all.standing(&account("a"), behind).is_some());
    assert_eq!(level(&all, "a", 9_999), Some(Level::Suspend));
    assert_eq!(level(&all, "a", 10_000), None);
    all.stored(&all.next_batch(9), &said(1, vec![]));
    all.sweep(NOW.plus(Millis(10_000)));
    assert!(all.restricted().is_empty());
}

#[test]
fn the_same_one_is_queued_once() {
    let all = all();
    for _ in 0..3 {
        all.impose(&account("a"), suspended(rule(), 5));
    }
    all.impose(&account("a"), suspended(rule(), 4));
    let batch = all.next_batch(10);
    assert_eq!(batch.len(), 1);
    assert_eq!(batch[0].restriction, suspended(rule(), 5));
    all.put_back(batch);
    assert_eq!(all.next_batch(10).len(), 1);
}

#[test]
fn what_the_store_said_before_it_heard_of_it_releases_nobody() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    let released = || vec![change("a", rule(), None)];
    all.apply(&said(4, released()));
    all.apply(&whole(5, vec![]));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    all.stored(&all.next_batch(10), &said(7, vec![]));
    all.apply(&said(6, released()));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    all.apply(&said(8, released()));
    assert_eq!(level(&all, "a", 0), None);
}

#[test]
fn the_store_has_the_last_word_on_what_it_is_brought() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    all.impose(&account("b"), suspended(rule(), 0));
    let batch = all.next_batch(10);
    // People had released one of them since, and a newer one of another proxy is there for the other.
    let newer = Restriction {
        level: Level::Watch,
        ..suspended(rule(), 1)
    };
    let verdicts = vec![change("a", rule(), None), change("b", rule(), Some(newer))];
    all.stored(&batch, &said(3, verdicts));
    assert_eq!(level(&all, "a", 1), None);
    assert_eq!(level(&all, "b", 1), Some(Level::Watch));
    assert_eq!(all.next_batch(10), []);
}

#[test]
fn what_was_imposed_anew_while_it_was_on_its_way_is_brought_again() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    let batch = all.next_batch(10);
    let longer = Restriction {
        until: Some(NOW.plus(Millis(20_000))),
        ..suspended(rule(), 5)
    };
    all.impose(&account("a"), longer.clone());
    all.stored(
        &batch,
        &said(3, vec![change("a", rule(), Some(suspended(rule(), 0)))]),
    );
    let again = all.next_batch(10);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].restriction, longer);
}

/// A rule that is reached anew while its worse restriction holds lets nobody down to the milder one.
#[test]
fn a_rule_does_not_take_the_place_of_its_own_worse_word() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    let milder = Restriction {
        level: Level::Limit,
        until: None,
        ..suspended(rule(), 5)
    };
    all.impose(&account("a"), milder.clone());
    let level = |at| {
        Some(
            all.standing(&account("a"), NOW.plus(Millis(at)))?
                .worst
                .level,
        )
    };
    assert_eq!(level(9), Some(Level::Suspend));
    let later = Restriction {
        since: NOW.plus(Millis(10_000)),
        ..milder
    };
    all.impose(&account("a"), later);
    assert_eq!(level(10_000), Some(Level::Limit), "once that is over");
}

/// Two proxies reach steps of the same rule: the worse is told, though the milder was heard of first and is newer.
#[test]
fn a_milder_word_of_another_proxy_does_not_take_the_place_of_a_worse_one() {
    let all = all();
    let milder = Restriction {
        level: Level::Limit,
        ..suspended(rule(), 5)
    };
    let theirs = || vec![change("a", rule(), Some(milder.clone()))];
    all.impose(&account("a"), suspended(rule(), 0));
    all.apply(&said(4, theirs()));
    all.apply(&whole(5, theirs()));
    assert_eq!(level(&all, "a", 6), Some(Level::Suspend));
    let batch = all.next_batch(10);
    assert_eq!(batch.len(), 1);
    all.stored(&batch, &said(6, vec![]));
    all.apply(&said(7, theirs()));
    assert_eq!(
        level(&all, "a", 6),
        Some(Level::Limit),
        "the store's last word"
    );
    all.impose(&account("a"), suspended(rule(), 1));
    assert_eq!(
        level(&all, "a", 6),
        Some(Level::Suspend),
        "an older event is heard"
    );
}

/// A release is heard by the poll while the answer to what was told here is on its way: in whichever order the two arrive.
#[test]
fn a_slow_answer_does_not_undo_a_release() {
    type Hearing = fn(&Restrictions, States);
    let taken = || said(3, vec![change("a", rule(), Some(suspended(rule(), 0)))]);
    let release = || said(4, vec![change("a", rule(), None)]);
    let (apply, whole_of): (Hearing, Hearing) = (
        |all, states| all.apply(&states),
        |all, states| all.apply(&whole(states.revision, vec![])),
    );
    for hear in [apply, whole_of] {
        for answer in [taken(), said(3, vec![])] {
            let (late, early) = (all(), all());
            let batch = |all: &Restrictions| {
                all.impose(&account("a"), suspended(rule(), 0));
                all.next_batch(10)
            };
            let told = batch(&late);
            hear(&late, release());
            assert_eq!(level(&late, "a", 0), Some(Level::Suspend), "it is asked");
            late.stored(&told, &answer);
            let told = batch(&early);
            early.stored(&told, &answer);
            hear(&early, release());
            for all in [late, early] {
                assert_eq!(level(&all, "a", 0), None);
                assert_eq!(all.next_batch(10), []);
            }
        }
    }
}

/// What was heard before it was told is an older word than the answer.
#[test]
fn an_answer_that_is_newer_than_a_release_holds() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    all.apply(&said(4, vec![change("a", rule(), None)]));
    let batch = all.next_batch(10);
    let taken = vec![change("a", rule(), Some(suspended(rule(), 0)))];
    all.stored(&batch, &said(5, taken));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    assert_eq!(all.next_batch(10), []);
}

/// A newer word came, and went, while the answer was on its way.
#[test]
fn a_slow_answer_does_not_bring_back_what_is_gone() {
    let all = all();
    all.impose(&account("a"), suspended(rule(), 0));
    let batch = all.next_batch(10);
    let longer = Restriction {
        until: None,
        ..suspended(rule(), 1)
    };
    all.apply(&said(4, vec![change("a", rule(), Some(longer))]));
    all.apply(&said(5, vec![change("a", rule(), None)]));
    let taken = vec![change("a", rule(), Some(suspended(rule(), 0)))];
    all.stored(&batch, &said(3, taken));
    assert_eq!(level(&all, "a", 0), None);
}

/// A store that is full has released nobody.
#[test]
fn what_the_store_has_no_room_for_holds_here() {
    let metrics = Metrics::new();
    let all = Restrictions::new(metrics.clone());
    let mut released = all.released();
    for name in ["a", "b"] {
        all.impose(&account(name), suspended(rule(), 0));
    }
    let full = Change {
        absence: Absence::Untaken,
        ..change("a", rule(), None)
    };
    let taken = change("b", rule(), Some(suspended(rule(), 0)));
    all.stored(&all.next_batch(10), &said(3, vec![full, taken]));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    assert!(released.try_recv().is_err(), "and pardoned nobody");
    assert_eq!(all.next_batch(10), []);
    for result in ["stored", "unshared"] {
        let line = format!("sekisho_restrictions_imposed_total{{result=\"{result}\"}} 1");
        assert!(metrics.encode(0).lines().any(|shown| shown == line));
    }
}

/// Whoever counts against accounts hears of a release, and of nothing that ended by itself.
#[test]
fn a_release_is_told_of_once() {
    let all = all();
    let mut heard = all.released();
    all.impose(&account("a"), suspended(rule(), 0));
    all.impose(&account("b"), suspended(rule(), 0));
    let batch = all.next_batch(10);
    all.stored(&batch, &said(2, vec![]));
    all.apply(&said(3, vec![change("b", rule(), None)]));
    all.sweep(NOW.plus(Millis(10_000)));
    assert!(heard.try_recv().is_err(), "they ended by themselves");
    all.apply(&said(5, vec![released("a", 4), released("c", 5)]));
    for name in ["a", "c"] {
        let told = heard.try_recv().unwrap();
        assert_eq!((told.account, told.origin), (account(name), None));
        assert_eq!(told.at, NOW);
    }
    // The whole says it again, and what was missed.
    all.ask_for_whole();
    let of_rule = Change {
        origin: rule(),
        release: Some(Release {
            at: NOW,
            revision: 6,
            extent: Extent::Origin,
        }),
        ..released("d", 6)
    };
    all.apply(&whole(6, vec![released("a", 4), of_rule]));
    let told = heard.try_recv().unwrap();
    assert_eq!((told.account, told.origin), (account("d"), Some(rule())));
    assert!(heard.try_recv().is_err());
    // Whoever begins has nothing to forget.
    let fresh = Restrictions::new(Metrics::new());
    let mut heard = fresh.released();
    fresh.apply(&whole(6, vec![released("a", 4)]));
    assert!(heard.try_recv().is_err());
}

#[test]
fn a_release_of_the_account_ends_all_that_the_store_knew_of() {
    let all = all();
    let desk = change("a", Origin::Desk, Some(suspended(Origin::Desk, 0)));
    let of_rule = change("a", rule(), Some(suspended(rule(), 0)));
    all.apply(&said(2, vec![desk, of_rule]));
    all.apply(&said(3, vec![released("a", 3)]));
    assert_eq!(level(&all, "a", 0), None);
    // What it does not know of is told, and its answer counts.
    all.impose(&account("a"), suspended(rule(), 0));
    all.apply(&said(4, vec![released("a", 4)]));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    let batch = all.next_batch(10);
    let refused = Change {
        origin: rule(),
        ..released("a", 4)
    };
    all.stored(&batch, &said(4, vec![refused]));
    assert_eq!(level(&all, "a", 0), None);
}

#[test]
fn another_store_releases_nobody() {
    let all = all();
    let desk = |name| change(name, Origin::Desk, Some(suspended(Origin::Desk, 0)));
    let of_rule = |name| change(name, rule(), Some(suspended(rule(), 0)));
    let told = vec![desk("a"), of_rule("a"), of_rule("b"), desk("c"), desk("d")];
    all.apply(&of_store("first", whole(90, told)));
    assert_eq!(all.next_batch(10), []);
    // It goes on from a higher revision, and what it says is not an addition to what the first said.
    all.apply(&of_store("second", said(95, vec![])));
    assert_eq!(all.question(), (0, Part::First));
    assert_eq!(level(&all, "b", 0), Some(Level::Suspend));
    let watched = Restriction {
        level: Level::Watch,
        ..suspended(Origin::Desk, 0)
    };
    let told = vec![change("c", Origin::Desk, Some(watched)), released("d", 94)];
    all.apply(&of_store("second", whole(95, told)));
    let levels = ["a", "b", "c", "d"].map(|name| level(&all, name, 0));
    let (watch, suspend) = (Some(Level::Watch), Some(Level::Suspend));
    assert_eq!(levels, [suspend, suspend, watch, None]);
    // What rules imposed is told to it; a proxy does not speak for the desk.
    let mut again = all.next_batch(10);
    again.sort_by(|one, other| one.account.cmp(&other.account));
    let told: Vec<_> = again
        .iter()
        .map(|one| (&one.account, &one.restriction))
        .collect();
    let (a, b) = (account("a"), account("b"));
    assert_eq!(
        told,
        [(&a, &suspended(rule(), 0)), (&b, &suspended(rule(), 0))]
    );
    all.stored(&again, &said(97, vec![]));
    // The desk's goes on beside each further whole, until somebody releases it.
    for revision in [98, 99] {
        let told = vec![of_rule("a"), of_rule("b")];
        all.apply(&of_store("second", whole(revision, told)));
        assert!(all.standing(&a, NOW).is_some());
    }
    all.apply(&of_store(
        "second",
        said(101, vec![change("a", rule(), None), released("a", 101)]),
    ));
    assert_eq!(level(&all, "a", 0), None);
}

/// A store that was restored from a copy has lost what it said since.
#[test]
fn a_store_that_forgot_releases_nobody() {
    let all = all();
    let told = vec![change("a", rule(), Some(suspended(rule(), 0)))];
    all.apply(&of_store("one", whole(90, told)));
    all.ask_for_whole();
    all.apply(&of_store("one", whole(80, vec![])));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    assert_eq!(all.next_batch(10).len(), 1);
    assert_eq!(all.question(), (80, Part::First));
}

#[test]
fn the_whole_replaces_what_was_known_when_its_last_part_is_here() {
    let all = all();
    let told = |name, level| {
        let restriction = Restriction {
            level,
            ..suspended(Origin::Desk, 0)
        };
        change(name, Origin::Desk, Some(restriction))
    };
    all.apply(&whole(
        3,
        vec![told("a", Level::Suspend), told("b", Level::Limit)],
    ));
    all.impose(&account("d"), suspended(rule(), 0));
    let first = States {
        rest: Rest::More,
        ..whole(5, vec![told("b", Level::Watch)])
    };
    all.apply(&first);
    assert_eq!(all.question(), (5, Part::Next));
    assert_eq!(level(&all, "a", 0), Some(Level::Suspend));
    all.apply(&said(6, vec![told("c", Level::Watch)]));
    let levels = ["a", "b", "c", "d"].map(|name| level(&all, name, 0));
    let (watch, suspend) = (Some(Level::Watch), Some(Level::Suspend));
    assert_eq!(levels, [None, watch, watch, suspend]);
    assert_eq!(all.question(), (6, Part::First));
}

#[test]
fn a_restart_forgets_nobody_and_brings_again_what_was_not_brought() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (all(), all());
    before.apply(&said(
        4,
        vec![change("a", Origin::Desk, Some(suspended(Origin::Desk, 0)))],
    ));
    before.impose(&account("b"), suspended(rule(), 0));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(before.save(folder.path(), "mail"));
    after.recall(folder.path(), "other");
    assert_eq!(level(&after, "a", 0), None);
    after.recall(folder.path(), "mail");
    assert_eq!(level(&after, "a", 0), Some(Level::Suspend));
    assert_eq!(level(&after, "b", 0), Some(Level::Suspend));
    // The whole is asked for: what a clock that was wrong made the last run forget is heard again.
    assert_eq!(after.question(), (0, Part::First));
    assert_eq!(after.next_batch(10).len(), 1);
}

fn journal(folder: &Path) -> std::path::PathBuf {
    kept::file_of(folder, "mail")
}

/// What a process that starts now would know.
fn recalled(folder: &Path) -> Restrictions {
    let all = all();
    all.recall(folder, "mail");
    all
}

fn standing(all: &Restrictions) -> Vec<(Account, Level)> {
    let accounts = all.restricted().into_iter();
    let mut found: Vec<_> = accounts
        .filter_map(|name| Some((name.clone(), all.standing(&name, NOW)?.worst.level)))
        .collect();
    found.sort();
    found
}

#[test]
fn a_file_that_is_none_is_put_aside() {
    for content in ["", "{", "{\"revision\":1}\n", "00000000 {}\n"] {
        let folder = tempfile::tempdir().unwrap();
        let file = journal(folder.path());
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        all().recall(folder.path(), "mail");
        assert!(!file.exists() && file.with_extension("damaged").exists());
    }
}

/// Changes are added to the end; the file is written whole when it has become twice as long as need be.
#[test]
fn a_change_costs_a_line_and_the_file_stays_short() {
    let folder = tempfile::tempdir().unwrap();
    let (file, all) = (journal(folder.path()), all());
    for n in 0..2_000 {
        all.impose(&account(&n.to_string()), suspended(rule(), 0));
    }
    all.write_down(&file).unwrap();
    let length = || std::fs::metadata(&file).unwrap().len();
    let whole = length();
    let mut longest = 0;
    for round in 1..=1_500 {
        let before = length();
        let longer = Restriction {
            until: Some(NOW.plus(Millis(10_000 + round))),
            ..suspended(rule(), round)
        };
        for name in [round % 7, round % 1_999] {
            all.impose(&account(&name.to_string()), longer.clone());
        }
        all.write_down(&file).unwrap();
        assert!(
            length() < before + 1_500,
            "{round}: {before} and {}",
            length()
        );
        longest = longest.max(length());
    }
    assert!(
        (2 * whole..3 * whole).contains(&longest),
        "{whole} and {longest}"
    );
    assert_eq!(standing(&recalled(folder.path())), standing(&all));
}

#[test]
fn what_is_damaged_within_is_put_aside_and_the_rest_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (file, all) = (journal(folder.path()), all());
    for name in ["a", "b", "c"] {
        all.impose(&account(name), suspended(rule(), 0));
        all.write_down(&file).unwrap();
    }
    let mut octets = std::fs::read(&file).unwrap();
    let begins: Vec<_> = octets
        .split_inclusive(|&octet| octet == b'\n')
        .map(<[u8]>::len)
        .collect();
    assert_eq!(begins.len(), 4, "a head and three accounts");
    octets[begins[0] + begins[1] + 20] ^= 1;
    std::fs::write(&file, &octets).unwrap();
    assert_eq!(journal::parse(&octets).unwrap().state, State::Damaged);
    let after = recalled(folder.path());
    let names: Vec<_> = standing(&after).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [account("a"), account("c")]);
    assert_eq!(after.question(), (0, Part::First));
    assert_eq!(
        std::fs::read(file.with_extension("damaged")).unwrap(),
        octets
    );
    assert_eq!(standing(&recalled(folder.path())), standing(&after));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A process that is killed anywhere within a write knows what the lines say that were finished, and goes on from there.
    #[test]
    fn a_file_that_ends_anywhere_says_what_was_so_before(
        steps in prop::collection::vec((0_u8..6, 0_u8..4), 1..24),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (file, all) = (journal(folder.path()), all());
        // What was known when the file had that length.
        let mut known = vec![(0, Vec::new())];
        for (at, (name, what)) in (1_u64..).zip(steps) {
            let name = name.to_string();
            let restriction = match what {
                0 => None,
                1 => Some(suspended(Origin::Desk, at)),
                _ => Some(Restriction { level: Level::Watch, ..suspended(Origin::Desk, at) }),
            };
            all.apply(&said(at, vec![change(&name, Origin::Desk, restriction)]));
            all.write_down(&file).unwrap();
            known.push((std::fs::metadata(&file).unwrap().len(), standing(&all)));
        }
        let octets = std::fs::read(&file).unwrap();
        let first = known[1].0;
        let cut = usize::try_from(first).unwrap()
            + cut.index(octets.len() + 1 - usize::try_from(first).unwrap());
        std::fs::write(&file, &octets[..cut]).unwrap();
        let after = recalled(folder.path());
        let before: Vec<_> = known.iter().filter(|(length, _)| *length <= cut as u64).collect();
        let next = known.iter().find(|(length, _)| *length > cut as u64);
        // The line of the next change may be whole, and that up to where the store was heard not.
        let expected = [before.last().map(|(_, known)| known), next.map(|(_, known)| known)];
        let found = standing(&after);
        prop_assert!(expected.contains(&Some(&found)), "{found:?}, not {expected:?}");
        // What is written from here on is not hidden by what was torn.
        after.impose(&account("later"), suspended(rule(), 0));
        after.write_down(&file).unwrap();
        prop_assert_eq!(standing(&recalled(folder.path())), standing(&after));
    }
}

#[test]
fn memory_is_bounded_and_what_is_over_makes_room() {
    let all = all();
    for n in 0..table::MOST {
        all.impose(&account(&n.to_string()), suspended(rule(), 0));
        let _ = all.next_batch(1);
    }
    assert_eq!(
        level(&all, &(table::MOST - 1).to_string(), 0),
        Some(Level::Suspend)
    );
    all.impose(&account("one more"), suspended(rule(), 0));
    assert_eq!(level(&all, "one more", 0), None);
    all.refused(&[Imposition {
        account: account("0"),
        restriction: suspended(rule(), 0),
    }]);
    let later = Restriction {
        until: None,
        ..suspended(rule(), 20_000)
    };
    all.impose(&account("later"), later);
    assert_eq!(level(&all, "later", 20_000), Some(Level::Suspend));
}

#[test]
fn metrics_follow() {
    let metrics = Metrics::new();
    let all = Restrictions::new(metrics.clone());
    let shows = |line: &str| metrics.encode(0).lines().any(|shown| shown == line);
    all.impose(&account("a"), suspended(rule(), 0));
    assert!(shows("sekisho_restrictions{level=\"suspend\"} 1"));
    assert!(shows("sekisho_restrictions_waiting 1"));
    all.stored(&all.next_batch(9), &said(1, vec![]));
    assert!(shows("sekisho_restrictions_waiting 0"));
    assert!(shows(
        "sekisho_restrictions_imposed_total{result=\"stored\"} 1"
    ));
    drop(all);
    assert!(shows("sekisho_restrictions{level=\"suspend\"} 0"));
}
