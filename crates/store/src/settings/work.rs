//! How changes of many accounts are made: a batch at a time, so that whoever changes one account waits for a moment at most, and a
//! process that ends goes on where it was. Several replicas can work at once: a batch holds the namespace, and its place is read
//! after that.

use sekisho_policy::Timestamp;

use super::change::{Outcome, Terms, Wish, batch, draft};
use super::jobs::{JobSpec, JobState, Scope, end};
use super::patch::{Chooser, SettingsPatch};
use super::rows::{JobRow, Revision};
use super::tables::Tables;
use super::{Backend, Fault, SettingsStore};
use crate::StoreError;
use crate::records::number;
use crate::states::{in_transaction, reading};

/// Accounts of a batch.
const BATCH: i64 = 500;
/// One that is still being written down after this long was given up by whoever did it.
const LOADS_WITHIN: i64 = 60 * 60 * 1000;

/// Whether there is more to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// There may be.
    More,
    /// There is nothing to be done now.
    Nothing,
}

impl SettingsStore {
    /// Makes one batch of the oldest change of many that there is.
    ///
    /// # Errors
    /// [`StoreError`]; the batch was not made.
    pub async fn work(&self, now: Timestamp) -> Result<Worked, StoreError> {
        // Most of the time there is nothing, and nobody who writes is to wait for that.
        let any = reading!(self, tables => tables.jobs_to_do(1).await.map_err(Fault::from));
        if any.is_empty() {
            return Ok(Worked::Nothing);
        }
        let (worked, changed) = in_transaction!(self, tables => work(tables, now).await);
        if let Some(namespace) = changed {
            self.changed(&namespace);
        }
        Ok(worked)
    }
}

/// Whether there is more, and the namespace in which something was changed.
async fn work(tables: &mut impl Tables, now: Timestamp) -> Result<(Worked, Option<String>), Fault> {
    let to_do = tables.jobs_to_do(i64::from(super::MOST_JOBS)).await?;
    let at = number(now.0);
    let is_given_up = |row: &JobRow| {
        row.state == JobState::Loading.name() && row.id.saturating_add(LOADS_WITHIN) < at
    };
    let is_due = |row: &JobRow| row.state == JobState::Running.name() || is_given_up(row);
    let Some(seen) = to_do.into_iter().find(is_due) else {
        return Ok((Worked::Nothing, None));
    };
    let found = tables.lock(&seen.namespace).await?;
    // Another replica may have been faster.
    let row = tables.job(seen.id).await?;
    let Some(mut row) = row.filter(|row| row.finished_at.is_none()) else {
        return Ok((Worked::More, None));
    };
    if is_given_up(&row) {
        end(tables, &mut row, JobState::Cancelled, at).await?;
        return Ok((Worked::More, None));
    }
    let spec: JobSpec = match serde_json::from_str(&row.spec) {
        Ok(spec) => spec,
        Err(error) => {
            row.trouble = format!("it cannot be read: {error}");
            end(tables, &mut row, JobState::Failed, at).await?;
            return Ok((Worked::More, None));
        }
    };
    let outcome = step(tables, &mut row, &spec, found, now).await?;
    let changed = (outcome.changed > 0).then_some(row.namespace);
    Ok((Worked::More, changed))
}

/// The next accounts of a job, and what is wanted of them.
struct Portion {
    wishes: Vec<(String, SettingsPatch)>,
    /// Items that cannot be read.
    unreadable: i64,
    place: String,
    is_last: bool,
}

async fn step(
    tables: &mut impl Tables,
    row: &mut JobRow,
    spec: &JobSpec,
    found: Revision,
    now: Timestamp,
) -> Result<Outcome, Fault> {
    let portion = portion(tables, row, spec).await?;
    let wishes = portion
        .wishes
        .iter()
        .map(|(account, patch)| Wish { account, patch });
    let wishes: Vec<Wish<'_>> = wishes.collect();
    let (who, why) = (row.who.clone(), row.why.clone());
    let terms = Terms {
        chooser: Chooser::Operator,
        keep: spec.keep,
        at: now,
        job: Some(row.id),
        who: &who,
        why: &why,
    };
    let outcome = if spec.dry_run {
        draft(tables, &row.namespace, found, &wishes, &terms)
            .await?
            .outcome
    } else {
        batch(tables, &row.namespace, found, &wishes, &terms).await?
    };
    let unreadable = outcome.unreadable + portion.unreadable;
    if unreadable > 0 && row.trouble.is_empty() {
        row.trouble = format!(
            "left alone what cannot be read: {unreadable} accounts or more, which the log names; reset them"
        );
    }
    row.done += i64::try_from(wishes.len()).unwrap_or(i64::MAX) + portion.unreadable;
    row.changed += outcome.changed;
    row.total = row.total.max(row.done);
    row.place = portion.place;
    let at = number(now.0);
    if outcome.full > 0 {
        row.trouble = format!(
            "the namespace {} has {} accounts with settings, which is the most",
            row.namespace,
            super::MOST_ACCOUNTS
        );
        end(tables, row, JobState::Failed, at).await?;
    } else if portion.is_last {
        row.total = row.done;
        end(tables, row, JobState::Done, at).await?;
    } else {
        tables.save_job(row).await?;
    }
    if spec.dry_run {
        return Ok(Outcome::default());
    }
    Ok(outcome)
}

async fn portion(tables: &mut impl Tables, row: &JobRow, spec: &JobSpec) -> Result<Portion, Fault> {
    match &spec.scope {
        Scope::Existing(patch) => {
            let rows = tables.after(&row.namespace, &row.place, BATCH).await?;
            Ok(Portion {
                place: rows
                    .last()
                    .map_or_else(String::new, |row| row.account.clone()),
                is_last: (rows.len() as i64) < BATCH,
                unreadable: 0,
                wishes: rows
                    .into_iter()
                    .map(|row| (row.account, patch.clone()))
                    .collect(),
            })
        }
        Scope::Listed => {
            let after = row.place.parse().unwrap_or(0);
            let items = tables.items(row.id, after, BATCH).await?;
            let place = items.last().map_or(after, |item| item.item);
            let is_last = (items.len() as i64) < BATCH;
            let count = items.len() as i64;
            let wishes = items.into_iter().filter_map(|item| {
                let patch = serde_json::from_str(&item.json).inspect_err(|error| {
                    tracing::error!(
                        job = row.id, item = item.item, account = ?item.account, %error,
                        "a change of settings cannot be read, and is left out"
                    );
                });
                Some((item.account, patch.ok()?))
            });
            let wishes: Vec<_> = wishes.collect();
            Ok(Portion {
                unreadable: count - wishes.len() as i64,
                wishes,
                place: place.to_string(),
                is_last,
            })
        }
    }
}
