//! Where an address is registered or located: country and autonomous system.
//!
//! Databases in MaxMind's format are named by path; where none of them tells countries, the registry table that
//! is compiled in does. A database that changes on disk is swapped in whole; one that does not serve leaves the
//! last good one in use.

mod database;
mod embedded;
mod follow;
mod layout;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::Error;
use crate::metrics::CountryData;
use database::{Database, Signature};
pub use follow::follow;

/// What is known of an address. `None` is "unknown", never a guess.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1, two upper-case letters.
    pub country: Option<[u8; 2]>,
    /// Autonomous system number.
    pub asn: Option<u32>,
}

/// Whether [`CountryLookup::refresh`] put anything new in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    Unchanged,
    Swapped,
}

/// Looks addresses up. Cloning shares the databases.
#[derive(Clone, Debug)]
pub struct CountryLookup {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    paths: Vec<PathBuf>,
    scratch: PathBuf,
    current: ArcSwap<Vec<Database>>,
    /// What the files looked like when they were last read, well or not.
    seen: Mutex<Vec<Option<Signature>>>,
}

impl CountryLookup {
    /// The registry table that is compiled in: countries only, by the registry that assigned the addresses.
    pub fn embedded() -> Self {
        Self::with(Vec::new(), PathBuf::new(), Vec::new())
    }

    /// Opens databases; the first in the list that tells countries tells them all, likewise for autonomous
    /// systems. Each file is copied to an unlinked one in the folder `scratch` and that copy is mapped, so
    /// that whoever overwrites or truncates the file cannot disturb us. Reads whole files: call it where blocking is allowed.
    ///
    /// # Errors
    /// The first database that cannot be read or used; the message names its path.
    pub fn open(paths: &[PathBuf], scratch: &Path) -> Result<Self, Error> {
        let databases = paths
            .iter()
            .map(|path| Database::open(path, scratch))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::with(paths.to_vec(), scratch.to_owned(), databases))
    }

    fn with(paths: Vec<PathBuf>, scratch: PathBuf, databases: Vec<Database>) -> Self {
        let seen = databases.iter().map(|d| Some(d.signature())).collect();
        Self {
            shared: Arc::new(Shared {
                paths,
                scratch,
                current: ArcSwap::from_pointee(databases),
                seen: Mutex::new(seen),
            }),
        }
    }

    /// What is known of `address`. An IPv4 address in IPv6 clothes is looked up as what it is. A named database
    /// is believed for private networks too (an operator may well say where his are); the embedded table knows none.
    pub fn lookup(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let databases = self.shared.current.load();
        let country = match databases.iter().find(|d| d.tells(CountryData::Country)) {
            Some(database) => database.country(address),
            None => embedded::country(address),
        };
        let asn = databases
            .iter()
            .find(|d| d.tells(CountryData::Asn))
            .and_then(|d| d.asn(address));
        Place { country, asn }
    }

    /// When the database that tells `data` was built (ms since 1970). `None` if it is the embedded table, which
    /// does not say, or if nothing tells it.
    pub fn built_ms(&self, data: CountryData) -> Option<u64> {
        self.shared
            .current
            .load()
            .iter()
            .find(|d| d.tells(data))
            .map(Database::built_ms)
    }

    /// Looks whether a file changed and swaps it in. Blocks while it reads. An error is returned once for each
    /// state of the files, and what was good stays in use.
    ///
    /// # Errors
    /// A database that changed and cannot be read or used.
    pub fn refresh(&self) -> Result<Refreshed, Error> {
        let shared = &self.shared;
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut outcome = Ok(Refreshed::Unchanged);
        for (index, path) in shared.paths.iter().enumerate() {
            let now = Signature::of(path).ok();
            if now == seen[index] {
                continue;
            }
            seen[index] = now;
            match Database::open(path, &shared.scratch) {
                Ok(database) => {
                    seen[index] = Some(database.signature());
                    let mut next = Vec::clone(&shared.current.load());
                    next[index] = database;
                    shared.current.store(Arc::new(next));
                    if outcome.is_ok() {
                        outcome = Ok(Refreshed::Swapped);
                    }
                }
                Err(error) => {
                    if error.is_passing() {
                        seen[index] = None;
                    }
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    /// Whether any file is named; without one there is nothing to follow.
    pub fn has_files(&self) -> bool {
        !self.shared.paths.is_empty()
    }
}
