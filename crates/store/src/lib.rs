//! The ledger in SQL: records, the snapshots they were made under, retention, erasure and its audit trail; and account states.
//!
//! It alone owns tables. Queries are checked at run time, on the driver itself. Writing goes through one connection,
//! reading through a few others, so an `explain` never waits for a batch.
#![warn(missing_docs)]

mod append;
mod audit;
mod error;
mod migrate;
mod news;
mod open;
mod outbox;
mod packed;
mod records;
mod retention;
mod settings;
mod snapshots;
mod states;
mod steps;
mod writer;

pub use audit::{AuditAction, AuditEntry, Mandate};
pub use error::StoreError;
pub use open::Store;
pub use outbox::{
    Letter, Letters, MOST_CHANNELS, MOST_OF_CHANNEL, MOST_OF_NAMESPACE, Outbox, Posted,
};
pub use records::{Filter, Found, MAX_RECORDS};
pub use retention::Pruned;
pub use settings::{
    Changed, Chooser, Job, JobId, JobSpec, JobState, Keep, MOST_ACCOUNTS, MOST_ENTRIES, MOST_JOBS,
    NewJob, OwnChoices, Scope, SettingsEntry, SettingsPatch, SettingsStore, StoredSettings, Worked,
};
pub use states::{
    AccountAction, AccountStates, HistoryEntry, Imposed, MOST_HISTORY, MOST_STANDING, ReleaseFrom,
    Released, Tending,
};
pub use writer::{Writer, WriterCounts, WriterSettings};

#[cfg(test)]
mod full_disk;
#[cfg(test)]
#[path = "../tests/it/sample.rs"]
mod sample;
