//! What is asked about settings: one account's, its history, and what changed since a revision.

use sekisho_policy::settings::{SettingsChange, SettingsChanges};
use sekisho_policy::states::{Onto, Part, Rest};
use sekisho_policy::{Account, AccountSettings};

use super::patch::OwnChoices;
use super::rows::{Event, Row};
use super::tables::Tables;
use super::{Backend, Fault, MOST_ENTRIES, SettingsStore, parse};
use crate::records::number;
use crate::states::{reading, timestamp};
use crate::{Mandate, StoreError};

/// What an account has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSettings {
    /// What.
    pub settings: AccountSettings,
    /// Which of it the account chose itself.
    pub own: OwnChoices,
    /// Of which revision of the namespace it is.
    pub revision: u64,
}

impl StoredSettings {
    pub(super) fn of(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            settings: parse(&row.account, &row.json)?,
            own: OwnChoices::from_bits(row.own),
            revision: row.revision.unsigned_abs(),
        })
    }
}

/// One line of the history of an account's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsEntry {
    /// Who, when and why.
    pub mandate: Mandate,
    /// The change of many that it was part of.
    pub job: Option<u64>,
    /// What holds from then on; empty where it was reset.
    pub settings: AccountSettings,
}

impl SettingsStore {
    /// What an account has set; `None` if nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn settings(
        &self,
        namespace: &str,
        account: &Account,
    ) -> Result<Option<StoredSettings>, StoreError> {
        let accounts = [account.as_str()];
        let rows =
            reading!(self, tables => tables.rows(namespace, &accounts).await.map_err(Fault::from));
        let standing = rows.iter().find(|row| row.reset_at.is_none());
        let stored = standing.map(StoredSettings::of).transpose();
        stored.map_err(|fault| self.failed(fault))
    }

    /// How many accounts of the namespace have settings.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accounts(&self, namespace: &str) -> Result<u64, StoreError> {
        let found = reading!(self, tables => tables.revision(namespace).await.map_err(Fault::from));
        Ok(found.accounts.unsigned_abs())
    }

    /// Who set what, the newest first, at most `limit` entries and never more than [`MOST_ENTRIES`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        namespace: &str,
        account: &Account,
        limit: u32,
    ) -> Result<Vec<SettingsEntry>, StoreError> {
        let most = i64::from(limit.min(MOST_ENTRIES));
        let name = account.as_str();
        let events = reading!(self, tables => tables.history(namespace, name, most).await.map_err(Fault::from));
        let entries = events.into_iter();
        Ok(entries
            .filter_map(|event| entry(namespace, event))
            .collect())
    }

    /// Up to `most` changes after a revision; all that holds if it is zero, lies ahead, or is so old that changes since were
    /// forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn since(
        &self,
        namespace: &str,
        revision: u64,
        part: Part,
        most: u32,
    ) -> Result<SettingsChanges, StoreError> {
        let (asked, most) = (number(revision), i64::from(most));
        let found = reading!(self, tables => since(tables, namespace, asked, part, most).await);
        Ok(found)
    }
}

/// One that cannot be read hides no other.
fn entry(namespace: &str, event: Event) -> Option<SettingsEntry> {
    let settings = parse(&event.account, &event.json).inspect_err(|fault| {
        tracing::error!(
            namespace, account = ?event.account, revision = event.revision, ?fault,
            "an entry of the history of an account's settings cannot be read and is left out"
        );
    });
    Some(SettingsEntry {
        settings: settings.ok()?,
        mandate: Mandate {
            at: timestamp(event.at),
            who: event.who,
            why: event.why,
        },
        job: event.job.map(i64::unsigned_abs),
    })
}

async fn since(
    tables: &mut impl Tables,
    namespace: &str,
    asked: i64,
    part: Part,
    most: i64,
) -> Result<SettingsChanges, Fault> {
    // Read first: what comes after it is asked for again.
    let now = tables.revision(namespace).await?;
    let store = tables.identity().await?;
    let goes_on = part == Part::Next || asked >= now.horizon;
    let is_known = asked > 0 && goes_on && asked <= now.revision;
    let (onto, rows) = if is_known {
        (Onto::Known, tables.since(namespace, asked, most).await?)
    } else {
        (Onto::Nothing, tables.standing(namespace, most).await?)
    };
    let (rest, revision) = match rows.last() {
        Some(last) if rows.len() as u64 >= most.unsigned_abs() => (Rest::More, last.revision),
        last => {
            let newest = last.map_or(0, |last| last.revision);
            (Rest::Nothing, newest.max(now.revision))
        }
    };
    Ok(SettingsChanges {
        revision: revision.unsigned_abs(),
        onto,
        rest,
        changes: rows
            .iter()
            .filter_map(|row| readable(namespace, row))
            .collect(),
        store: Some(store.into()),
        horizon: now.horizon.unsigned_abs(),
    })
}

/// One that cannot be read is left out: it must not keep a whole namespace from hearing of the others.
fn readable(namespace: &str, row: &Row) -> Option<SettingsChange> {
    let settings = match row.reset_at {
        Some(_) => Ok(None),
        None => parse(&row.account, &row.json).map(Some),
    };
    let settings = settings.inspect_err(|fault| {
        tracing::error!(
            namespace, account = ?row.account, revision = row.revision, ?fault,
            "settings of an account cannot be read and are told to nobody: reset them to be rid of it"
        );
    });
    Some(SettingsChange {
        account: Account::canonical(&row.account, None),
        settings: settings.ok()?,
    })
}
