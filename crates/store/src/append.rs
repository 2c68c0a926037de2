//! Records in: one transaction for a batch, a few statements for many rows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use sekisho_policy::event::Stage;
use sekisho_policy::record::{End, Step};
use sekisho_policy::{Account, Record, Verdict};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use tokio::task::yield_now;

use crate::packed::Packer;
use crate::records::number;
use crate::snapshots::Digests;
use crate::{Store, StoreError};

/// Rows of one statement. Each statement is a visit to the connection's thread, and costs more than a row does.
const ROWS: usize = 64;
/// Records that are put into words and packed before whatever else waits has its turn: some 15 µs each.
const AT_A_TIME: usize = 16;
/// Octets of most records, so that writing one never moves it.
const JSON: usize = 4096;

impl Store {
    /// Writes records in one transaction: all or none. Those that are there already are left alone, so that a batch can
    /// be sent again. Answers how many were new.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn append(&self, records: &[Record]) -> Result<usize, StoreError> {
        let mut rows = Vec::with_capacity(records.len());
        let mut words = Words::new()?;
        for some in records.chunks(AT_A_TIME) {
            for record in some {
                rows.push(NewRow::of(record, &mut words)?);
            }
            yield_now().await;
        }
        let mut transaction = self.begin().await?;
        let new = insert_all(&mut transaction, &mut rows)
            .await
            .map_err(|error| self.failed(error))?;
        transaction
            .commit()
            .await
            .map_err(|error| self.failed(error))?;
        Ok(new)
    }
}

/// A record as it is written.
struct NewRow<'a> {
    record: &'a Record,
    account: Option<&'a Account>,
    claims: BTreeSet<&'a Account>,
    snapshot: i64,
    content: Vec<u8>,
}

impl<'a> NewRow<'a> {
    fn of(record: &'a Record, words: &mut Words) -> Result<Self, StoreError> {
        let content = words.of(record).map_err(|error| StoreError::Unwritable {
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
            snapshot: 0,
            content,
        })
    }
}

/// Puts records into words, one after the other.
struct Words {
    json: Vec<u8>,
    packer: Packer,
}

impl Words {
    fn new() -> Result<Self, StoreError> {
        let packer = Packer::new().map_err(|error| StoreError::Unwritable {
            what: "records".to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            json: Vec::with_capacity(JSON),
            packer,
        })
    }

    fn of(&mut self, record: &Record) -> io::Result<Vec<u8>> {
        self.json.clear();
        serde_json::to_writer(&mut self.json, record)?;
        self.packer.pack(&self.json)
    }
}

/// Who the client is or says it is.
fn claimed(step: &Step) -> Option<&Account> {
    match &step.event.stage {
        Stage::LoginShown { account, .. } => Some(account),
        Stage::Login { account } | Stage::LoginFailed { account, .. } => account.as_ref(),
        _ => step.event.account.as_ref().map(|account| &account.name),
    }
}

async fn insert_all(
    connection: &mut SqliteConnection,
    rows: &mut [NewRow<'_>],
) -> Result<usize, sqlx::Error> {
    let mut digests = Digests::default();
    let mut new = 0;
    for chunk in rows.chunks_mut(ROWS) {
        for row in &mut *chunk {
            row.snapshot = digests.id_of(&mut *connection, row.record).await?;
        }
        let mut places = insert_records(&mut *connection, chunk).await?;
        // A record that is twice in the batch was inserted once, by its first row.
        let inserted: Vec<_> = chunk
            .iter()
            .filter_map(|row| {
                places
                    .remove(&number(row.record.id.bits()))
                    .map(|seq| (seq, row))
            })
            .collect();
        insert_claims(&mut *connection, &inserted).await?;
        insert_decisions(&mut *connection, &inserted).await?;
        new += inserted.len();
    }
    Ok(new)
}

/// Answers with the places of the records that are new, by their ids.
async fn insert_records(
    connection: &mut SqliteConnection,
    rows: &mut [NewRow<'_>],
) -> Result<BTreeMap<i64, i64>, sqlx::Error> {
    const INTO: &str = "INSERT INTO records (id, gateway, at, account, source, class, ended, generation, snapshot, content) ";
    let mut insert = QueryBuilder::<Sqlite>::new(INTO);
    insert.push_values(rows, |mut values, row| {
        let record = row.record;
        values
            .push_bind(number(record.id.bits()))
            .push_bind(record.gateway.to_string())
            .push_bind(number(record.at.0))
            .push_bind(row.account.map(Account::as_str))
            .push_bind(record.source.to_string())
            .push_bind(format!("{:?}", record.class))
            .push_bind(end_name(&record.end))
            .push_bind(number(record.generation))
            .push_bind(row.snapshot)
            .push_bind(std::mem::take(&mut row.content));
    });
    insert.push(" ON CONFLICT (id) DO NOTHING RETURNING id, seq");
    let inserted = insert.build().fetch_all(connection).await?;
    inserted
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

type Inserted<'a, 'r> = (i64, &'a NewRow<'r>);

async fn insert_claims(
    connection: &mut SqliteConnection,
    rows: &[Inserted<'_, '_>],
) -> Result<(), sqlx::Error> {
    let claims: Vec<_> = rows
        .iter()
        .flat_map(|&(seq, row)| {
            row.claims
                .iter()
                .map(move |account| (seq, row.record.at, account))
        })
        .collect();
    for chunk in claims.chunks(ROWS) {
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO claims (account, at, record) ");
        insert.push_values(chunk, |mut values, (seq, at, account)| {
            values
                .push_bind(account.as_str())
                .push_bind(number(at.0))
                .push_bind(seq);
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_decisions(
    connection: &mut SqliteConnection,
    rows: &[Inserted<'_, '_>],
) -> Result<(), sqlx::Error> {
    let named: Vec<_> = rows
        .iter()
        .flat_map(|&(seq, row)| named(row.record).map(move |(at, step)| (seq, at, step)))
        .collect();
    for chunk in named.chunks(ROWS) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO decisions (id, record, step, stage, verdict) ",
        );
        insert.push_values(chunk, |mut values, (seq, at, step)| {
            values
                .push_bind(number(step.event.id.bits()))
                .push_bind(seq)
                .push_bind(at)
                .push_bind(format!("{:?}", step.event.stage.name()))
                .push_bind(verdict_name(&step.decision.verdict));
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// The steps whose ids somebody was told, with their places: refusals, what restricted the account, and the last one where the record
/// ends with a reply, such as that to a wrong password, which no rule refused.
fn named(record: &Record) -> impl Iterator<Item = (i64, &Step)> {
    let has_reply = matches!(
        record.end,
        End::RefusedByPolicy { .. } | End::RefusedByNextHop { .. } | End::Failed { .. }
    );
    let count = record.steps.len();
    (0i64..)
        .zip(&record.steps)
        .enumerate()
        .filter(move |(place, (_, step))| {
            let decision = &step.decision;
            let is_last = place + 1 == count;
            decision.verdict.refusal().is_some() || decision.restricts() || (has_reply && is_last)
        })
        .map(|(_, named)| named)
}

const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "Allow",
        Verdict::Delay(_) => "Delay",
        Verdict::Defer(_) => "Defer",
        Verdict::Reject(_) => "Reject",
    }
}

const fn end_name(end: &End) -> &'static str {
    match end {
        End::Delivered(_) => "Delivered",
        End::RefusedByPolicy { .. } => "RefusedByPolicy",
        End::RefusedByNextHop { .. } => "RefusedByNextHop",
        End::Uncertain(_) => "Uncertain",
        End::Failed { .. } => "Failed",
        End::Abandoned => "Abandoned",
        End::Noted => "Noted",
    }
}
