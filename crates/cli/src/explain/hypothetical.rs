//! What would become of a message that was never sent.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use sekisho_counters::{Counters, Limits};
use sekisho_policy::event::{ConfigState, Event, Stage};
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::{Member, Pool};
use sekisho_policy::{Account, Class, Envelope, Restriction, Route, Ruleset, Settings, Timestamp};
use sekisho_proxy::Dns;
use sekisho_runtime::{Clock, Metrics};
use sekisho_store::AccountStates;
use serde::Serialize;
use serde_json::json;

use super::layout::{Ids, Layout, line, reply_text};
use super::replay;
use crate::args::{Explain, Hypothetical, OutputFormat, Rules};
use crate::objects::Compiled;
use crate::output::{self, Ink, Palette, visible};
use crate::simulate::{
    Client, Lookups, Message, Session, Submission, Tallies, World, address, listener, lookup,
    source_of,
};
use crate::up::last_good;

/// How it would end.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    class: Class,
    /// Recipients that would be taken, and all.
    recipients: (usize, usize),
    /// The reply that would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// The pool that it would leave by; neither this nor `refused` means the gateway's upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    /// The ways out that it could take.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ways: Vec<String>,
    content_engines: ContentEngines,
}

/// Whether something that would have a say was left out. Content engines are other people's programs, whose memory and
/// statistics a message that was never sent has no place in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
enum ContentEngines {
    /// The policy has none.
    #[default]
    None,
    NotAsked,
}

pub(super) async fn explain(command: &Explain, from: &Rules) -> Result<()> {
    let asked = &command.hypothetical;
    let envelope = gateway(from, asked.gateway.as_deref())?;
    let rules = Ruleset::load(&envelope)?;
    let listener = listener(&envelope.snapshot, asked.listener.as_deref())?;
    let source = asked
        .source
        .context("say where it comes from with --source")?;
    let at = asked
        .at
        .map_or_else(|| Timestamp(Clock::system().now_ms()), Timestamp);
    let place = lookup(&envelope.snapshot)?.lookup(source);
    let client = Client {
        listener,
        source: source_of(source, place),
        helo: &asked.helo,
        before_greeting: sekisho_policy::event::BeforeGreeting::Silent,
        at,
    };
    let dns = Dns::system(Metrics::new())?;
    let counters = Counters::memory(Limits::default());
    let world = World {
        rules: &rules,
        tallies: Tallies::Counters(&counters),
        lookups: Lookups::Dns(&dns),
        config: ConfigState::Current,
    };
    let Known {
        restrictions,
        settings,
    } = known(from, asked, &rules, at).await?;
    let session = Session::new(world, &client).set(settings);
    let mut session = session.restricted(restrictions);
    submit(&mut session, asked, &rules).await?;
    let outcome = outcome(&rules, session.steps());
    let text = match command.format {
        OutputFormat::Text => text(&envelope, &client, &rules, session.steps(), &outcome),
        OutputFormat::Json => json(&rules, session.steps(), &outcome)?,
    };
    output::print(&text)
}

/// What is known of the account, where a state folder says so.
#[derive(Debug, Default)]
struct Known {
    /// What restricts it.
    restrictions: Vec<Restriction>,
    /// What it has set.
    settings: Settings,
}

async fn known(
    from: &Rules,
    asked: &Hypothetical,
    rules: &Ruleset,
    at: Timestamp,
) -> Result<Known> {
    let (Rules::InForce(state), Some(login)) = (from, &asked.account) else {
        return Ok(Known::default());
    };
    if !crate::ledger::path(state).exists() {
        return Ok(Known::default());
    }
    let gateway = rules.gateway();
    let account = Account::canonical(login, gateway.authentication.default_domain.as_deref());
    let store = super::open_to_read(state).await?;
    let states = AccountStates::in_ledger(&store);
    let namespace = &gateway.object.namespace;
    let restrictions = states.restrictions(namespace, &account, at).await?;
    let stored = states.settings().settings(namespace, &account).await?;
    Ok(Known {
        restrictions,
        settings: stored.map_or(Settings::None, |stored| {
            Settings::Own(Arc::new(stored.settings))
        }),
    })
}

fn gateway(from: &Rules, wanted: Option<&str>) -> Result<Envelope> {
    let (place, mut envelopes) = match from {
        Rules::Files(objects) => (objects, Compiled::read(objects).envelopes()),
        Rules::InForce(state) => (state, last_good(state)),
    };
    let name = |envelope: &Envelope| {
        let object = &envelope.snapshot.gateway.object;
        (
            object.name.clone(),
            format!("{}/{}", object.namespace, object.name),
        )
    };
    if let Some(wanted) = wanted {
        envelopes.retain(|envelope| name(envelope).0 == wanted || name(envelope).1 == wanted);
        ensure!(
            !envelopes.is_empty(),
            "{} has no gateway {wanted}",
            place.display()
        );
    }
    if envelopes.len() > 1 {
        let names: Vec<_> = envelopes.iter().map(|envelope| name(envelope).1).collect();
        bail!("say which gateway with --gateway: {}", names.join(", "));
    }
    envelopes.pop().with_context(|| {
        format!(
            "{} has no gateway with valid rules; `sekisho lint DIR` says why",
            place.display()
        )
    })
}

/// Goes through the session as a client would, until something refuses it.
async fn submit(session: &mut Session<'_>, asked: &Hypothetical, rules: &Ruleset) -> Result<()> {
    let login = asked
        .account
        .as_deref()
        .context("say who sends with --account")?;
    let account = Account::canonical(
        login,
        rules.gateway().authentication.default_domain.as_deref(),
    );
    let sender = match asked.sender.as_deref() {
        None => Some(
            address(account.as_str())
                .with_context(|| format!("{account} is no address; say --sender"))?,
        ),
        Some("" | "<>") => None,
        Some(sender) => Some(address(sender)?),
    };
    let recipients = asked
        .recipients
        .iter()
        .map(|recipient| address(recipient))
        .collect::<Result<Vec<_>>>()?;
    ensure!(!recipients.is_empty(), "say whom it is for with --rcpt");
    let message = match &asked.message {
        Some(path) => Message::read(path)?,
        None => Message::empty(account.as_str()),
    };
    if session.connect().await && session.log_in(&account).await {
        let submission = Submission {
            sender,
            recipients,
            message: &message,
        };
        session.send(submission).await;
    }
    Ok(())
}

fn outcome(rules: &Ruleset, steps: &[Step]) -> Outcome {
    // There is always the connection.
    let mut outcome = Outcome::default();
    if !rules.engines().is_empty() {
        outcome.content_engines = ContentEngines::NotAsked;
    }
    let Some(last) = steps.last() else {
        return outcome;
    };
    let asked = || {
        steps
            .iter()
            .filter(|step| matches!(step.event.stage, Stage::Rcpt { .. }))
    };
    outcome.class = last.decision.class;
    outcome.recipients = (
        asked()
            .filter(|step| step.decision.verdict.refusal().is_none())
            .count(),
        asked().count(),
    );
    if let Some(refusal) = last.decision.verdict.refusal() {
        outcome.refused = Some(reply_text(refusal));
        return outcome;
    }
    match rules.route(&last.event, outcome.class) {
        Route::Reject => outcome.refused = Some("by its class".to_owned()),
        Route::Upstream => {
            outcome.ways = rules
                .gateway()
                .upstream
                .endpoints
                .iter()
                .map(|endpoint| endpoint.address.to_string())
                .collect()
        }
        Route::Pool { name, pool } => {
            outcome.pool = Some(name.to_string());
            outcome.ways = ways(pool, rules);
        }
    }
    outcome
}

fn ways(pool: &Pool, rules: &Ruleset) -> Vec<String> {
    pool.members
        .iter()
        .filter(|member| member.weight > 0)
        .map(|member| way(member, rules))
        .collect()
}

fn way(member: &Member, rules: &Ruleset) -> String {
    let mut way = format!("member {}", member.name);
    if let Some(source) = member.source_address {
        let _ = write!(way, ", from {source}");
    }
    let to = match &member.relay {
        Some(relay) => relay.address.to_string(),
        None => rules
            .gateway()
            .upstream
            .endpoints
            .iter()
            .map(|endpoint| endpoint.address.to_string())
            .collect::<Vec<_>>()
            .join(" or "),
    };
    let _ = write!(way, ", to {to}, weight {}", member.weight);
    way
}

fn text(
    envelope: &Envelope,
    client: &Client<'_>,
    rules: &Ruleset,
    steps: &[Step],
    outcome: &Outcome,
) -> String {
    let palette = Palette::of_stdout();
    let mut text = String::new();
    let country = client
        .source
        .country
        .map_or_else(|| "unknown".to_owned(), |country| format!("{country:?}"));
    let asn = client
        .source
        .asn
        .map(|asn| format!(", AS{asn}"))
        .unwrap_or_default();
    let gateway = &envelope.snapshot.gateway.object;
    let not_asked = match outcome.content_engines {
        ContentEngines::None => "",
        ContentEngines::NotAsked => "; content engines are not asked",
    };
    line(
        &mut text,
        format_args!(
            "If it came to {gateway}, listener {}, from {} (country {country}{asn}), with all counters at zero and the right password{not_asked}:",
            client.listener.name, client.source.ip
        ),
    );
    let layout = Layout {
        palette,
        rules: Some(rules),
        began: client.at,
        ids: Ids::Hidden,
    };
    for (index, step) in steps.iter().enumerate() {
        line(&mut text, format_args!(""));
        text.push_str(&layout.step(index + 1, step));
    }
    line(&mut text, format_args!("\n{}", ending(outcome, palette)));
    for way in &outcome.ways {
        line(&mut text, format_args!("  {}", visible(way)));
    }
    text
}

fn ending(outcome: &Outcome, palette: Palette) -> String {
    let Outcome {
        class,
        recipients: (taken, all),
        refused,
        pool,
        content_engines,
        ..
    } = outcome;
    let unless = match content_engines {
        ContentEngines::None => "",
        ContentEngines::NotAsked => ", unless a content engine objects",
    };
    let whom = if taken == all {
        String::new()
    } else {
        format!(" for {taken} of {all} recipients")
    };
    match (refused, pool) {
        (Some(reply), _) => palette.paint(
            Ink::Bad,
            &format!("It would be refused: {}", visible(reply)),
        ),
        (None, Some(pool)) => palette.paint(
            Ink::Good,
            &format!("It would leave by the pool {pool}{whom}, as {class:?}{unless}:"),
        ),
        (None, None) => palette.paint(
            Ink::Good,
            &format!("It would go to the gateway's upstream{whom}, as {class:?}{unless}:"),
        ),
    }
}

fn json(rules: &Ruleset, steps: &[Step], outcome: &Outcome) -> Result<String> {
    let steps: Vec<_> = steps
        .iter()
        .map(|step| json!({ "event": event(&step.event), "rules": replay::rules(Some(rules), step), "ops": step.ops, "answers": step.answers, "decision": step.decision }))
        .collect();
    Ok(format!(
        "{}\n",
        serde_json::to_string_pretty(&json!({ "steps": steps, "outcome": outcome }))?
    ))
}

fn event(event: &Event) -> serde_json::Value {
    json!({ "stage": event.stage, "session": event.session, "account": event.account, "transaction": event.transaction })
}
