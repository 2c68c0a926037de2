//! Records in and out: by id, by the id of any of their refusals, by account.

use std::collections::BTreeSet;

use sekisho_policy::event::Stage;
use sekisho_policy::record::{End, Step};
use sekisho_policy::{Account, DecisionId, Record, Timestamp, Verdict};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::snapshots::Digests;
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
    /// At most so many, the newest first; never more than [`MAX_RECORDS`].
    pub limit: u32,
}

/// A record, and what of it an id named.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The record.
    pub record: Record,
    /// The step that was refused under the id; `None` if the id names the record as a whole.
    pub step: Option<usize>,
}

impl Store {
    /// Writes records in one transaction: all or none. Those that are there already are left alone, so that a batch can
    /// be sent again. Answers how many were new.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn append(&self, records: &[Record]) -> Result<usize, StoreError> {
        let rows = records
            .iter()
            .map(NewRow::of)
            .collect::<Result<Vec<_>, _>>()?;
        let mut transaction = self.begin().await?;
        let new = insert_all(&mut transaction, &rows)
            .await
            .map_err(|error| self.failed(error))?;
        transaction
            .commit()
            .await
            .map_err(|error| self.failed(error))?;
        Ok(new)
    }

    /// The record that `id` names, by its own id or by that of one of its refusals.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record(&self, id: DecisionId) -> Result<Option<Found>, StoreError> {
        const BY_ID: &str = "
            SELECT r.id, r.json, d.step FROM decisions d JOIN records r ON r.seq = d.record WHERE d.id = ?1
            UNION ALL
            SELECT r.id, r.json, NULL FROM records r WHERE r.id = ?1
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
        const ALL: &str =
            "SELECT id, json FROM records WHERE at >= ?2 ORDER BY at DESC, seq DESC LIMIT ?3";
        // Each half walks an index from its newest end and stops at the limit.
        const BY_ACCOUNT: &str = "
            SELECT id, json FROM records WHERE seq IN (
                SELECT seq FROM (SELECT seq FROM records WHERE account = ?1 AND at >= ?2 ORDER BY at DESC LIMIT ?3)
                UNION
                SELECT record FROM (SELECT record FROM claims WHERE account = ?1 AND at >= ?2 ORDER BY at DESC LIMIT ?3)
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
            .fetch_all(&self.reading)
            .await
            .map_err(|error| self.failed(error))?;
        rows.iter().map(|row| self.parse(row)).collect()
    }

    fn parse(&self, row: &SqliteRow) -> Result<Record, StoreError> {
        let id: i64 = row.try_get(0).map_err(|error| self.failed(error))?;
        let json: &str = row.try_get(1).map_err(|error| self.failed(error))?;
        serde_json::from_str(json).map_err(|error| {
            let id = DecisionId::from_random(id.unsigned_abs());
            self.unreadable(format!("the record {id}"), error)
        })
    }
}

/// A record as it is written.
struct NewRow<'a> {
    record: &'a Record,
    account: Option<&'a Account>,
    claims: BTreeSet<&'a Account>,
    json: String,
}

impl<'a> NewRow<'a> {
    fn of(record: &'a Record) -> Result<Self, StoreError> {
        let json = serde_json::to_string(record).map_err(|error| StoreError::Unwritable {
            what: format!("the record {}", record.id),
            why: error.to_string(),
        })?;
        let mut claims: BTreeSet<&Account> = record.steps.iter().filter_map(claimed).collect();
        let account = record.account.as_ref().or_else(|| claims.first().copied());
        if let Some(account) = account {
            claims.remove(account);
        }
        Ok(Self {
            record,
            account,
            claims,
            json,
        })
    }
}

/// Who the client is or says it is.
fn claimed(step: &Step) -> Option<&Account> {
    match &step.event.stage {
        Stage::Login { account } | Stage::LoginFailed { account, .. } => Some(account),
        _ => step.event.account.as_ref().map(|account| &account.name),
    }
}

async fn insert_all(
    connection: &mut SqliteConnection,
    rows: &[NewRow<'_>],
) -> Result<usize, sqlx::Error> {
    let mut digests = Digests::default();
    let mut new = 0;
    for row in rows {
        let snapshot = digests.id_of(&mut *connection, row.record).await?;
        if let Some(seq) = insert(&mut *connection, row, snapshot).await? {
            new += 1;
            insert_claims(&mut *connection, row, seq).await?;
            insert_decisions(&mut *connection, row.record, seq).await?;
        }
    }
    Ok(new)
}

/// Answers with the new row's place, or with nothing if the record is there already.
async fn insert(
    connection: &mut SqliteConnection,
    row: &NewRow<'_>,
    snapshot: i64,
) -> Result<Option<i64>, sqlx::Error> {
    const INSERT: &str = "
        INSERT INTO records (id, gateway, at, account, source, class, ended, generation, snapshot, json)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING RETURNING seq";
    let record = row.record;
    let inserted = sqlx::query(INSERT)
        .bind(number(record.id.bits()))
        .bind(record.gateway.to_string())
        .bind(number(record.at.0))
        .bind(row.account.map(Account::as_str))
        .bind(record.source.to_string())
        .bind(format!("{:?}", record.class))
        .bind(end_name(&record.end))
        .bind(number(record.generation))
        .bind(snapshot)
        .bind(&row.json)
        .fetch_optional(connection)
        .await?;
    inserted.map(|row| row.try_get(0)).transpose()
}

async fn insert_claims(
    connection: &mut SqliteConnection,
    row: &NewRow<'_>,
    seq: i64,
) -> Result<(), sqlx::Error> {
    for account in &row.claims {
        sqlx::query("INSERT INTO claims (account, at, record) VALUES (?1, ?2, ?3)")
            .bind(account.as_str())
            .bind(number(row.record.at.0))
            .bind(seq)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn insert_decisions(
    connection: &mut SqliteConnection,
    record: &Record,
    seq: i64,
) -> Result<(), sqlx::Error> {
    for (at, step) in record.steps.iter().enumerate() {
        let verdict = match step.decision.verdict {
            Verdict::Allow | Verdict::Delay(_) => continue,
            Verdict::Defer(_) => "Defer",
            Verdict::Reject(_) => "Reject",
        };
        sqlx::query(
            "INSERT INTO decisions (id, record, step, stage, verdict) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(number(step.event.id.bits()))
        .bind(seq)
        .bind(i64::try_from(at).unwrap_or(i64::MAX))
        .bind(format!("{:?}", step.event.stage.name()))
        .bind(verdict)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

const fn end_name(end: &End) -> &'static str {
    match end {
        End::Delivered(_) => "Delivered",
        End::RefusedByPolicy { .. } => "RefusedByPolicy",
        End::RefusedByNextHop { .. } => "RefusedByNextHop",
        End::Uncertain(_) => "Uncertain",
        End::Failed { .. } => "Failed",
        End::Abandoned => "Abandoned",
    }
}

/// SQL's integers are signed. Only a nonsensical time or generation is cut, and the JSON keeps it as it was.
pub(crate) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
