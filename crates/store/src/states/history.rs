//! The audit trail of accounts.

use sekisho_policy::{Account, Restriction};

use super::tables::{Event, Tables};
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
    /// The restriction that it was about.
    pub restriction: Restriction,
}

impl AccountStates {
    /// What was done about an account, the newest first, at most `limit` entries and never more than [`MOST_HISTORY`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        namespace: &str,
        account: &Account,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let most = i64::from(limit.min(MOST_HISTORY));
        let found = reading!(self, tables => read(tables, namespace, account, most).await);
        Ok(found)
    }
}

async fn read(
    tables: &mut impl Tables,
    namespace: &str,
    account: &Account,
    most: i64,
) -> Result<Vec<HistoryEntry>, Fault> {
    let events = tables.history(namespace, account.as_str(), most).await?;
    events.into_iter().map(entry).collect()
}

fn entry(event: Event) -> Result<HistoryEntry, Fault> {
    let restriction = parse(&event.account, &event.json)?;
    let action = AccountAction::parse(&event.action).ok_or_else(|| Fault::Unreadable {
        what: "an account's history".to_owned(),
        why: format!("unknown action {:?}", event.action),
    })?;
    Ok(HistoryEntry {
        mandate: Mandate {
            at: timestamp(event.at),
            who: event.who,
            why: event.why,
        },
        action,
        restriction,
    })
}
