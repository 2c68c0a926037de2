//! `queued`: what next hops called the account's recent messages.

use std::collections::HashSet;

use anyhow::{Context as _, Result};
use sekisho_policy::record::{End, Hop, Record};
use sekisho_policy::{Account, DecisionId, Timestamp};
use sekisho_runtime::Clock;
use serde::Deserialize;
use serde_json::{Value, json};

use super::path::escape;
use super::{Queued, queue_id};
use crate::Outcome;
use crate::args::OutputFormat;
use crate::explain::when::utc;
use crate::output::{self, visible};
use crate::server::Server;

/// Records that are asked for at once, and the most that are looked at.
const PAGE: usize = 100;
const MOST: usize = 20_000;
/// So much is shown of a reply in which there is no id.
const LONGEST_REPLY: usize = 120;

/// One message that a next hop took, or may have taken.
#[derive(Debug)]
struct Taken {
    at: Timestamp,
    record: DecisionId,
    hop: Hop,
    outcome: &'static str,
}

pub(super) async fn list(command: &Queued) -> Result<Outcome> {
    let server = command.whose.server()?;
    let now = Timestamp(Clock::system().now_ms());
    let since = Timestamp(now.0.saturating_sub(command.since.0));
    let account = command.whose.name();
    let records = fetch(&server, account.as_str(), since).await?;
    if records.len() >= MOST {
        warn(&format!(
            "only the newest {MOST} records were looked at; there may be more"
        ));
    }
    let taken: Vec<Taken> = records
        .into_iter()
        .filter(|record| is_of(record, &command.whose.place.namespace, &account))
        .filter_map(taken)
        .filter(|taken| is_meant(command, &taken.hop))
        .collect();
    if taken.is_empty() {
        warn("no next hop took a message of this account in that time");
    }
    match (command.whose.place.format, command.ids) {
        (OutputFormat::Json, _) => output::print(&as_json(&taken)?)?,
        (OutputFormat::Text, true) => print_ids(&taken)?,
        (OutputFormat::Text, false) => {
            let lines: String = taken.iter().map(line).collect();
            output::print(&lines)?;
        }
    }
    Ok(match taken.as_slice() {
        [] => Outcome::Idle,
        _ => Outcome::Done,
    })
}

#[derive(Debug, Deserialize)]
struct Records {
    records: Vec<Record>,
}

/// All of them, page by page, the newest first. Pages overlap where many are of the same millisecond.
async fn fetch(server: &Server, account: &str, since: Timestamp) -> Result<Vec<Record>> {
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    let mut until: Option<Timestamp> = None;
    loop {
        let mut path = format!(
            "/v1/records?account={}&since={}&limit={PAGE}",
            escape(account),
            since.0
        );
        if let Some(until) = until {
            path.push_str(&format!("&until={}", until.0));
        }
        let page: Records = server
            .fetch(&path)
            .await?
            .context("that process keeps no records: a control plane needs --store")?;
        let is_last = page.records.len() < PAGE;
        let oldest = page.records.last().map(|record| record.at);
        let before = all.len();
        all.extend(
            page.records
                .into_iter()
                .filter(|record| seen.insert(record.id)),
        );
        if is_last || all.len() >= MOST {
            return Ok(all);
        }
        // A page of nothing but what was seen: the millisecond has more records than a page.
        let stuck = all.len() == before;
        until = oldest.map(|oldest| Timestamp(oldest.0.saturating_sub(u64::from(stuck))));
    }
}

/// The same name may be another's in another namespace, and others may have claimed to be this account before they sent as
/// themselves.
fn is_of(record: &Record, namespace: &str, account: &Account) -> bool {
    record.gateway.namespace == namespace && record.account.as_ref() == Some(account)
}

fn taken(record: Record) -> Option<Taken> {
    let (hop, outcome) = match record.end {
        End::Delivered(hop) => (hop, "taken"),
        End::Uncertain(hop) => (hop, "outcome unknown"),
        End::RefusedByPolicy { .. }
        | End::RefusedByNextHop { .. }
        | End::Failed { .. }
        | End::Abandoned
        | End::Noted => return None,
    };
    Some(Taken {
        at: record.at,
        record: record.id,
        hop,
        outcome,
    })
}

fn is_meant(command: &Queued, hop: &Hop) -> bool {
    let Some(wanted) = command.hop.as_deref() else {
        return true;
    };
    let names = [
        hop.pool.as_deref(),
        hop.member.as_deref(),
        Some(hop.address.as_str()),
    ];
    names.into_iter().flatten().any(|name| name == wanted)
}

fn print_ids(taken: &[Taken]) -> Result<()> {
    let ids: Vec<_> = taken
        .iter()
        .filter_map(|taken| queue_id::find(&taken.hop.reply))
        .collect();
    let without = taken.len() - ids.len();
    if without > 0 {
        warn(&format!(
            "{without} messages have no queue id that could be read; without --ids their replies are shown"
        ));
    }
    let lines: String = ids.iter().map(|id| format!("{id}\n")).collect();
    output::print(&lines)
}

fn line(taken: &Taken) -> String {
    let name = match queue_id::find(&taken.hop.reply) {
        Some(id) => id.to_owned(),
        None => format!("({})", short(&taken.hop.reply)),
    };
    let pool = taken
        .hop
        .pool
        .as_deref()
        .map_or_else(String::new, |pool| format!(", pool {pool}"));
    format!(
        "{}  {:<24}  {}  {}{}\n",
        utc(taken.at),
        name,
        taken.record,
        visible(&taken.hop.address),
        visible(&pool),
    )
}

fn as_json(taken: &[Taken]) -> Result<String> {
    let messages: Vec<Value> = taken
        .iter()
        .map(|taken| {
            json!({
                "at": taken.at,
                "record": taken.record,
                "queueId": queue_id::find(&taken.hop.reply),
                "reply": short(&taken.hop.reply),
                "outcome": taken.outcome,
                "pool": taken.hop.pool,
                "member": taken.hop.member,
                "address": taken.hop.address,
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "messages": messages }))?;
    Ok(format!("{text}\n"))
}

/// As much of a reply as a line holds, with nothing in it that a terminal would obey.
fn short(reply: &str) -> String {
    let plain = visible(reply);
    let mut short: String = plain.chars().take(LONGEST_REPLY).collect();
    if short.len() < plain.len() {
        short.push('…');
    }
    short
}

/// What is no result, beside it.
#[expect(clippy::print_stderr, reason = "what is printed goes into a pipe")]
pub(super) fn warn(text: &str) {
    eprintln!("sekisho: {text}");
}
