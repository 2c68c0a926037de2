//! What can be wrong with an accounts file.

use std::io;
use std::path::PathBuf;

pub use crate::auth::hash::HashFault;

/// What is wrong with an accounts file. Says where, and never what stands there.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// It cannot be read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is larger than 64 MiB.
    #[error("{path}: an accounts file has at most 64 MiB", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// One of its lines is wrong.
    #[error("{path}:{line}: {fault}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        fault: LineFault,
    },
    /// An account that cannot stand in such a file.
    #[error("{path}: {fault}", path = path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: LineFault,
    },
}

/// What is wrong with one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Not text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// No colon.
    #[error("it is not `account:hash`")]
    NoColon,
    /// A name that no account can have.
    #[error(
        "an account's name has 1 to 320 octets, no white space, no control characters, no colon and no `#` in front"
    )]
    Name,
    /// The account has a line already.
    #[error("the account is in line {0} already")]
    Duplicate(usize),
    /// Its hash is of no use.
    #[error("{0}")]
    Hash(#[from] HashFault),
}
