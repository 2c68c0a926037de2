//! What is asked about account states: one account's, and what changed since a revision.

use sekisho_policy::states::{Absence, Change, Onto, Part, Rest, States};
use sekisho_policy::{Account, Restriction, Timestamp};

use super::change::origin_of;
use super::tables::{Row, Tables};
use super::{AccountStates, Backend, Fault, parse, reading};
use crate::StoreError;
use crate::records::number;

impl AccountStates {
    /// The restrictions of an account that hold at `now`, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn restrictions(
        &self,
        namespace: &str,
        account: &Account,
        now: Timestamp,
    ) -> Result<Vec<Restriction>, StoreError> {
        let found = reading!(self, tables => of_account(tables, namespace, account).await);
        let holding = found.into_iter().filter(|found| found.holds_at(now));
        Ok(holding.collect())
    }

    /// Up to `most` changes after a revision; all that stands if it is zero, lies ahead, or is so old that changes since were
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
    ) -> Result<States, StoreError> {
        let (asked, most) = (number(revision), i64::from(most));
        let states = reading!(self, tables => since(tables, namespace, asked, part, most).await);
        Ok(states)
    }
}

async fn of_account(
    tables: &mut impl Tables,
    namespace: &str,
    account: &Account,
) -> Result<Vec<Restriction>, Fault> {
    let rows = tables.of_account(namespace, account.as_str()).await?;
    let standing = rows.iter().filter(|row| row.ended_at.is_none());
    standing.map(|row| parse(&row.account, &row.json)).collect()
}

async fn since(
    tables: &mut impl Tables,
    namespace: &str,
    asked: i64,
    part: Part,
    most: i64,
) -> Result<States, Fault> {
    // Read first: what comes after it is asked for again.
    let now = tables.revision().await?;
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
    Ok(States {
        revision: revision.unsigned_abs(),
        onto,
        rest,
        changes: rows.iter().filter_map(readable).collect(),
    })
}

/// One that cannot be read is left out: it must not keep a whole namespace from hearing of the others.
fn readable(row: &Row) -> Option<Change> {
    change(row)
        .inspect_err(|fault| {
            tracing::error!(
                namespace = row.namespace, account = ?row.account, origin = ?row.origin, revision = row.revision, ?fault,
                "a restriction cannot be read and is told to nobody: release the account to be rid of it"
            );
        })
        .ok()
}

fn change(row: &Row) -> Result<Change, Fault> {
    let restriction = match row.ended_at {
        None => Some(parse(&row.account, &row.json)?),
        Some(_) => None,
    };
    Ok(Change {
        account: serde_json::from_value(row.account.as_str().into()).map_err(|error| {
            Fault::Unreadable {
                what: "the name of an account".to_owned(),
                why: error.to_string(),
            }
        })?,
        origin: origin_of(&row.origin)?,
        restriction,
        absence: Absence::Release,
    })
}
