//! What is on disk, cut and damaged anywhere.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use sekisho_runtime::{Clock, Shutdown};
use sekisho_testkit::{FullDisk, alone};
use tokio::time::sleep;

use super::*;
use crate::restrictions::journal::State;

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

/// What a disk did not take is written when it takes it again, with what came about meanwhile.
#[test]
fn a_disk_that_takes_nothing_loses_nothing_once_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let (file, all) = (journal(folder.path()), all());
    let in_the_way = folder.path().join("restrictions");
    std::fs::write(&in_the_way, "").unwrap();
    for name in ["a", "b"] {
        all.impose(&account(name), suspended(rule(), 0));
        all.write_down(&file).unwrap_err();
    }
    std::fs::remove_file(&in_the_way).unwrap();
    all.write_down(&file).unwrap();
    assert_eq!(standing(&recalled(folder.path())).len(), 2);
    all.impose(&account("c"), suspended(rule(), 0));
    all.write_down(&file).unwrap();
    assert_eq!(standing(&recalled(folder.path())).len(), 3);
}

/// The disk is full in the midst of a line: what was kept is read again, what is imposed bites, and all is kept once there is room.
#[test]
fn a_disk_that_is_full_loses_nothing_once_there_is_room() {
    let test = concat!(
        module_path!(),
        "::a_disk_that_is_full_loses_nothing_once_there_is_room"
    );
    alone(test, || {
        let folder = tempfile::tempdir().unwrap();
        let (file, all) = (journal(folder.path()), all());
        all.impose(&account("a"), suspended(rule(), 0));
        all.write_down(&file).unwrap();
        let length = || std::fs::metadata(&file).unwrap().len();
        let (kept, before) = (standing(&all), length());
        let full = FullDisk::after(before + 20);
        all.impose(&account("b"), suspended(rule(), 0));
        let error = all.write_down(&file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge);
        assert_eq!(length(), before + 20, "the line broke off");
        assert_eq!(level(&all, "b", 0), Some(Level::Suspend));
        all.write_down(&file)
            .expect_err("nor has the whole room, beside the file");
        assert_eq!(standing(&recalled(folder.path())), kept);
        drop(full);
        all.write_down(&file).unwrap();
        let after = standing(&recalled(folder.path()));
        assert_eq!((after.len(), &after), (2, &standing(&all)));
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_disk_did_not_take_is_tried_again_though_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (all, ending) = (all(), Shutdown::new());
    let in_the_way = folder.path().join("restrictions");
    std::fs::write(&in_the_way, "").unwrap();
    let (state, clock) = (folder.path().to_owned(), Clock::manual(NOW.0));
    let keeping = all
        .clone()
        .keep(state, "mail".into(), clock, ending.clone());
    let keeping = tokio::spawn(keeping);
    tokio::task::yield_now().await;
    all.impose(&account("a"), suspended(rule(), 0));
    sleep(Duration::from_secs(1)).await;
    std::fs::remove_file(&in_the_way).unwrap();
    assert_eq!(standing(&recalled(folder.path())), []);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(standing(&recalled(folder.path())), standing(&all));
    ending.begin();
    keeping.await.unwrap();
}
