//! Releases, and stores that take the place of another.

use super::*;

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
            disowned: None,
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
    all.impose(&account("a"), suspended(rule(), 1));
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
