//! What accounts have set, beside the account states in whichever database those are: what holds, what changed since a revision, the
//! audit trail, and changes of many at once.

mod change;
mod forget;
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
use crate::news::News;
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
    news: News,
    /// Counts jobs that were begun here.
    begun: Arc<watch::Sender<u64>>,
}

impl SettingsStore {
    pub(crate) fn of(backend: Backend) -> Self {
        Self {
            backend,
            news: News::default(),
            begun: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Tells of each change in a namespace that this process made or heard of.
    #[must_use]
    pub fn changes(&self, namespace: &str) -> watch::Receiver<u64> {
        self.news.of(namespace)
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
        let places = reading!(self, tables => tables.places().await.map_err(Fault::from));
        for (namespace, revision) in places {
            self.note(&namespace, revision);
        }
        Ok(())
    }

    /// Something was changed here.
    fn changed(&self, namespace: &str) {
        self.news.tell(namespace, |newest| {
            *newest += 1;
            true
        });
    }

    fn note(&self, namespace: &str, revision: i64) {
        let revision = revision.unsigned_abs();
        self.news.tell(namespace, |newest| {
            let is_news = *newest != revision;
            *newest = revision;
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
