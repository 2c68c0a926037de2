//! What is asked about account states: one account's, and what changed since a revision.

use sekisho_policy::states::{Absence, Change, Extent, Onto, Part, Rest, States};
use sekisho_policy::{Account, Origin, Restriction, Timestamp};

use super::change::origin_of;
use super::tables::{Mark, News, Row, Tables};
use super::{AccountStates, Backend, Fault, parse, reading, release_of};
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
        // Of one whose worse step is over, what goes on after it.
        let holding = found
            .iter()
            .filter_map(|found| found.in_force(now).cloned());
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
    let read = standing.filter_map(|row| told(row, parse(&row.account, &row.json)));
    Ok(read.collect())
}

async fn since(
    tables: &mut impl Tables,
    namespace: &str,
    asked: i64,
    part: Part,
    most: i64,
) -> Result<States, Fault> {
    // Read first: what comes after it is asked for again.
    let (identity, place) = tables.place(namespace).await?;
    let goes_on = part == Part::Next || asked >= place.horizon;
    let is_known = asked > 0 && goes_on && asked <= place.revision;
    let (onto, news) = if is_known {
        (Onto::Known, tables.since(namespace, asked, most).await?)
    } else {
        (Onto::Nothing, tables.standing(namespace, most).await?)
    };
    let (rest, revision) = match news.last().map(revision_of) {
        Some(last) if news.len() as u64 >= most.unsigned_abs() => (Rest::More, last),
        last => (Rest::Nothing, last.unwrap_or(0).max(place.revision)),
    };
    Ok(States {
        revision: revision.unsigned_abs(),
        onto,
        rest,
        changes: news.iter().filter_map(change).collect(),
        store: Some(identity.into()),
    })
}

const fn revision_of(news: &News) -> i64 {
    match news {
        News::Restriction(row) => row.revision,
        News::Release(mark) => mark.revision,
    }
}

/// One that cannot be read is left out: it must not keep a whole namespace from hearing of the others.
fn change(news: &News) -> Option<Change> {
    match news {
        News::Restriction(row) => told(row, restricted(row)),
        News::Release(mark) => released(mark)
            .inspect_err(|fault| {
                tracing::error!(account = ?mark.account, origin = ?mark.origin, ?fault, "a release cannot be read and is told to nobody: release the account again");
            })
            .ok(),
    }
}

fn told<T>(row: &Row, read: Result<T, Fault>) -> Option<T> {
    read.inspect_err(|fault| {
        tracing::error!(
            namespace = row.namespace, account = ?row.account, origin = ?row.origin, revision = row.revision, ?fault,
            "a restriction cannot be read and is told to nobody: release the account to be rid of it"
        );
    })
    .ok()
}

fn restricted(row: &Row) -> Result<Change, Fault> {
    let restriction = match row.ended_at {
        None => Some(parse(&row.account, &row.json)?),
        Some(_) => None,
    };
    Ok(Change {
        account: account_of(&row.account)?,
        origin: origin_of(&row.origin)?,
        restriction,
        absence: Absence::Release,
        release: None,
    })
}

fn released(mark: &Mark) -> Result<Change, Fault> {
    let release = release_of(mark);
    Ok(Change {
        account: account_of(&mark.account)?,
        origin: match release.extent {
            Extent::Account => Origin::Desk,
            Extent::Origin => origin_of(&mark.origin)?,
        },
        restriction: None,
        absence: Absence::Release,
        release: Some(release),
    })
}

fn account_of(name: &str) -> Result<Account, Fault> {
    serde_json::from_value(name.into()).map_err(|error| Fault::Unreadable {
        what: "the name of an account".to_owned(),
        why: error.to_string(),
    })
}
