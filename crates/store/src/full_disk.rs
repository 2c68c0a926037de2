//! Tests: what a disk that is full does to the ledger and to account states. SQLite says so itself, of a file that may not grow.

use std::time::Duration;

use sekisho_policy::settings::LoginsFromAbroad;
use sekisho_policy::{Account, Level, Origin, Restriction, Timestamp};
use sekisho_testkit::{FullDisk, alone};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::sample::{delivered, id};
use crate::{
    AccountStates, Changed, Chooser, Mandate, SettingsPatch, Store, StoreError, Writer,
    WriterSettings,
};

const AT: Timestamp = Timestamp(1_800_000_000_000);

async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("ledger.sqlite")).await;
    (store.unwrap(), folder)
}

/// The file stays as long as it is. The writing pool has one connection, so what is set on it stays.
async fn fill(store: &Store) {
    set(store, "PRAGMA max_page_count = 1").await;
}

async fn make_room(store: &Store) {
    set(store, "PRAGMA max_page_count = 1000000").await;
}

async fn set(store: &Store, pragma: &'static str) {
    sqlx::raw_sql(pragma).execute(&store.writing).await.unwrap();
}

/// The file and the remedy are named.
fn assert_full(error: &StoreError) {
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("ledger.sqlite is full; free space there or shorten the retention"),
        "{text}"
    );
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    let (store, _folder) = store().await;
    store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    fill(&store).await;
    let many: Vec<_> = (2..=1_000).map(|n| delivered(n, "a", n)).collect();
    let error = store.append(&many).await.expect_err("no room");
    assert_full(&error);
    assert!(store.record(id(1)).await.unwrap().is_some());
    assert!(store.record(id(2)).await.unwrap().is_none(), "all or none");
    make_room(&store).await;
    assert_eq!(store.append(&many).await.unwrap(), 999);
}

/// Nor does a quota, or whatever else takes only part of a write, leave a half.
#[test]
fn a_write_that_breaks_off_leaves_nothing_behind() {
    let test = concat!(
        module_path!(),
        "::a_write_that_breaks_off_leaves_nothing_behind"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    alone(test, || runtime.block_on(break_off()));
}

async fn break_off() {
    let (store, folder) = store().await;
    store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    let file = folder.path().join("ledger.sqlite");
    let log = file.with_extension("sqlite-wal");
    let full = FullDisk::after(log.metadata().unwrap().len() + 5_000);
    let many: Vec<_> = (2..=1_000).map(|n| delivered(n, "a", n)).collect();
    for _ in 0..2 {
        let error = store.append(&many).await.expect_err("no room");
        assert!(matches!(error, StoreError::DiskFails { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("look at its free space"), "{text}");
    }
    assert!(store.record(id(1)).await.unwrap().is_some());
    assert!(store.record(id(2)).await.unwrap().is_none(), "all or none");
    drop(full);
    assert_eq!(store.append(&many).await.unwrap(), 999);
    store.close().await;
    let store = Store::open(&file).await.unwrap();
    assert!(store.record(id(1_000)).await.unwrap().is_some());
}

#[tokio::test]
async fn records_wait_until_there_is_room() {
    let (store, _folder) = store().await;
    fill(&store).await;
    let (sender, receiver) = mpsc::channel(10);
    let settings = WriterSettings {
        retry_after: Duration::from_millis(5),
        ..WriterSettings::default()
    };
    let writer = Writer::new(store.clone(), receiver, settings);
    let counts = writer.counts();
    let task = tokio::spawn(writer.run());
    for n in 1..=600 {
        sender.send(delivered(n, "a", n)).await.unwrap();
    }
    let meanwhile = async {
        while counts.failures() == 0 || counts.waiting() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), meanwhile)
        .await
        .expect("a failure");
    make_room(&store).await;
    drop(sender);
    task.await.unwrap();
    assert_eq!((counts.written(), counts.dropped()), (600, 0));
    assert!(store.record(id(1)).await.unwrap().is_some());
    assert!(store.record(id(600)).await.unwrap().is_some());
}

fn account(n: u32) -> Account {
    Account::canonical(&format!("user{n}"), Some("example.jp"))
}

fn mandate() -> Mandate {
    Mandate {
        at: AT,
        who: "hanako".into(),
        why: "ticket 4711".repeat(20),
    }
}

async fn restrict(states: &AccountStates, n: u32) -> Result<u64, StoreError> {
    let mandate = mandate();
    let restriction = Restriction {
        level: Level::Suspend,
        since: AT,
        until: None,
        origin: Origin::Desk,
        why: mandate.why.as_str().into(),
        decision: None,
        recipients_per_hour: None,
        then: None,
    };
    let account = account(n);
    let restricting = states.restrict("mail", &account, &restriction, &mandate);
    restricting.await
}

#[tokio::test]
async fn restrictions_that_stand_can_be_read_and_others_imposed_once_there_is_room() {
    let (store, _folder) = store().await;
    let states = AccountStates::in_ledger(&store);
    restrict(&states, 0).await.unwrap();
    fill(&store).await;
    let mut first = 1;
    let error = loop {
        match restrict(&states, first).await {
            Ok(_) => first += 1,
            Err(error) => break error,
        }
        assert!(first < 1_000, "the pages that are there have an end");
    };
    assert_full(&error);
    let standing = async |n| {
        let found = states.restrictions("mail", &account(n), AT).await;
        found.unwrap().len()
    };
    assert_eq!(standing(0).await, 1);
    assert_eq!(standing(first - 1).await, 1);
    assert_eq!(standing(first).await, 0, "all or nothing");
    let history = states.history("mail", &account(first), AT, 10).await;
    assert!(history.unwrap().is_empty(), "and no word of it");
    make_room(&store).await;
    restrict(&states, first).await.unwrap();
    assert_eq!(standing(first).await, 1);
}

async fn refuse(states: &AccountStates, n: u32) -> Result<Changed, StoreError> {
    let patch = SettingsPatch {
        logins_from_abroad: Some(Some(LoginsFromAbroad::Refuse)),
        ..SettingsPatch::default()
    };
    let account = account(n);
    let (settings, mandate) = (states.settings(), mandate());
    let changing = settings.change("mail", &account, &patch, Chooser::Operator, &mandate);
    changing.await
}

#[tokio::test]
async fn settings_that_are_kept_can_be_read_and_others_set_once_there_is_room() {
    let (store, _folder) = store().await;
    let states = AccountStates::in_ledger(&store);
    refuse(&states, 0).await.unwrap();
    fill(&store).await;
    let mut first = 1;
    let error = loop {
        match refuse(&states, first).await {
            Ok(_) => first += 1,
            Err(error) => break error,
        }
        assert!(first < 1_000, "the pages that are there have an end");
    };
    assert_full(&error);
    let kept = async |n| {
        let found = states.settings().settings("mail", &account(n)).await;
        found.unwrap().is_some()
    };
    assert!(kept(0).await && kept(first - 1).await);
    assert!(!kept(first).await, "all or nothing");
    make_room(&store).await;
    let set = refuse(&states, first).await.unwrap();
    assert!(matches!(set, Changed::Now(_)), "{set:?}");
}
