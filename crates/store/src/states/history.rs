//! The audit trail of accounts.

use sekisho_policy::{Account, Restriction, Timestamp};

use super::tables::{Event, Row, Tables};
use super::tend::TIME;
use super::{AccountStates, Backend, Fault, MOST_HISTORY, parse, reading, timestamp};
use crate::{Mandate, StoreError};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountAction {
    /// A rule restricted it, at a proxy.
    Imposed,
    /// Somebody restricted it.
    Restricted,
    /// Somebody released it.
    Released,
    /// Its time was over.
    Lifted,
}

impl AccountAction {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imposed => "Imposed",
            Self::Restricted => "Restricted",
            Self::Released => "Released",
            Self::Lifted => "Lifted",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::Imposed,
            Self::Restricted,
            Self::Released,
            Self::Lifted,
        ];
        all.into_iter().find(|action| action.name() == name)
    }
}

/// One line of an account's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Who, when and why.
    pub mandate: Mandate,
    /// What.
    pub action: AccountAction,
    /// The restriction that it was about; `None` where somebody released an account that nothing restricted.
    pub restriction: Option<Restriction>,
}

impl AccountStates {
    /// What was done about an account until `now`, the newest first, at most `limit` entries and never more than [`MOST_HISTORY`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        namespace: &str,
        account: &Account,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let most = limit.min(MOST_HISTORY);
        let found = reading!(self, tables => read(tables, namespace, account, now, most).await);
        Ok(found)
    }
}

async fn read(
    tables: &mut impl Tables,
    namespace: &str,
    account: &Account,
    now: Timestamp,
    most: u32,
) -> Result<Vec<HistoryEntry>, Fault> {
    let events = tables
        .history(namespace, account.as_str(), i64::from(most))
        .await?;
    let mut entries: Vec<_> = events.into_iter().filter_map(entry).collect();
    // What is over is noted when it has been so for long, and seen at once.
    let rows = tables.of_account(namespace, account.as_str()).await?;
    entries.extend(rows.iter().filter_map(|row| over(row, now)));
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.mandate.at));
    entries.truncate(most as usize);
    Ok(entries)
}

/// One that cannot be read hides no other.
fn entry(event: Event) -> Option<HistoryEntry> {
    let action = AccountAction::parse(&event.action);
    let restriction = match event.json.as_str() {
        "" => Some(None),
        json => parse(&event.account, json).ok().map(Some),
    };
    let (Some(action), Some(restriction)) = (action, restriction) else {
        tracing::error!(
            namespace = event.namespace, account = ?event.account, revision = event.revision, action = ?event.action,
            "an entry of an account's history cannot be read and is left out"
        );
        return None;
    };
    Some(HistoryEntry {
        mandate: Mandate {
            at: timestamp(event.at),
            who: event.who,
            why: event.why,
        },
        action,
        restriction,
    })
}

fn over(row: &Row, now: Timestamp) -> Option<HistoryEntry> {
    let until = timestamp(row.until_at?);
    if row.ended_at.is_some() || now < until {
        return None;
    }
    Some(HistoryEntry {
        mandate: Mandate {
            at: until,
            who: TIME.to_owned(),
            why: String::new(),
        },
        action: AccountAction::Lifted,
        restriction: Some(parse(&row.account, &row.json).ok()?),
    })
}
