//! What is known, what a whole does to it, and what survives a restart.

use std::fs;

use sekisho_policy::Millis;
use sekisho_policy::settings::{LoginsFromAbroad, OwnLimit, SettingsChange};
use sekisho_policy::snapshot::Unit;
use sekisho_runtime::Shutdown;
use sekisho_testkit::{FullDisk, alone};

use super::*;

fn known() -> KnownSettings {
    KnownSettings::new(Metrics::new()).unwrap()
}

fn account(name: &str) -> Account {
    Account::canonical(name, Some("example.jp"))
}

fn refusing(count: u64) -> AccountSettings {
    let limit = OwnLimit {
        rule: "per-account".into(),
        unit: Unit::Recipients,
        per: Millis::HOUR,
        count,
    };
    AccountSettings {
        logins_from_abroad: Some(LoginsFromAbroad::Refuse),
        limits: [limit].into(),
        ..AccountSettings::default()
    }
}

fn change(name: &str, count: Option<u64>) -> SettingsChange {
    SettingsChange {
        account: account(name),
        settings: count.map(refusing),
    }
}

fn said(revision: u64, onto: Onto, rest: Rest, changes: Vec<SettingsChange>) -> SettingsChanges {
    SettingsChanges {
        revision,
        onto,
        rest,
        changes,
        store: None,
        horizon: revision,
    }
}

/// The same of a store that says its name, and still knows of all that was reset after a revision.
fn of_store(store: &str, horizon: u64, said: SettingsChanges) -> SettingsChanges {
    SettingsChanges {
        store: Some(store.into()),
        horizon,
        ..said
    }
}

fn whole(revision: u64, changes: Vec<SettingsChange>) -> SettingsChanges {
    said(revision, Onto::Nothing, Rest::Nothing, changes)
}

fn news(revision: u64, changes: Vec<SettingsChange>) -> SettingsChanges {
    said(revision, Onto::Known, Rest::Nothing, changes)
}

fn count(known: &KnownSettings, name: &str) -> Option<u64> {
    known
        .of(&account(name))
        .own()
        .map(|own| own.limits[0].count)
}

#[test]
fn nobody_has_any_before_they_were_heard_and_that_is_said() {
    let known = known();
    assert_eq!(known.of(&account("a")), Settings::Unheard);
    known.apply(&said(
        7,
        Onto::Nothing,
        Rest::More,
        vec![change("a", Some(1))],
    ));
    assert_eq!(count(&known, "a"), Some(1), "each part holds at once");
    assert_eq!(known.of(&account("b")), Settings::Unheard);
    assert_eq!(known.question(), (7, Part::Next));
    known.apply(&news(9, vec![]));
    assert_eq!(known.of(&account("b")), Settings::None);
    assert_eq!(known.question(), (9, Part::First));
    known.apply(&news(10, vec![change("a", None)]));
    assert_eq!(known.of(&account("a")), Settings::None);
    assert!(known.is_empty() && known.were_heard());
}

#[test]
fn a_whole_forgets_what_is_in_none_of_its_parts_however_often_it_is_begun() {
    let known = known();
    let both = || vec![change("a", Some(1)), change("b", Some(2))];
    known.apply(&whole(1, both()));
    // Begun, broken off and begun anew: what the first had and the second has not, goes.
    known.apply(&said(
        3,
        Onto::Nothing,
        Rest::More,
        vec![change("a", Some(3))],
    ));
    known.ask_for_whole();
    assert_eq!(known.question(), (0, Part::First));
    known.apply(&said(
        5,
        Onto::Nothing,
        Rest::More,
        vec![change("c", Some(5))],
    ));
    assert_eq!((count(&known, "a"), count(&known, "b")), (Some(3), Some(2)));
    known.apply(&news(6, vec![change("d", Some(6))]));
    assert_eq!(
        [("a"), ("b"), ("c"), ("d")].map(|name| count(&known, name)),
        [None, None, Some(5), Some(6)]
    );
    assert_eq!(known.len(), 2);
}

/// A store that was emptied, replaced or restored from a backup has reset nothing.
#[tokio::test]
async fn what_another_store_does_not_know_stays_here_and_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let first = known();
    let both = || vec![change("a", Some(1)), change("b", Some(2))];
    kept(&first, folder.path(), || {
        first.apply(&of_store("one", 0, whole(5, both())))
    })
    .await;
    let second = known();
    second.recall(folder.path(), "mail");
    kept(&second, folder.path(), || {
        // Its revision has jumped: it seems to go on, and does not.
        second.apply(&of_store("two", 0, news(9, vec![change("c", Some(3))])));
        assert_eq!(second.question(), (0, Part::First));
        assert_eq!(count(&second, "c"), None);
        second.apply(&of_store("two", 0, whole(9, vec![change("a", Some(7))])));
        assert_eq!(second.missing(), 1);
        // All that it still knows of is asked for, resets too.
        assert_eq!(second.question(), (1, Part::First));
        let said = vec![change("a", Some(7)), change("d", None)];
        second.apply(&of_store("two", 0, news(9, said)));
    })
    .await;
    for known in [&second, &{
        let third = known();
        third.recall(folder.path(), "mail");
        third
    }] {
        assert_eq!(known.question(), (9, Part::First));
        assert_eq!((count(known, "a"), count(known, "b")), (Some(7), Some(2)));
    }
    // People have the last word.
    second.apply(&of_store("two", 0, news(10, vec![change("b", None)])));
    assert_eq!((second.missing(), second.len()), (0, 1));
}

#[test]
fn the_same_store_is_believed_as_far_as_it_remembers() {
    let known = known();
    let all = || vec![change("a", Some(1)), change("b", Some(2))];
    known.apply(&of_store("one", 2, whole(5, all())));
    // It remembers all since: what the daily whole does not name was reset and is told next, or was lost.
    known.ask_for_whole();
    known.apply(&of_store("one", 2, whole(8, vec![change("a", Some(1))])));
    assert_eq!((known.missing(), known.question()), (1, (5, Part::First)));
    known.apply(&of_store("one", 2, news(8, vec![change("b", None)])));
    assert_eq!((known.missing(), known.question()), (0, (8, Part::First)));
    // An older state of it was restored.
    known.apply(&of_store("one", 2, whole(4, vec![])));
    assert_eq!((known.missing(), known.question()), (1, (2, Part::First)));
    known.apply(&of_store("one", 2, news(4, vec![])));
    assert_eq!(count(&known, "a"), Some(1));
    // It forgot what was reset since.
    known.apply(&of_store("one", 20, whole(30, vec![change("c", Some(3))])));
    assert_eq!((known.missing(), known.len()), (0, 1));
    assert_eq!(known.question(), (30, Part::First));
}

#[test]
fn a_hundred_thousand_come_and_go() {
    let known = known();
    let names: Vec<String> = (0..100_000).map(|at| format!("user{at}")).collect();
    for (at, part) in (1..).zip(names.chunks(10_000)) {
        let changes = part
            .iter()
            .map(|name| change(name, Some(name.len() as u64)))
            .collect();
        let onto = if at == 1 { Onto::Nothing } else { Onto::Known };
        let rest = if at == 10 { Rest::Nothing } else { Rest::More };
        known.apply(&said(at, onto, rest, changes));
    }
    assert_eq!(known.len(), 100_000);
    assert!(
        names
            .iter()
            .all(|name| count(&known, name) == Some(name.len() as u64))
    );
    known.apply(&whole(20, vec![]));
    assert!(known.is_empty());
    assert_eq!(known.of(&account("user1")), Settings::None);
}

/// Runs what keeps the files until it has nothing to do.
async fn kept(known: &KnownSettings, folder: &std::path::Path, doing: impl FnOnce()) {
    let ending = Shutdown::new();
    let keeping = tokio::spawn(known.clone().keep(
        folder.to_owned(),
        "mail".into(),
        ending.clone(),
    ));
    doing();
    ending.begin();
    keeping.await.unwrap();
}

#[tokio::test]
async fn a_restart_knows_all_that_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let first = known();
    kept(&first, folder.path(), || {
        first.apply(&whole(5, vec![change("a", Some(1)), change("b", Some(2))]))
    })
    .await;
    let second = known();
    second.recall(folder.path(), "mail");
    assert_eq!(
        (count(&second, "a"), second.question()),
        (Some(1), (5, Part::First))
    );
    // What changes is added to a journal, and the base stays as it is.
    let base = folder.path().join("settings/mail.base");
    let before = fs::read(&base).unwrap();
    kept(&second, folder.path(), || {
        second.apply(&news(8, vec![change("a", None), change("c", Some(3))]))
    })
    .await;
    assert_eq!(fs::read(&base).unwrap(), before);
    let third = known();
    third.recall(folder.path(), "mail");
    assert_eq!(third.question(), (8, Part::First));
    assert_eq!(
        ["a", "b", "c"].map(|name| count(&third, name)),
        [None, Some(2), Some(3)]
    );
    assert_eq!(
        third.of(&account("a")),
        Settings::None,
        "they were all heard"
    );
    assert!(
        !String::from_utf8_lossy(&before).contains("example.jp"),
        "no name is written down"
    );
}

#[tokio::test]
async fn a_journal_that_breaks_off_is_read_up_to_there_and_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let first = known();
    kept(&first, folder.path(), || {
        first.apply(&whole(5, vec![change("a", Some(1))]))
    })
    .await;
    kept(&first, folder.path(), || {
        first.apply(&news(6, vec![change("b", Some(2))]))
    })
    .await;
    let journal = folder.path().join("settings/mail.journal");
    let mut content = fs::read(&journal).unwrap();
    assert!(!content.is_empty());
    content.extend_from_slice(br#"{"id":1,"revi"#);
    fs::write(&journal, content).unwrap();
    let second = known();
    second.recall(folder.path(), "mail");
    assert_eq!((count(&second, "b"), second.question().0), (Some(2), 6));
    kept(&second, folder.path(), || {}).await;
    kept(&second, folder.path(), || {
        second.apply(&news(7, vec![change("c", Some(3))]))
    })
    .await;
    let third = known();
    third.recall(folder.path(), "mail");
    assert_eq!(
        ["a", "b", "c"].map(|name| count(&third, name)),
        [Some(1), Some(2), Some(3)]
    );
}

#[tokio::test]
async fn a_damaged_base_is_put_aside_and_its_journal_means_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = known();
    kept(&first, folder.path(), || {
        first.apply(&whole(5, vec![change("a", Some(1))]))
    })
    .await;
    kept(&first, folder.path(), || {
        first.apply(&news(6, vec![change("b", Some(2))]))
    })
    .await;
    let base = folder.path().join("settings/mail.base");
    let mut content = fs::read(&base).unwrap();
    let at = content.len() / 2;
    content[at] ^= 1;
    fs::write(&base, content).unwrap();
    let second = known();
    second.recall(folder.path(), "mail");
    assert_eq!(second.of(&account("b")), Settings::Unheard);
    assert_eq!(second.question(), (0, Part::First));
    assert!(folder.path().join("settings/mail.damaged").exists());
    // The whole that is heard then has a journal of its own.
    kept(&second, folder.path(), || {
        second.apply(&whole(6, vec![change("c", Some(3))]))
    })
    .await;
    let third = known();
    third.recall(folder.path(), "mail");
    assert_eq!((third.len(), count(&third, "c")), (1, Some(3)));
}

/// A whole that is on its way is a mix of two, and never becomes the base.
#[tokio::test]
async fn half_a_whole_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = known();
    kept(&first, folder.path(), || {
        first.apply(&whole(5, vec![change("a", Some(1)), change("b", Some(2))]))
    })
    .await;
    kept(&first, folder.path(), || {
        first.apply(&said(
            9,
            Onto::Nothing,
            Rest::More,
            vec![change("a", Some(7))],
        ))
    })
    .await;
    let second = known();
    second.recall(folder.path(), "mail");
    assert_eq!((count(&second, "a"), second.question().0), (Some(1), 5));
}

/// The disk is full in the midst of a line: what was kept is read again, and all is kept once there is room.
#[test]
fn a_disk_that_is_full_loses_nothing_once_there_is_room() {
    let test = concat!(
        module_path!(),
        "::a_disk_that_is_full_loses_nothing_once_there_is_room"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    alone(test, || runtime.block_on(fill_the_disk()));
}

async fn fill_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let first = known();
    kept(&first, folder.path(), || {
        first.apply(&whole(5, vec![change("a", Some(1))]))
    })
    .await;
    let base = folder.path().join("settings/mail.base");
    let before = fs::read(&base).unwrap();
    let full = FullDisk::after(30);
    let journal = folder.path().join("settings/mail.journal");
    for (revision, name) in [(6, "b"), (7, "c")] {
        kept(&first, folder.path(), || {
            first.apply(&news(revision, vec![change(name, Some(2))]))
        })
        .await;
        assert_eq!(
            fs::read(&journal).unwrap().len(),
            30,
            "the first line broke off"
        );
        assert_eq!(
            fs::read(&base).unwrap(),
            before,
            "a new base has no room beside it"
        );
        assert_eq!(count(&first, name), Some(2));
    }
    let second = known();
    second.recall(folder.path(), "mail");
    assert_eq!((second.len(), second.question()), (1, (5, Part::First)));
    drop(full);
    kept(&first, folder.path(), || {}).await;
    let third = known();
    third.recall(folder.path(), "mail");
    assert_eq!((third.len(), third.question()), (3, (7, Part::First)));
}
