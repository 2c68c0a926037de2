//! What accounts have set, beside the account states in whichever database those are: what holds, what changed since a revision, the
//! audit trail, and changes of many at once.

mod change;
mod jobs;
mod patch;
mod read;
mod rows;
mod tables;
mod work;

use std::sync::Arc;

use sekisho_policy::AccountSettings;
use tokio::sync::watch;

use crate::StoreError;
use crate::states::{Backend, Fault, reading};
pub use change::Changed;
pub use jobs::{Job, JobId, JobSpec, JobState, NewJob, Scope};
pub use patch::{Chooser, Keep, OwnChoices, SettingsPatch};
pub use read::{SettingsEntry, StoredSettings};
use tables::Tables;
pub use work::Worked;

/// The most accounts of one namespace that have settings.
pub const MOST_ACCOUNTS: u32 = 5_000_000;
/// The most lines of one account's history that one question is answered with.
pub const MOST_ENTRIES: u32 = 1_000;
/// The most jobs that wait or run.
pub const MOST_JOBS: u32 = 100;

/// The settings of accounts. Cloning shares them.
#[derive(Clone, Debug)]
pub struct SettingsStore {
    backend: Backend,
    /// Grows with every change that this process knows of.
    newest: Arc<watch::Sender<u64>>,
    /// Counts jobs that were begun here.
    begun: Arc<watch::Sender<u64>>,
}

impl SettingsStore {
    pub(crate) fn of(backend: Backend) -> Self {
        Self {
            backend,
            newest: Arc::new(watch::Sender::new(0)),
            begun: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Tells of each change that this process made or heard of.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Tells of each job that was begun in this process.
    #[must_use]
    pub fn begun(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }

    /// Looks whether another process changed something, and tells of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self) -> Result<(), StoreError> {
        let sum = reading!(self, tables => tables.sum_of_revisions().await.map_err(Fault::from));
        self.note(sum);
        Ok(())
    }

    /// Something was changed here.
    fn changed(&self) {
        self.newest.send_modify(|newest| *newest += 1);
    }

    /// The revisions of all namespaces together grow with each change, whoever makes it.
    fn note(&self, sum: i64) {
        let sum = sum.unsigned_abs();
        self.newest.send_if_modified(|newest| {
            let is_news = *newest != sum;
            *newest = sum;
            is_news
        });
    }

    fn failed(&self, fault: Fault) -> StoreError {
        self.backend.failed(fault)
    }
}

fn parse(account: &str, json: &str) -> Result<AccountSettings, Fault> {
    serde_json::from_str(json).map_err(|error| Fault::Unreadable {
        what: format!("the settings of {account}"),
        why: error.to_string(),
    })
}

fn to_json<T: serde::Serialize>(what: &str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Unwritable {
        what: what.to_owned(),
        why: error.to_string(),
    })
}
