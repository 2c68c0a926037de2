//! A record of the ledger, explained.

use anyhow::{Context as _, Result};
use sekisho_policy::record::{End, Hop, Record};
use sekisho_policy::{DecisionId, Envelope, Ruleset};
use serde_json::json;

use super::layout::{Ids, Layout, line};
use super::when::utc;
use super::{open_to_read, replay};
use crate::args::{Explain, OutputFormat};
use crate::output::{self, Ink, Palette, visible};
use crate::server::Server;

pub(super) async fn explain(command: &Explain, id: DecisionId) -> Result<()> {
    let (record, envelope) = match &command.url {
        Some(url) => from_server(&Server::at(url, command.token_file.as_deref())?, id).await?,
        None => from_ledger(command, id).await?,
    };
    let rules = envelope
        .as_ref()
        .and_then(|envelope| match Ruleset::load(envelope) {
            Ok(rules) => Some(rules),
            Err(error) => {
                tracing::warn!(%error, "the rules of that time cannot be read by this version");
                None
            }
        });
    let text = match command.format {
        OutputFormat::Text => text(&record, id, rules.as_ref(), Palette::of_stdout()),
        OutputFormat::Json => json(&record, rules.as_ref())?,
    };
    output::print(&text)
}

async fn from_ledger(command: &Explain, id: DecisionId) -> Result<(Record, Option<Envelope>)> {
    let store = open_to_read(&command.state).await?;
    let record = store.record(id).await?.with_context(|| unknown(id))?.record;
    let envelope = store.snapshot(&record.digest).await?;
    Ok((record, envelope))
}

async fn from_server(server: &Server, id: DecisionId) -> Result<(Record, Option<Envelope>)> {
    let record: Record = server
        .fetch(&format!("/v1/records/{id}"))
        .await?
        .with_context(|| unknown(id))?;
    let envelope = server
        .fetch(&format!("/v1/snapshots/{}", record.digest))
        .await?;
    Ok((record, envelope))
}

fn unknown(id: DecisionId) -> String {
    format!(
        "no record of {id}: it was never written, its time in the ledger is over, or it is in another ledger"
    )
}

fn text(record: &Record, id: DecisionId, rules: Option<&Ruleset>, palette: Palette) -> String {
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "{}  {}",
            palette.paint(Ink::Strong, &id.to_string()),
            ended(record, palette)
        ),
    );
    if record.id != id {
        line(
            &mut text,
            format_args!("a decision within the transaction {}", record.id),
        );
    }
    line(&mut text, format_args!(""));
    for (name, value) in facts(record) {
        line(&mut text, format_args!("{name:<9}  {}", visible(&value)));
    }
    if rules.is_none() {
        let note = "The rules of that time are not kept any more: only those that said something are shown.";
        line(
            &mut text,
            format_args!("{}", palette.paint(Ink::Warning, note)),
        );
    }
    let layout = Layout {
        palette,
        rules,
        began: record.at,
        ids: Ids::Shown,
    };
    for (index, step) in record.steps.iter().enumerate() {
        line(&mut text, format_args!(""));
        text.push_str(&layout.step(index + 1, step));
    }
    if record.steps_left_out > 0 {
        line(
            &mut text,
            format_args!(
                "\n{} further steps, mostly accepted recipients, were not kept.",
                record.steps_left_out
            ),
        );
    }
    text
}

fn ended(record: &Record, palette: Palette) -> String {
    let (ink, text) = match &record.end {
        End::Delivered(_) => (Ink::Good, "taken by the next hop"),
        End::RefusedByPolicy { .. } => (Ink::Bad, "refused by policy"),
        End::RefusedByNextHop { .. } => (Ink::Bad, "refused by the next hop"),
        End::Uncertain(_) => (
            Ink::Warning,
            "sent, outcome unknown: it may have been delivered",
        ),
        End::Failed { .. } => (Ink::Bad, "failed by something of ours"),
        End::Abandoned => (Ink::Quiet, "given up by the client"),
        End::Noted => (
            Ink::Warning,
            "nothing was refused; what follows from it is below",
        ),
    };
    palette.paint(ink, text)
}

fn facts(record: &Record) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        (
            "when",
            format!("{}, took {} ms", utc(record.at), record.took.0),
        ),
        (
            "gateway",
            format!(
                "{}, generation {}, digest {:.12}",
                record.gateway, record.generation, record.digest
            ),
        ),
        (
            "account",
            record
                .account
                .as_ref()
                .map_or_else(|| "none".to_owned(), ToString::to_string),
        ),
        ("source", source(record)),
        ("class", format!("{:?}", record.class)),
    ];
    match &record.end {
        End::Delivered(hop) | End::Uncertain(hop) => facts.extend(way(hop)),
        End::RefusedByPolicy { reply } => facts.push(("reply", reply.clone())),
        End::RefusedByNextHop { hop, reply } => {
            facts.extend(way(hop));
            facts.push(("reply", reply.clone()));
        }
        End::Failed { why, reply } => {
            facts.extend([("why", why.clone()), ("reply", reply.clone())])
        }
        End::Abandoned | End::Noted => {}
    }
    facts
}

fn source(record: &Record) -> String {
    let Some(session) = record.steps.last().map(|step| &step.event.session) else {
        return record.source.to_string();
    };
    let country = session.source.country.map_or_else(
        || "country unknown".to_owned(),
        |country| format!("{country:?}"),
    );
    let asn = session
        .source
        .asn
        .map(|asn| format!(", AS{asn}"))
        .unwrap_or_default();
    let helo = session
        .helo
        .as_deref()
        .map(|helo| format!(", EHLO {helo}"))
        .unwrap_or_default();
    format!(
        "{} ({country}{asn}), listener {}, TLS {:?}{helo}",
        record.source, session.listener, session.tls
    )
}

fn way(hop: &Hop) -> [(&'static str, String); 2] {
    let member = hop
        .member
        .as_deref()
        .map(|member| format!(", member {member}"))
        .unwrap_or_default();
    let pool = hop.pool.as_deref().map_or_else(
        || "the gateway's upstream".to_owned(),
        |pool| format!("pool {pool}{member}"),
    );
    let from = hop
        .from
        .map(|from| format!(" from {from}"))
        .unwrap_or_default();
    [
        ("next hop", format!("{pool}, to {}{from}", hop.address)),
        ("it said", hop.reply.clone()),
    ]
}

fn json(record: &Record, rules: Option<&Ruleset>) -> Result<String> {
    let steps: Vec<_> = record
        .steps
        .iter()
        .map(|step| {
            json!({
                "decision": step.event.id,
                "rules": replay::rules(rules, step),
                "replay": rules.map(|rules| replay::agreement(rules, step)),
            })
        })
        .collect();
    Ok(format!(
        "{}\n",
        serde_json::to_string_pretty(&json!({ "record": record, "steps": steps }))?
    ))
}
