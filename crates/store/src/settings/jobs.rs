//! Changes of many accounts: begun, looked at, and ended before their time.

use std::fmt;
use std::str::FromStr;

use sekisho_policy::{Account, Timestamp};
use serde::{Deserialize, Serialize};

use super::patch::{Keep, SettingsPatch};
use super::rows::{Item, JobRow};
use super::tables::Tables;
use super::{Backend, Fault, MOST_JOBS, SettingsStore, to_json};
use crate::records::number;
use crate::states::{in_transaction, reading, timestamp};
use crate::{Mandate, StoreError};

/// Accounts that are written down in one transaction.
const AT_A_TIME: usize = 500;

/// Names a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Which accounts a job is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Those that it names, each with a change of its own.
    Listed,
    /// All of the namespace that have settings, with this change.
    Existing(SettingsPatch),
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// To whom.
    pub scope: Scope,
    /// What it leaves alone.
    pub keep: Keep,
    /// Whether it only counts what it would change.
    pub dry_run: bool,
}

/// A job to be begun.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    /// The namespace of the accounts.
    pub namespace: &'a str,
    /// What.
    pub spec: &'a JobSpec,
    /// The accounts that it names, in canonical form, and what is to become of them.
    pub items: &'a [(Account, SettingsPatch)],
    /// Who, and why.
    pub mandate: &'a Mandate,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// Its accounts are being written down.
    Loading,
    /// It waits for its turn, or is at work.
    Running,
    /// It is over.
    Done,
    /// Somebody ended it; what it had changed stays.
    Cancelled,
    /// It cannot go on; what it had changed stays.
    Failed,
}

/// A change of many accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The namespace of the accounts.
    pub namespace: String,
    /// Who began it.
    pub who: String,
    /// Why.
    pub why: String,
    /// What it does.
    #[serde(flatten)]
    pub spec: JobSpec,
    /// How far it is.
    pub state: JobState,
    /// How many accounts there are to be looked at.
    pub total: u64,
    /// How many were.
    pub done: u64,
    /// How many were changed, or would be.
    pub changed: u64,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Why it could not go on, or what it left alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trouble: String,
}

impl JobState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Loading => "Loading",
            Self::Running => "Running",
            Self::Done => "Done",
            Self::Cancelled => "Cancelled",
            Self::Failed => "Failed",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::Loading,
            Self::Running,
            Self::Done,
            Self::Cancelled,
            Self::Failed,
        ];
        all.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more comes of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled | Self::Failed)
    }
}

impl SettingsStore {
    /// Writes a job down, to be worked on from then on; `None` if too many wait.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing will come of it.
    pub async fn begin(&self, new: NewJob<'_>) -> Result<Option<Job>, StoreError> {
        let Some(row) = in_transaction!(self, tables => open(tables, &new).await) else {
            return Ok(None);
        };
        for (part, items) in (0_i64..).zip(new.items.chunks(AT_A_TIME)) {
            let first = part * AT_A_TIME as i64 + 1;
            let items = (first..).zip(items).map(|(item, (account, patch))| {
                Ok(Item {
                    item,
                    account: account.to_string(),
                    json: to_json("a change of settings", patch)?,
                })
            });
            let items = items.collect::<Result<Vec<_>, Fault>>();
            let items = items.map_err(|fault| self.failed(fault))?;
            let loads = in_transaction!(self, tables => load(tables, &row, &items).await);
            if !loads {
                break;
            }
        }
        let row = in_transaction!(self, tables => start(tables, row).await);
        self.begun.send_modify(|count| *count += 1);
        let job = read(row).map_err(|fault| self.failed(fault))?;
        Ok(Some(job))
    }

    /// A job of the namespace.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn job(&self, namespace: &str, id: JobId) -> Result<Option<Job>, StoreError> {
        let id = number(id.0);
        let row = reading!(self, tables => tables.job(id).await.map_err(Fault::from));
        let row = row.filter(|row| row.namespace == namespace);
        row.map(read)
            .transpose()
            .map_err(|fault| self.failed(fault))
    }

    /// The jobs of the namespace, the newest first, at most [`MOST_JOBS`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn jobs(&self, namespace: &str) -> Result<Vec<Job>, StoreError> {
        let most = i64::from(MOST_JOBS);
        let rows =
            reading!(self, tables => tables.jobs(namespace, most).await.map_err(Fault::from));
        let jobs = rows.into_iter().map(read).collect::<Result<_, _>>();
        jobs.map_err(|fault| self.failed(fault))
    }

    /// Ends a job before its time. What it changed stays; the job as it is then, `None` if there is no such job.
    ///
    /// # Errors
    /// [`StoreError`]; it goes on.
    pub async fn cancel(
        &self,
        namespace: &str,
        id: JobId,
        now: Timestamp,
    ) -> Result<Option<Job>, StoreError> {
        let (id, now) = (number(id.0), number(now.0));
        let row = in_transaction!(self, tables => cancel(tables, namespace, id, now).await);
        row.map(read)
            .transpose()
            .map_err(|fault| self.failed(fault))
    }
}

async fn open(tables: &mut impl Tables, new: &NewJob<'_>) -> Result<Option<JobRow>, Fault> {
    let found = tables.lock(new.namespace).await?;
    let waiting = tables.jobs_to_do(i64::from(MOST_JOBS)).await?;
    if waiting.len() >= MOST_JOBS as usize {
        return Ok(None);
    }
    let total = match new.spec.scope {
        Scope::Listed => i64::try_from(new.items.len()).unwrap_or(i64::MAX),
        Scope::Existing(_) => found.accounts,
    };
    let newest = tables.newest_job().await?;
    let mut row = JobRow {
        id: (newest + 1).max(number(new.mandate.at.0)),
        namespace: new.namespace.to_owned(),
        who: new.mandate.who.clone(),
        why: new.mandate.why.clone(),
        spec: to_json("a change of many", new.spec)?,
        state: JobState::Loading.name().to_owned(),
        total,
        done: 0,
        changed: 0,
        place: String::new(),
        finished_at: None,
        trouble: String::new(),
    };
    // Another namespace may have taken the number meanwhile.
    while !tables.open_job(&row).await? {
        row.id += 1;
    }
    Ok(Some(row))
}

/// Writes some accounts of a job down; whether it still waits for them. Whoever cancels it holds the namespace as well.
async fn load(tables: &mut impl Tables, row: &JobRow, items: &[Item]) -> Result<bool, Fault> {
    tables.lock(&row.namespace).await?;
    let now = tables.job(row.id).await?;
    let loads = now.is_some_and(|now| now.state == JobState::Loading.name());
    if loads {
        tables.put_items(row.id, items).await?;
    }
    Ok(loads)
}

/// Lets a job begin, unless somebody ended it; what it is then.
async fn start(tables: &mut impl Tables, row: JobRow) -> Result<JobRow, Fault> {
    tables.lock(&row.namespace).await?;
    if !tables.start_job(row.id).await? {
        tables.forget_items(row.id).await?;
    }
    Ok(tables.job(row.id).await?.unwrap_or(row))
}

async fn cancel(
    tables: &mut impl Tables,
    namespace: &str,
    id: i64,
    now: i64,
) -> Result<Option<JobRow>, Fault> {
    tables.lock(namespace).await?;
    let row = tables
        .job(id)
        .await?
        .filter(|row| row.namespace == namespace);
    let Some(mut row) = row else { return Ok(None) };
    if row.finished_at.is_none() {
        end(tables, &mut row, JobState::Cancelled, now).await?;
    }
    Ok(Some(row))
}

/// Notes that a job is over, and forgets whom it named.
pub(super) async fn end(
    tables: &mut impl Tables,
    row: &mut JobRow,
    state: JobState,
    now: i64,
) -> Result<(), Fault> {
    row.state = state.name().to_owned();
    row.finished_at = Some(now);
    tables.save_job(row).await?;
    Ok(tables.forget_items(row.id).await?)
}

fn read(row: JobRow) -> Result<Job, Fault> {
    let unreadable = |why: String| Fault::Unreadable {
        what: format!("the change of many {}", row.id),
        why,
    };
    Ok(Job {
        spec: serde_json::from_str(&row.spec).map_err(|error| unreadable(error.to_string()))?,
        state: JobState::parse(&row.state)
            .ok_or_else(|| unreadable(format!("unknown state {:?}", row.state)))?,
        id: JobId(row.id.unsigned_abs()),
        namespace: row.namespace,
        who: row.who,
        why: row.why,
        total: row.total.unsigned_abs(),
        done: row.done.unsigned_abs(),
        changed: row.changed.unsigned_abs(),
        finished_at: row.finished_at.map(timestamp),
        trouble: row.trouble,
    })
}
