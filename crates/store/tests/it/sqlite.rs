//! Files that are missing, foreign, damaged, read-only or newer; what is on the disk; two processes at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sekisho_policy::Timestamp;
use sekisho_store::{AccountStates, Filter, Mandate, Store, StoreError};
use sekisho_testkit::bound_by_permissions;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use crate::sample::*;

pub(crate) async fn open_in(folder: &Path) -> Result<Store, StoreError> {
    Store::open(&folder.join("ledger.sqlite")).await
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

async fn connect(path: &Path) -> SqliteConnection {
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let connecting = SqliteConnection::connect_with(&options);
    connecting.await.expect("a database")
}

async fn run_sql(path: &Path, sql: &'static str) {
    let mut connection = connect(path).await;
    sqlx::raw_sql(sql)
        .execute(&mut connection)
        .await
        .expect("statements");
    connection.close().await.expect("closed");
}

/// Opens what should not open, and checks that the message names the file and the remedy.
async fn refusal(path: &Path, remedy: &str) -> StoreError {
    let error = Store::open(path).await.expect_err("must not open");
    let text = error.to_string();
    assert!(
        text.contains(&*path.to_string_lossy()) && text.contains(remedy),
        "{text}"
    );
    error
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    store.append(&[refused(1, 77, "a", 1_000)]).await.unwrap();
    store.close().await;
    assert!(
        !folder.path().join("ledger.sqlite-wal").exists(),
        "closing leaves no log behind"
    );
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.record(id(77)).await.unwrap().unwrap().step, Some(1));
}

#[tokio::test]
async fn what_was_written_is_there_after_a_crash() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    // What a killed process leaves: the file and its log, never closed.
    let copy = folder.path().join("copy.sqlite");
    fs::copy(&path, &copy).unwrap();
    fs::copy(
        folder.path().join("ledger.sqlite-wal"),
        folder.path().join("copy.sqlite-wal"),
    )
    .unwrap();
    let store = Store::open(&copy).await.unwrap();
    assert!(store.record(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn only_the_owner_may_read_the_file() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    for file in ["ledger.sqlite", "ledger.sqlite-wal"] {
        assert_eq!(
            folder
                .path()
                .join(file)
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600,
            "{file}"
        );
    }
}

#[tokio::test]
async fn a_folder_is_no_store() {
    let folder = folder();
    let error = refusal(folder.path(), "name a file").await;
    assert!(matches!(error, StoreError::NotAFile { .. }));
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = folder();
    let error = refusal(
        &folder.path().join("no/such/ledger.sqlite"),
        "check that its folder exists",
    )
    .await;
    assert!(matches!(error, StoreError::CannotOpen { .. }));
}

#[tokio::test]
async fn garbage_is_no_store_and_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let garbage = b"Subject: not a database\r\n".repeat(500);
    fs::write(&path, &garbage).unwrap();
    assert!(matches!(
        refusal(&path, "restore it from a backup").await,
        StoreError::Corrupt { .. }
    ));
    assert_eq!(fs::read(&path).unwrap(), garbage);
}

#[tokio::test]
async fn a_damaged_store_says_so() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    let many: Vec<_> = (1..=500).map(|n| delivered(n, "a", n)).collect();
    store.append(&many).await.unwrap();
    store.close().await;
    let mut bytes = fs::read(&path).unwrap();
    let size = bytes.len();
    bytes[4096..].fill(0xa5);
    assert!(size > 100_000);
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(
        refusal(&path, "restore it from a backup").await,
        StoreError::Corrupt { .. }
    ));
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("mail.sqlite");
    run_sql(
        &path,
        "CREATE TABLE records (id INTEGER PRIMARY KEY, name TEXT)",
    )
    .await;
    let before = fs::read(&path).unwrap();
    assert!(matches!(
        refusal(&path, "name another file").await,
        StoreError::NotOurs { .. }
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn two_processes_may_open_a_new_store_at_once() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let opens: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { Store::open(&path).await })
        })
        .collect();
    for (n, open) in (1..).zip(opens) {
        let store = open.await.unwrap().expect("each opens");
        store.append(&[delivered(n, "a", n)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_only_expanded() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    Store::open(&path).await.unwrap().close().await;
    run_sql(
        &path,
        "UPDATE schema SET version = 9, works_for = 7; ALTER TABLE records ADD COLUMN later TEXT",
    )
    .await;
    let store = Store::open(&path).await.unwrap();
    store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    store.close().await;
    run_sql(&path, "UPDATE schema SET version = 10, works_for = 10").await;
    let error = refusal(&path, "use a newer version").await;
    assert!(
        matches!(
            error,
            StoreError::NewerSchema {
                found: 10,
                known: 8,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_read_only_store_answers_and_refuses_writes() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let missing = Store::open_read_only(&path)
        .await
        .expect_err("nothing there");
    assert!(matches!(missing, StoreError::CannotOpen { .. }) && !path.exists());
    let writer = Store::open(&path).await.unwrap();
    writer.append(&[refused(1, 77, "a", 1_000)]).await.unwrap();

    let reader = Store::open_read_only(&path).await.unwrap();
    assert!(reader.record(id(77)).await.unwrap().is_some());
    let mandate = Mandate {
        at: Timestamp(1),
        who: "x".into(),
        why: "y".into(),
    };
    for error in [
        reader.append(&[delivered(2, "a", 2_000)]).await.map(drop),
        reader
            .put_snapshot(&envelope("aaaa", 1), Timestamp(1))
            .await,
        reader.prune(Timestamp(9_999)).await.map(drop),
        reader
            .erase_account(&account("a"), &mandate)
            .await
            .map(drop),
        reader.ping().await,
    ] {
        let error = error.expect_err("must not write");
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        assert!(error.to_string().contains("writable for this user"));
    }
    // It goes on seeing what the other writes.
    writer.append(&[delivered(3, "a", 3_000)]).await.unwrap();
    assert_eq!(
        reader
            .records(&Filter {
                limit: 9,
                ..Filter::default()
            })
            .await
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_file_without_write_permission_is_read_only() {
    let test = concat!(
        module_path!(),
        "::a_file_without_write_permission_is_read_only"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    bound_by_permissions(test, || runtime.block_on(open_unwritable()));
}

async fn open_unwritable() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    Store::open(&path).await.unwrap().close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    let error = Store::open(&path).await.expect_err("must not open");
    assert!(
        matches!(
            error,
            StoreError::ReadOnly { .. } | StoreError::CannotOpen { .. }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn records_lie_packed_and_those_of_earlier_versions_are_read() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    let records = [delivered(1, "a", 1_000), refused(2, 77, "a", 2_000)];
    store.append(&records).await.unwrap();
    let json = serde_json::to_string(&records[0]).unwrap();
    let mut connection = connect(&path).await;
    let lengths =
        sqlx::query_scalar("SELECT length(content) FROM records WHERE typeof(content) = 'blob'");
    let lengths: Vec<i64> = lengths.fetch_all(&mut connection).await.unwrap();
    assert_eq!(lengths.len(), 2);
    assert!(
        lengths.iter().all(|&octets| octets * 2 < json.len() as i64),
        "{lengths:?}"
    );
    let earlier = sqlx::query("UPDATE records SET content = ?1 WHERE id = 1").bind(&json);
    earlier.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for record in records {
        let found = store.record(record.id).await.unwrap().unwrap();
        assert_eq!(found.record, record);
    }
}

#[tokio::test]
async fn an_unreadable_row_names_the_record() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    store
        .append(&[delivered(1, "a", 1_000), delivered(2, "a", 2_000)])
        .await
        .unwrap();
    run_sql(
        &path,
        "UPDATE records SET content = '{\"id\":7}' WHERE id = 2",
    )
    .await;
    let error = store.record(id(2)).await.expect_err("cannot be read");
    assert!(
        matches!(&error, StoreError::Unreadable { what, .. } if what == &format!("the record {}", id(2))),
        "{error}"
    );
    assert!(store.record(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_erased_is_not_in_the_file() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    let secret = |n: u64| {
        if n.is_multiple_of(3) {
            "taro.yamada"
        } else {
            "other"
        }
    };
    let many: Vec<_> = (1..=300)
        .map(|n| refused(n, 1_000_000 + n, secret(n), n))
        .collect();
    store.append(&many).await.unwrap();
    let holds = |text: &str| {
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap_or_default();
        [read("ledger.sqlite"), read("ledger.sqlite-wal")]
            .concat()
            .windows(text.len())
            .any(|at| at == text.as_bytes())
    };
    assert!(holds("taro.yamada"));
    // The trail keeps the account's name, and here one that does not contain what is looked for.
    let mandate = Mandate {
        at: Timestamp(1),
        who: "desk".into(),
        why: "asked for".into(),
    };
    assert_eq!(
        store
            .erase_account(&account("taro.yamada"), &mandate)
            .await
            .unwrap(),
        100
    );
    run_sql(&path, "PRAGMA secure_delete = ON; DELETE FROM audit").await;
    store.close().await;
    assert!(!holds("taro.yamada"), "an erased name is still in the file");
    assert!(holds("other@example.jp"));
}

#[tokio::test]
async fn pruned_space_goes_back_to_the_file_system() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    let many: Vec<_> = (1..=6_000).map(|n| delivered(n, "a", n)).collect();
    store.append(&many).await.unwrap();
    store.close().await;
    let octets = || path.metadata().unwrap().len();
    let full = octets();
    let prune = async |before| {
        let store = Store::open(&path).await.unwrap();
        store.prune(Timestamp(before)).await.unwrap();
        store.close().await;
        octets()
    };
    assert_eq!(prune(600).await, full, "a little is for records to come");
    let pruned = prune(6_000).await;
    assert!(
        pruned < full / 4,
        "{pruned} octets of {full} are still in use"
    );
}

#[tokio::test]
async fn a_ledger_of_before_gets_the_tables_of_accounts() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    store.append(&[refused(1, 77, "a", 1_000)]).await.unwrap();
    store.close().await;
    run_sql(
        &path,
        "DROP TABLE settings_job_items; DROP TABLE settings_jobs; DROP TABLE settings_history; DROP TABLE account_settings;
         DROP TABLE settings_revision; DROP TABLE outbox; DROP TABLE account_trail; DROP TABLE restrictions; DROP TABLE releases; DROP TABLE account_namespaces;
         DROP TABLE account_store; ALTER TABLE records RENAME COLUMN content TO json; UPDATE schema SET version = 1, works_for = 1",
    )
    .await;
    let older = Store::open_read_only(&path).await.unwrap_err();
    assert!(
        matches!(
            older,
            StoreError::OlderSchema {
                found: 1,
                needed: 8,
                ..
            }
        ),
        "{older:?}"
    );
    let store = Store::open(&path).await.unwrap();
    assert!(store.record(id(1)).await.unwrap().is_some());
    let states = AccountStates::in_ledger(&store);
    states.look().await.unwrap();
}

/// Another program holds the file for itself: a backup, a hand at the prompt.
#[tokio::test]
async fn a_ledger_that_is_held_holds_up_no_sender_and_is_written_later() {
    use sekisho_store::{Writer, WriterSettings};

    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let store = Store::open(&path).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut other = SqliteConnection::connect_with(&options).await.unwrap();
    let run = async |connection: &mut SqliteConnection, sql: &'static str| {
        sqlx::raw_sql(sql).execute(connection).await.unwrap();
    };
    run(&mut other, "BEGIN EXCLUSIVE").await;

    let (sender, records) = tokio::sync::mpsc::channel(100);
    let writer = Writer::new(store.clone(), records, WriterSettings::default());
    let counts = writer.counts();
    let writing = tokio::spawn(writer.run());
    let mut left_out = 0;
    for number in 1..=1_000 {
        left_out += u64::from(sender.try_send(delivered(number, "a", number)).is_err());
        tokio::task::yield_now().await;
    }
    assert_eq!(counts.written(), 0, "the file is held");
    run(&mut other, "COMMIT").await;
    other.close().await.unwrap();
    drop(sender);
    writing.await.unwrap();
    assert!(left_out > 0, "what does not fit is known at once");
    assert_eq!(
        (counts.written(), counts.dropped()),
        (1_000 - left_out, 0),
        "what was taken is written"
    );
}

/// As an earlier version left it, with something that stands and something that happened.
#[tokio::test]
async fn tables_of_an_earlier_version_are_brought_to_this_one() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    for sql in [
        "PRAGMA application_id = 0x53656b69;
         CREATE TABLE schema (version INTEGER NOT NULL, works_for INTEGER NOT NULL);
         INSERT INTO schema VALUES (3, 1);",
        include_str!("../../migrations/0001_ledger.sql"),
        include_str!("../../migrations/0002_accounts.sql"),
        include_str!("../../migrations/0003_outbox.sql"),
        crate::states::LEFT_BEHIND,
    ] {
        run_sql(&path, sql).await;
    }
    let store = Store::open(&path).await.unwrap();
    crate::states::what_was_left_behind_is_there(&AccountStates::in_ledger(&store)).await;
}

/// It broke off within the last step, as where the disk was full: nothing of it is there, and the next start does it.
#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    for sql in [
        "PRAGMA application_id = 0x53656b69;
         CREATE TABLE schema (version INTEGER NOT NULL, works_for INTEGER NOT NULL);
         INSERT INTO schema VALUES (3, 1);",
        include_str!("../../migrations/0001_ledger.sql"),
        include_str!("../../migrations/0002_accounts.sql"),
        include_str!("../../migrations/0003_outbox.sql"),
        crate::states::LEFT_BEHIND,
        "CREATE TABLE account_store (in_the_way TEXT)",
    ] {
        run_sql(&path, sql).await;
    }
    refusal(&path, "restore a backup").await;
    run_sql(
        &path,
        "SELECT revision FROM account_revision; DROP TABLE account_store",
    )
    .await;
    let store = Store::open(&path).await.unwrap();
    crate::states::what_was_left_behind_is_there(&AccountStates::in_ledger(&store)).await;
}

#[tokio::test]
async fn a_row_that_is_spoilt_hides_no_other() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let states = AccountStates::in_ledger(&Store::open(&path).await.unwrap());
    crate::states::two_stand(&states).await;
    run_sql(&path, crate::states::SPOIL).await;
    crate::states::what_is_spoilt_gives_way(&states).await;
}

#[tokio::test]
async fn settings_that_are_spoilt_hide_no_others() {
    let folder = folder();
    let path = folder.path().join("ledger.sqlite");
    let states = AccountStates::in_ledger(&Store::open(&path).await.unwrap());
    crate::settings::two_are_set(&states).await;
    run_sql(&path, crate::settings::SPOIL).await;
    crate::settings::what_is_spoilt_hides_no_other(&states).await;
}
