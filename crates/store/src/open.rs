//! Opening the file: who may read it, how it is written, and that it is ours.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::time::{Instant, sleep};

use crate::StoreError;
use crate::migrate::{self, Access};

/// Each connection is a thread of its own.
const READERS: u32 = 4;
/// How long a writer of another process is waited for, and how long for a free connection.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);
/// The writer's page cache; SQLite writes a negative number for KiB.
const CACHE_KIB: &str = "-32000";
/// Pages in the write-ahead log from which it is written back: 64 MiB, so that one sync serves many batches, and a page of an index
/// that many of them touch is written back once.
const CHECKPOINT_PAGES: &str = "16000";
/// What the write-ahead log may keep of the disk once it has been written back.
const WAL_KEPT: &str = "67108864";

/// The store. Cloning it shares the connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) path: Arc<PathBuf>,
    pub(crate) reading: SqlitePool,
    /// A single connection: SQLite has one writer, and so nobody waits for locks inside this process.
    pub(crate) writing: SqlitePool,
}

impl Store {
    /// Opens the store in the file `path`, which is made if it is not there (readable by its owner alone), and brings its
    /// tables to this version's schema, under a lock, all or nothing.
    ///
    /// # Errors
    /// [`StoreError`], naming the file and the remedy.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path)?;
        // Looked at before anything is set on it: another program's database must not be touched.
        let probe = Self::connect(path, Access::Read).await?;
        let ours = migrate::probe(&probe).await;
        probe.close().await;
        ours?;
        let store = Self::connect_to_write(path).await?;
        migrate::run(&store).await?;
        Ok(store)
    }

    /// Opens a store that is there, to read only, beside the process that writes it.
    ///
    /// # Errors
    /// [`StoreError`], naming the file and the remedy; every write later is [`StoreError::ReadOnly`].
    pub async fn open_read_only(path: &Path) -> Result<Self, StoreError> {
        check_regular(path)?;
        let store = Self::connect(path, Access::Read).await?;
        migrate::check(&store).await?;
        Ok(store)
    }

    /// SQLite waits for locks, except when it turns a new file's log on, which two processes may do at once.
    async fn connect_to_write(path: &Path) -> Result<Self, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::connect(path, Access::Write).await {
                Err(StoreError::Locked { .. }) if Instant::now() < deadline => sleep(RETRY).await,
                connected => return connected,
            }
        }
    }

    async fn connect(path: &Path, access: Access) -> Result<Self, StoreError> {
        let any = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(PATIENCE)
            .foreign_keys(true);
        let reader = any.clone().read_only(true);
        let writer = match access {
            Access::Read => reader.clone(),
            Access::Write => any
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .pragma("journal_size_limit", WAL_KEPT)
                // A batch and the indexes that it touches stay in memory until it is committed.
                .pragma("cache_size", CACHE_KIB)
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
                // What is deleted is overwritten: an erased account is not to be found in the file's free space.
                .pragma("secure_delete", "ON"),
        };
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(PATIENCE)
            .after_release(|connection, _| Box::pin(has_ended(connection)));
        let writing = pool.clone().max_connections(1).connect_with(writer).await;
        let writing = writing.map_err(|error| StoreError::from_sqlx(path, error))?;
        let reading = pool.max_connections(READERS).connect_lazy_with(reader);
        Ok(Self {
            path: Arc::new(path.to_owned()),
            reading,
            writing,
        })
    }

    /// Whether it can be read and written now.
    ///
    /// # Errors
    /// [`StoreError`], naming what is wrong.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let read = sqlx::query("SELECT version FROM schema")
            .fetch_one(&self.reading)
            .await;
        read.map_err(|error| self.failed(error))?;
        let mut transaction = self.begin().await?;
        // Only a write finds out that the file became read-only; rolled back, it never reaches the disk.
        let wrote = sqlx::query("UPDATE schema SET version = version")
            .execute(&mut *transaction)
            .await;
        wrote.map_err(|error| self.failed(error))?;
        transaction
            .rollback()
            .await
            .map_err(|error| self.failed(error))
    }

    /// Waits until what is under way is done and closes the file, so that no log is left beside it.
    pub async fn close(&self) {
        self.reading.close().await;
        self.writing.close().await;
    }

    /// Begins a transaction that holds the write lock from the start, so that it cannot fail to get it half way.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writing
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| self.failed(error))
    }

    pub(crate) fn failed(&self, error: sqlx::Error) -> StoreError {
        StoreError::from_sqlx(&self.path, error)
    }

    pub(crate) fn unreadable(&self, what: impl Into<String>, why: impl ToString) -> StoreError {
        StoreError::Unreadable {
            path: self.path.to_path_buf(),
            what: what.into(),
            why: why.to_string(),
        }
    }
}

/// Whether a connection that is given back is in no transaction any more. On a full disk SQLite may end one by itself; the driver goes on
/// counting it, and could never begin another on that connection.
async fn has_ended(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // What was left open is being rolled back; this is answered after that.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Makes the file if it is not there. SQLite gives the log files beside it the same rights.
fn make_private(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => check_regular(path),
        Err(error) => Err(StoreError::CannotOpen {
            path: path.to_owned(),
            why: error.to_string(),
        }),
    }
}

fn check_regular(path: &Path) -> Result<(), StoreError> {
    match path.metadata() {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(StoreError::NotAFile {
            path: path.to_owned(),
        }),
        Err(error) => Err(StoreError::CannotOpen {
            path: path.to_owned(),
            why: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use sekisho_policy::Timestamp;

    use super::*;
    use crate::sample::{delivered, envelope};

    async fn store(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("ledger.sqlite"))
            .await
            .unwrap()
    }

    /// The writing pool has one connection, so what is set on it stays.
    async fn set(store: &Store, pragma: &'static str) {
        sqlx::raw_sql(pragma).execute(&store.writing).await.unwrap();
    }

    async fn value(store: &Store, pragma: &'static str) -> String {
        use sqlx::Row;
        let row = sqlx::query(pragma).fetch_one(&store.writing).await.unwrap();
        row.try_get::<String, _>(0)
            .or_else(|_| row.try_get::<i64, _>(0).map(|number| number.to_string()))
            .unwrap()
    }

    #[tokio::test]
    async fn the_file_is_set_up_as_it_should_be() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let expected = [
            ("PRAGMA journal_mode", "wal"),
            ("PRAGMA synchronous", "1"),
            ("PRAGMA auto_vacuum", "2"),
            ("PRAGMA secure_delete", "1"),
            ("PRAGMA foreign_keys", "1"),
            ("PRAGMA busy_timeout", "5000"),
            ("PRAGMA application_id", "1399155561"),
        ];
        for (pragma, wanted) in expected {
            assert_eq!(value(&store, pragma).await, wanted, "{pragma}");
        }
    }

    #[tokio::test]
    async fn a_store_that_became_read_only_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        set(&store, "PRAGMA query_only = 1").await;
        let error = store
            .put_snapshot(&envelope("aaaa", 1), Timestamp(1))
            .await
            .expect_err("read-only");
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_lock_held_by_another_process_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (store, other) = (store(&folder).await, store(&folder).await);
        set(&store, "PRAGMA busy_timeout = 1").await;
        let held = other.begin().await.unwrap();
        let error = store
            .append(&[delivered(1, "a", 1_000)])
            .await
            .expect_err("locked");
        assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
        assert!(matches!(store.ping().await, Err(StoreError::Locked { .. })));
        held.rollback().await.unwrap();
        store.append(&[delivered(1, "a", 1_000)]).await.unwrap();
    }
}
