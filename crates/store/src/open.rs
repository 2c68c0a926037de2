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
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::StoreError;
use crate::migrate::{self, Access};

/// Each connection is a thread of its own.
const READERS: u32 = 4;
/// How long a writer of another process is waited for, and how long for a free connection.
const PATIENCE: Duration = Duration::from_secs(5);
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
        let store = Self::connect(path, Access::Write).await?;
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

    async fn connect(path: &Path, access: Access) -> Result<Self, StoreError> {
        let mut options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(PATIENCE)
            .foreign_keys(true)
            // What is deleted is overwritten: an erased account is not to be found in the file's free space.
            .pragma("secure_delete", "ON");
        options = match access {
            Access::Read => options.read_only(true),
            Access::Write => options
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Normal)
                .pragma("journal_size_limit", WAL_KEPT),
        };
        let pool = SqlitePoolOptions::new().acquire_timeout(PATIENCE);
        let failed = |error| StoreError::from_sqlx(path, error);
        let writing = pool
            .clone()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(failed)?;
        let reading = pool
            .max_connections(READERS)
            .connect_lazy_with(options.read_only(true));
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
        sqlx::query("SELECT version FROM schema")
            .fetch_one(&self.reading)
            .await
            .map_err(|error| self.failed(error))?;
        self.begin()
            .await?
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
