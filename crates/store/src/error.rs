//! What can go wrong with the store: which file, and what mends it.

use std::path::{Path, PathBuf};

/// An error of the store. All of it is for the operator; a peer never sees any.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing that could be opened, or it may not be.
    #[error(
        "the store {path} cannot be opened ({why}); check that its folder exists and that this user may write to it"
    )]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// A folder, socket or device where a file should be.
    #[error("the store {path} is not a regular file; name a file, or move away what is there")]
    NotAFile {
        /// What is in the way.
        path: PathBuf,
    },
    /// It can be read and not written.
    #[error(
        "the store {path} is read-only; make the file, its -wal and -shm files and its folder writable for this user"
    )]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// No room for what is written.
    #[error("the disk of the store {path} is full; free space there or shorten the retention")]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed, as it does over a quota and on a disk that breaks.
    #[error(
        "the disk of the store {path} fails ({why}); look at its free space, at quotas and at the system's log"
    )]
    DiskFails {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Somebody else writes for too long.
    #[error(
        "the store {path} is locked by another process; end the other process (only one may write)"
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// All connections are in use for too long.
    #[error(
        "the store {path} is too busy: no connection became free in time; its disk may be too slow"
    )]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Damaged, or no database at all.
    #[error(
        "the store {path} is damaged or not a database ({why}); restore it from a backup, or move it away to begin a new one"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A database of some other program.
    #[error("{path} is a database, but not a Sekisho store; name another file")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later version that this one cannot work beside.
    #[error(
        "the store {path} has schema {found}, and this version knows up to {known}; use a newer version, or restore a backup made before the upgrade"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: i64,
        /// This version's schema.
        known: i64,
    },
    /// Opened for reading only, and not yet brought to this version's schema.
    #[error(
        "the store {path} has schema {found}, and this version reads from {needed} on; start this version's server on it once"
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: i64,
        /// The oldest schema that this version can read.
        needed: i64,
    },
    /// Tables that are not those that its schema says.
    #[error(
        "the store {path} does not have the tables that its schema says ({why}); restore a backup, or move it away to begin a new one"
    )]
    OtherTables {
        /// The file.
        path: PathBuf,
        /// What the database said.
        why: String,
    },
    /// A row that this version cannot read.
    #[error("the store {path} holds {what} that cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Which row.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something that cannot be written as JSON: a bug.
    #[error("{what} cannot be stored: {why}")]
    Unwritable {
        /// Which value.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// A database server that does not answer.
    #[error(
        "the database {path} does not answer ({why}); check that it runs, and its address, user and password"
    )]
    Unreachable {
        /// Where it is.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// A database server that will not do it.
    #[error("the database {path} refuses ({why}); {remedy}")]
    Refused {
        /// Where it is.
        path: PathBuf,
        /// What it said.
        why: String,
        /// What mends it.
        remedy: &'static str,
    },
    /// Anything else that the database said.
    #[error("the store {path} failed: {source}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: sqlx::Error,
    },
}

/// SQLite's primary result codes.
mod code {
    pub(super) const ERROR: u32 = 1;
    pub(super) const PERM: u32 = 3;
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const IOERR: u32 = 10;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

impl StoreError {
    pub(crate) fn from_sqlx(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let (primary, why) = match &source {
            sqlx::Error::PoolTimedOut => return Self::Busy { path },
            sqlx::Error::Io(error) => {
                return Self::CannotOpen {
                    path,
                    why: error.to_string(),
                };
            }
            sqlx::Error::Database(error) => {
                let extended = error.code().and_then(|code| code.parse::<u32>().ok());
                (extended.map(|code| code & 0xff), error.message().to_owned())
            }
            _ => (None, String::new()),
        };
        match primary {
            // Our statements are right: it is the tables that are not.
            Some(code::ERROR) => Self::OtherTables { path, why },
            Some(code::PERM | code::CANTOPEN) => Self::CannotOpen { path, why },
            Some(code::BUSY | code::LOCKED) => Self::Locked { path },
            Some(code::READONLY) => Self::ReadOnly { path },
            Some(code::CORRUPT | code::NOTADB) => Self::Corrupt { path, why },
            Some(code::IOERR) => Self::DiskFails { path, why },
            Some(code::FULL) => Self::DiskFull { path },
            _ => Self::Failed { path, source },
        }
    }

    pub(crate) fn from_postgres(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let (code, why) = match &source {
            sqlx::Error::PoolTimedOut => {
                return Self::Unreachable {
                    path,
                    why: "no connection in time".to_owned(),
                };
            }
            sqlx::Error::Io(error) => {
                return Self::Unreachable {
                    path,
                    why: error.to_string(),
                };
            }
            sqlx::Error::Tls(error) => {
                return Self::Unreachable {
                    path,
                    why: error.to_string(),
                };
            }
            sqlx::Error::Database(error) => (error.code(), error.message().to_owned()),
            _ => (None, String::new()),
        };
        match code.as_deref().and_then(remedy) {
            Some(remedy) => Self::Refused { path, why, remedy },
            None => Self::Failed { path, source },
        }
    }
}

/// What mends an error of PostgreSQL, by its code.
fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "25006" => "it is read-only, as a standby is: name the primary",
        "53100" => "its disk is full: free space there",
        "53300" => "it has too many connections: raise max_connections, or end some",
        "28P01" | "28000" => "give the right user and password, and let the user in (pg_hba.conf)",
        "3D000" => "create the database, or name another",
        "42501" => "let its user create tables in its schema, and use them",
        "42P07" | "42P01" | "42703" => {
            "its tables are not those that its sekisho_schema says: restore a backup, or name an empty database"
        }
        "55P03" | "57014" => {
            "somebody holds a lock or keeps it busy for too long: look at pg_stat_activity"
        }
        "57P01" | "57P02" | "57P03" => "it is starting or shutting down: wait",
        _ => return None,
    })
}
