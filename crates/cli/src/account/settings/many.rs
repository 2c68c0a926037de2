//! `import`, `bulk`, `jobs` and `cancel`: changes of many accounts, and how far they are.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hyper::Method;
use sekisho_store::Keep;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::super::path::escape;
use super::{Bulk, Cancel, How, Import, Place, WITHOUT_STORE, list, progress};
use crate::Outcome;
use crate::args::OutputFormat;
use crate::ledger::user;
use crate::output::{self, visible};
use crate::server::Busy;

/// Accounts that are sent at once.
const PART: usize = 20_000;
/// Parts that are sent before the first of them has to be over: what was sent goes on whatever becomes of this process. Of all that
/// anybody sent, 100 may wait, and they are worked on in turn.
const AHEAD: usize = 8;
/// How far it is, is asked so often.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// How far a change of many is, as the server says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    id: u64,
    who: String,
    why: String,
    state: String,
    dry_run: bool,
    total: u64,
    done: u64,
    changed: u64,
    #[serde(default)]
    trouble: String,
    /// What of it no rule goes by, when it begins.
    #[serde(default)]
    warnings: Vec<String>,
}

/// What came of it so far.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sum {
    dry_run: bool,
    accounts: u64,
    changed: u64,
    jobs: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Sum {
    /// Each part of a file says the same of its lines: once is enough.
    fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            if !self.warnings.contains(warning) {
                self.warnings.push(warning.clone());
            }
        }
    }
}

pub(super) async fn import(command: &Import) -> Result<Outcome> {
    let Import {
        file,
        wanted,
        how,
        place,
    } = command;
    let text = list::read(file)?;
    let lines = list::lines(&text, &wanted.patch()?).with_context(|| file.display().to_string())?;
    ensure!(!lines.is_empty(), "{} names no account", file.display());
    let keep = match Keep::from(how.keep) {
        Keep::OwnChoices => "OwnChoices",
        Keep::Nothing => "Nothing",
    };
    let path = format!(
        "{}&keep={keep}&dryRun={}&who={}&why={}",
        path_of(place, ""),
        how.dry_run,
        escape(&user()),
        escape(&how.why)
    );
    let mut sum = Sum {
        dry_run: how.dry_run,
        ..Sum::default()
    };
    send(place, &path, &lines, &mut sum).await?;
    tell(place, &sum)
}

pub(super) async fn bulk(command: &Bulk) -> Result<Outcome> {
    let Bulk { wanted, how, place } = command;
    let How { dry_run, keep, why } = how;
    let body = json!({
        "settings": wanted.some_patch()?,
        "keep": Keep::from(*keep),
        "dryRun": dry_run,
        "who": user(),
        "why": why,
    });
    let server = place.server()?;
    let path = path_of(place, "");
    let sent = server.send(Method::POST, &path, Some(&body));
    let begun: Job = sent.await?.context(WITHOUT_STORE)?;
    let mut sum = Sum {
        dry_run: *dry_run,
        ..Sum::default()
    };
    follow(place, begun, &mut sum, None).await?;
    tell(place, &sum)
}

/// Sends all parts, and waits until they are over.
async fn send(place: &Place, path: &str, lines: &[String], sum: &mut Sum) -> Result<()> {
    let server = place.server()?;
    let total = lines.len() as u64;
    let mut sent: VecDeque<Job> = VecDeque::new();
    for (part, before) in lines.chunks(PART).zip((0..).step_by(PART)) {
        if sent.len() == AHEAD
            && let Some(oldest) = sent.pop_front()
        {
            let followed = follow(place, oldest, sum, Some(total)).await;
            followed.with_context(|| unsent(before, total))?;
        }
        let begun = loop {
            progress::show(&format!("{before} of {total} accounts sent"));
            let sending = server.send_lines(path, part.concat()).await;
            progress::clear();
            let is_busy = sending.as_ref().is_err_and(|error| error.is::<Busy>());
            // Others took the places meanwhile: there is one more when one of ours is over.
            let Some(oldest) = sent.pop_front_if(|_| is_busy) else {
                break sending.and_then(|begun| begun.context(WITHOUT_STORE));
            };
            let followed = follow(place, oldest, sum, Some(total)).await;
            followed.with_context(|| unsent(before, total))?;
        };
        sent.push_back(begun.with_context(|| unsent(before, total))?);
    }
    while let Some(oldest) = sent.pop_front() {
        let followed = follow(place, oldest, sum, Some(total)).await;
        followed.map_err(|error| with_others(error, sent.len()))?;
    }
    Ok(())
}

/// A path of changes of many; a query can follow.
fn path_of(place: &Place, which: &str) -> String {
    let namespace = escape(&place.namespace);
    format!("/v1/settings/bulk{which}?namespace={namespace}")
}

/// What is to be known where not all could be sent.
fn unsent(before: usize, total: u64) -> String {
    match before {
        0 => "the accounts could not be sent".to_owned(),
        _ => format!(
            "only the first {before} of {total} accounts were sent; what `sekisho account settings jobs` lists of them goes on"
        ),
    }
}

/// What becomes of the parts after one that did not go well.
fn with_others(error: anyhow::Error, count: usize) -> anyhow::Error {
    match count {
        0 => error,
        _ => error.context(format!(
            "{count} more parts go on there; `sekisho account settings jobs` lists them, and `cancel` ends them"
        )),
    }
}

/// Waits until it is over, and says how far it is where somebody looks on. `of` are all that there are, in all parts.
async fn follow(place: &Place, begun: Job, sum: &mut Sum, of: Option<u64>) -> Result<()> {
    let server = place.server()?;
    let path = path_of(place, &format!("/{}", begun.id));
    sum.warn(&begun.warnings);
    let mut job = begun;
    while matches!(job.state.as_str(), "Running" | "Loading") {
        let (done, total) = (sum.accounts + job.done, of.unwrap_or(job.total));
        progress::show(&format!("{done} of {total} accounts"));
        sleep(ASK_EVERY).await;
        let asked = server.fetch(&path).await;
        let id = job.id;
        let gone =
            || format!("the change {id} goes on there; `sekisho account settings jobs` lists it");
        job = asked.with_context(gone)?.with_context(gone)?;
    }
    progress::clear();
    sum.accounts += job.done;
    sum.changed += job.changed;
    sum.jobs.push(job.id);
    match job.state.as_str() {
        "Done" => Ok(()),
        "Cancelled" => bail!("the change {} was cancelled: {}", job.id, far(&job)),
        _ => bail!(
            "the change {} cannot go on: {}; {}",
            job.id,
            visible(&job.trouble),
            far(&job)
        ),
    }
}

fn far(job: &Job) -> String {
    let verb = if job.dry_run {
        "would change"
    } else {
        "changed"
    };
    format!(
        "{} of {} accounts looked at, {} {verb}",
        job.done, job.total, job.changed
    )
}

fn tell(place: &Place, sum: &Sum) -> Result<Outcome> {
    let mut text = match place.format {
        OutputFormat::Json => format!("{}\n", serde_json::to_string_pretty(sum)?),
        OutputFormat::Text if sum.dry_run => {
            format!(
                "{} of {} accounts would change\n",
                sum.changed, sum.accounts
            )
        }
        OutputFormat::Text => format!("{} of {} accounts changed\n", sum.changed, sum.accounts),
    };
    if place.format == OutputFormat::Text {
        for warning in &sum.warnings {
            text.push_str(&format!("warning: {}\n", visible(warning)));
        }
    }
    output::print(&text)?;
    Ok(Outcome::Done)
}

pub(super) async fn jobs(place: &Place) -> Result<Outcome> {
    let server = place.server()?;
    let answer: Value = server
        .fetch(&path_of(place, ""))
        .await?
        .context(WITHOUT_STORE)?;
    if place.format == OutputFormat::Json {
        output::print(&format!("{}\n", serde_json::to_string_pretty(&answer)?))?;
        return Ok(Outcome::Done);
    }
    let jobs: Vec<Job> = serde_json::from_value(answer["jobs"].clone())?;
    if jobs.is_empty() {
        output::print("no change of many was begun\n")?;
    }
    for job in &jobs {
        output::print(&line_of(job))?;
    }
    Ok(Outcome::Done)
}

fn line_of(job: &Job) -> String {
    let mut text = format!(
        "{}  {:<9}  {}, by {}: {}\n",
        job.id,
        visible(&job.state),
        far(job),
        visible(&job.who),
        visible(&job.why)
    );
    if !job.trouble.is_empty() {
        text.push_str(&format!("    {}\n", visible(&job.trouble)));
    }
    text
}

pub(super) async fn cancel(command: &Cancel) -> Result<Outcome> {
    let place = &command.place;
    let server = place.server()?;
    let mut outcome = Outcome::Done;
    for job in &command.jobs {
        let path = path_of(place, &format!("/{job}"));
        let cancelled: Option<Job> = server.send(Method::DELETE, &path, None).await?;
        match cancelled {
            Some(job) => output::print(&line_of(&job))?,
            None => {
                let namespace = &place.namespace;
                output::print(&format!(
                    "there is no change {job} in the namespace {namespace}\n"
                ))?;
                outcome = Outcome::Idle;
            }
        }
    }
    Ok(outcome)
}
