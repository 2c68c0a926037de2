//! Records out: by id, by the id of any of their decisions that somebody was told, by account.

use sekisho_policy::{Account, DecisionId, Record, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::packed::unpack;
use crate::{Store, StoreError};

/// The most records that one question is answered with.
pub const MAX_RECORDS: u32 = 1_000;

/// Which records; all that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Made for this account, or by somebody who claimed to be it.
    pub account: Option<Account>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// At most so many, the newest first; never more than [`MAX_RECORDS`].
    pub limit: u32,
}

/// A record, and what of it an id named.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// The step that was decided under the id; `None` if the id names the record as a whole.
    pub step: Option<usize>,
}

impl Store {
    /// The record that `id` names: by its own id, or by that of a refusal or of what restricted an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record(&self, id: DecisionId) -> Result<Option<Found>, StoreError> {
        const BY_ID: &str = "
            SELECT r.id, r.content, d.step FROM decisions d JOIN records r ON r.seq = d.record WHERE d.id = ?1
            UNION ALL
            SELECT r.id, r.content, NULL FROM records r WHERE r.id = ?1
            LIMIT 1";
        let row = sqlx::query(BY_ID)
            .bind(number(id.bits()))
            .fetch_optional(&self.reading)
            .await;
        let Some(row) = row.map_err(|error| self.failed(error))? else {
            return Ok(None);
        };
        let step: Option<i64> = row.try_get(2).map_err(|error| self.failed(error))?;
        Ok(Some(Found {
            record: self.parse(&row)?,
            step: step.and_then(|step| usize::try_from(step).ok()),
        }))
    }

    /// Records, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn records(&self, filter: &Filter) -> Result<Vec<Record>, StoreError> {
        const ALL: &str = "SELECT id, content FROM records WHERE at BETWEEN ?2 AND ?4 ORDER BY at DESC, seq DESC LIMIT ?3";
        // Each half walks an index from its newest end and stops at the limit.
        const BY_ACCOUNT: &str = "
            SELECT id, content FROM records WHERE seq IN (
                SELECT seq FROM (SELECT seq FROM records WHERE account = ?1 AND at BETWEEN ?2 AND ?4 ORDER BY at DESC LIMIT ?3)
                UNION
                SELECT record FROM (SELECT record FROM claims WHERE account = ?1 AND at BETWEEN ?2 AND ?4 ORDER BY at DESC LIMIT ?3)
            ) ORDER BY at DESC, seq DESC LIMIT ?3";
        let sql = if filter.account.is_some() {
            BY_ACCOUNT
        } else {
            ALL
        };
        let rows = sqlx::query(sql)
            .bind(filter.account.as_ref().map(Account::as_str))
            .bind(number(filter.since.unwrap_or_default().0))
            .bind(i64::from(filter.limit.min(MAX_RECORDS)))
            .bind(number(filter.until.unwrap_or(Timestamp(u64::MAX)).0))
            .fetch_all(&self.reading)
            .await
            .map_err(|error| self.failed(error))?;
        rows.iter().map(|row| self.parse(row)).collect()
    }

    fn parse(&self, row: &SqliteRow) -> Result<Record, StoreError> {
        let id: i64 = row.try_get(0).map_err(|error| self.failed(error))?;
        let content: &[u8] = row.try_get(1).map_err(|error| self.failed(error))?;
        let json = unpack(content).map_err(serde_json::Error::io);
        let record = json.and_then(|json| serde_json::from_slice(&json));
        record.map_err(|error| {
            let id = DecisionId::from_random(id.unsigned_abs());
            self.unreadable(format!("the record {id}"), error)
        })
    }
}

/// SQL's integers are signed. Only a nonsensical time or generation is cut, and the JSON keeps it as it was.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
