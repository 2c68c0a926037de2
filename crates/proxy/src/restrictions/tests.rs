//! What holds, what is brought to the store, and what the store's word does to it.

mod files;
mod stores;

use sekisho_policy::states::{Absence, Change, Extent, Release, Rest};
use sekisho_policy::{Millis, ObjectRef, Origin};

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
        then: None,
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
            disowned: None,
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

/// The other proxy's is worse and shorter, and this one's longer and milder: both hold, whichever way the store's word comes in.
#[test]
fn what_waits_does_not_hide_the_worse_word_of_the_store() {
    let milder = Restriction {
        level: Level::Limit,
        until: Some(NOW.plus(Millis(20_000))),
        ..suspended(rule(), 0)
    };
    let theirs = || vec![change("a", rule(), Some(suspended(rule(), 5)))];
    for states in [said(4, theirs()), whole(4, theirs())] {
        let all = all();
        all.impose(&account("a"), milder.clone());
        let on_its_way = all.next_batch(10);
        all.apply(&states);
        let levels = || [6, 10_000, 20_000].map(|after| level(&all, "a", after));
        let both = [Some(Level::Suspend), Some(Level::Limit), None];
        assert_eq!(levels(), both);
        // The answer is older than what is here now: it is told again, with both.
        all.stored(&on_its_way, &said(3, vec![]));
        let again = all.next_batch(10);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].restriction.parts().count(), 2);
        assert_eq!(levels(), both);
        all.stored(&again, &said(5, vec![]));
        assert_eq!(levels(), both);
        assert_eq!(all.next_batch(10), []);
    }
}

/// What was released does not come back as what follows something new that waits.
#[test]
fn a_release_takes_what_is_older_out_of_what_waits() {
    let old = Restriction {
        level: Level::Limit,
        until: None,
        ..suspended(rule(), 0)
    };
    for hear in [said, whole] {
        let all = all();
        all.apply(&said(2, vec![change("a", rule(), Some(old.clone()))]));
        all.impose(&account("a"), suspended(rule(), 1));
        assert_eq!(level(&all, "a", 10_000), Some(Level::Limit));
        all.apply(&hear(4, vec![released("a", 4)]));
        assert_eq!(level(&all, "a", 1), Some(Level::Suspend));
        assert_eq!(level(&all, "a", 10_000), None);
        let told = all.next_batch(10);
        assert_eq!(told[0].restriction, suspended(rule(), 1));
    }
}

/// One proxy that was taken over fills the store with accounts that it made up.
#[test]
fn what_people_say_and_what_is_imposed_here_bite_though_the_store_is_full() {
    let all = all();
    let invented = (0..book::MOST).map(|n| {
        let name = n.to_string();
        change(&name, rule(), Some(suspended(rule(), 0)))
    });
    all.apply(&whole(5, invented.collect()));
    let desk = change("desk", Origin::Desk, Some(suspended(Origin::Desk, 0)));
    all.apply(&said(6, vec![desk]));
    all.impose(&account("own"), suspended(rule(), 0));
    let theirs = change("theirs", rule(), Some(suspended(rule(), 0)));
    all.apply(&said(7, vec![theirs]));
    let levels = ["0", "desk", "own", "theirs"].map(|name| level(&all, name, 0));
    let suspend = Some(Level::Suspend);
    assert_eq!(levels, [suspend, suspend, suspend, None]);
}

/// Whoever makes up rules displaces neither the worst nor what people say.
#[test]
fn an_account_has_so_many_restrictions() {
    let all = all();
    let named = |name: String| {
        Origin::Rule(ObjectRef {
            kind: sekisho_policy::snapshot::Kind::AbuseRule,
            namespace: "mail".into(),
            name,
        })
    };
    let desk = change("a", Origin::Desk, Some(suspended(Origin::Desk, 0)));
    all.apply(&said(2, vec![desk]));
    all.impose(&account("a"), suspended(rule(), 0));
    for n in 0..100 {
        let watch = Restriction {
            level: Level::Watch,
            ..suspended(named(format!("r{n}")), 0)
        };
        all.impose(&account("a"), watch);
    }
    let table = all.read();
    let entries = table.book.of(&account("a"));
    assert_eq!(entries.len(), book::MOST_OF_ACCOUNT + 1);
    for origin in [rule(), Origin::Desk] {
        assert!(table.book.entry(&account("a"), &origin).is_some());
    }
    assert_eq!(table.census().levels[3], 2);
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

/// The parts of a whole are of different moments.
#[test]
fn what_ends_while_the_whole_comes_in_is_not_there() {
    let all = all();
    let told = |name| change(name, rule(), Some(suspended(rule(), 0)));
    let first = States {
        rest: Rest::More,
        ..whole(5, vec![told("a"), told("b"), told("c")])
    };
    all.apply(&first);
    let ended = vec![change("a", rule(), None), change("b", rule(), None)];
    all.apply(&said(
        8,
        [ended, vec![released("b", 7), told("d")]].concat(),
    ));
    let levels = ["a", "b", "c", "d"].map(|name| level(&all, name, 0));
    let suspend = Some(Level::Suspend);
    assert_eq!(levels, [None, None, suspend, suspend]);
}

#[test]
fn memory_is_bounded_and_what_is_over_makes_room() {
    let all = all();
    for n in 0..book::MOST + book::OWN {
        all.impose(&account(&n.to_string()), suspended(rule(), 0));
        let _ = all.next_batch(1);
    }
    assert_eq!(
        level(&all, &(book::MOST + book::OWN - 1).to_string(), 0),
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
