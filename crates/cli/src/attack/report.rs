//! What is printed before and after the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use sekisho_policy::Opinion;
use sekisho_policy::snapshot::{Engine, EngineProtocol, RuleSpec, Snapshot};

use super::outcome::{Outcome, Outcomes, RuleEffect};
use super::run::{Message, Party, Traffic};
use super::scenario::Scenario;
use super::texts::Texts;
use super::{Running, Target};
use crate::output::{Ink, Palette, visible};

/// What is about to happen.
pub(super) fn opening(
    running: &Running,
    target: &Target<'_>,
    scenario: &Scenario,
    texts: &Texts,
) -> String {
    let mut text = format!(
        "Sekisho {} at {}: {} honest senders at home, and {}, stolen, used from {} addresses in {} countries.\nSent are {}.\n",
        visible(&running.version),
        target.address,
        scenario.honest.len(),
        visible(&scenario.stolen.name),
        scenario.bots.len(),
        scenario.countries.len(),
        texts.origin
    );
    if asks_reverse_names(target.snapshot) {
        text.push_str("The gateway may ask DNS for the reverse names of these addresses.\n");
    }
    let earlier = running.transactions.total();
    if earlier > 0 {
        let _ = writeln!(
            text,
            "The gateway has seen {earlier} transactions since its start, and their counters still count, for honest senders too: a restart of `sekisho up` (`make run`) clears them."
        );
    }
    text
}

/// Whether some rule exempts clients by their reverse names.
fn asks_reverse_names(snapshot: &Snapshot) -> bool {
    snapshot.rules.iter().any(|rule| match &rule.spec {
        RuleSpec::CountryRule(country) => !country.exempt.reverse_names.is_empty(),
        _ => false,
    })
}

/// What happened.
pub(super) fn closing(
    snapshot: &Snapshot,
    scenario: &Scenario,
    traffic: &Traffic,
    outcomes: &Outcomes,
) -> String {
    let palette = Palette::of_stdout();
    let by = |who| {
        let messages: Vec<&Message> = traffic
            .messages
            .iter()
            .filter(|message| message.by == who)
            .collect();
        Side::weigh(&messages, outcomes)
    };
    let (honest, owner) = (by(Party::Honest), by(Party::Owner));
    let attacker = by(Party::Attacker);
    let sides = [&honest, &owner, &attacker];
    let mut text = String::new();
    let _ = writeln!(text, "\n{}", palette.paint(Ink::Strong, &heading(&sides)));
    for (name, side) in ["honest", "its owner", "stolen account"]
        .into_iter()
        .zip(sides)
    {
        let _ = writeln!(text, "{}", side.row(name, &sides));
    }
    let _ = writeln!(
        text,
        "\n{}",
        palette.paint(
            Ink::Strong,
            &format!("What was done to {}", visible(&scenario.stolen.name))
        )
    );
    attacker.list_effects(&mut text);
    first_refusal(&mut text, traffic);
    held_up(&mut text, &scenario.stolen.name, &owner);
    false_positives(&mut text, palette, &honest);
    let _ = writeln!(text, "{}", judges(snapshot, outcomes));
    if traffic.broken > 0 {
        let _ = writeln!(text, "{} sessions broke without an answer.", traffic.broken);
    }
    text
}

/// One side of the run, added up.
#[derive(Debug, Default)]
struct Side {
    messages: usize,
    /// Delivered messages by pool.
    pools: BTreeMap<String, usize>,
    deferred: usize,
    refused: usize,
    recipients: usize,
    reached: usize,
    /// Delivered messages whose class some rule made worse.
    worsened: usize,
    /// Messages by what a rule did to them.
    effects: BTreeMap<(RuleEffect, String), usize>,
}

impl Side {
    fn weigh(messages: &[&Message], outcomes: &Outcomes) -> Self {
        let mut side = Self::default();
        for message in messages {
            side.messages += 1;
            side.recipients += message.recipients;
            side.reached += message.answer.reached;
            let outcome = message.answer.id.and_then(|id| outcomes.get(&id));
            match message.answer.code {
                ..400 => {
                    let pool = outcome.and_then(|outcome| outcome.pool.clone());
                    *side
                        .pools
                        .entry(pool.unwrap_or_else(|| "not in the ledger".into()))
                        .or_default() += 1;
                    if outcome.is_some_and(Outcome::is_worsened) {
                        side.worsened += 1;
                    }
                }
                400..500 => side.deferred += 1,
                _ => side.refused += 1,
            }
            let held_back = message.answer.held_back.and_then(|id| outcomes.get(&id));
            let effects: BTreeSet<_> = [outcome, held_back]
                .into_iter()
                .flatten()
                .flat_map(|outcome: &Outcome| &outcome.effects)
                .collect();
            for effect in effects {
                *side.effects.entry(effect.clone()).or_default() += 1;
            }
        }
        side
    }

    fn row(&self, name: &str, sides: &[&Self]) -> String {
        let mut row = format!("{name:<16}{:>9}", self.messages);
        for pool in pools(sides) {
            let count = self.pools.get(pool).copied().unwrap_or_default();
            let _ = write!(row, "{count:>width$}", width = column(pool));
        }
        let _ = write!(
            row,
            "{:>10}{:>9}{:>14}",
            self.deferred,
            self.refused,
            format!("{} of {}", self.reached, self.recipients)
        );
        row
    }

    fn list_effects(&self, text: &mut String) {
        if self.effects.is_empty() {
            let _ = writeln!(text, "nothing");
        }
        for ((effect, rule), count) in &self.effects {
            let effect = match effect {
                RuleEffect::Deferred => "deferred",
                RuleEffect::Refused => "refused",
                RuleEffect::Worsened => "worsened the class of",
            };
            let _ = writeln!(text, "{} {effect} {count}", visible(rule));
        }
    }
}

/// The pools of all sides, in order.
fn pools<'a>(sides: &[&'a Side]) -> BTreeSet<&'a str> {
    let names = sides.iter().flat_map(|side| side.pools.keys());
    names.map(String::as_str).collect()
}

fn column(pool: &str) -> usize {
    pool.chars().count() + 5
}

fn heading(sides: &[&Side]) -> String {
    let mut heading = format!("{:<16}{:>9}", "messages", "sent");
    for pool in pools(sides) {
        let _ = write!(
            heading,
            "{:>width$}",
            format!("by {}", visible(pool)),
            width = column(pool)
        );
    }
    let _ = write!(
        heading,
        "{:>10}{:>9}{:>14}",
        "deferred", "refused", "recipients"
    );
    heading
}

fn first_refusal(text: &mut String, traffic: &Traffic) {
    let mut attacker: Vec<&Message> = traffic
        .messages
        .iter()
        .filter(|message| message.by == Party::Attacker)
        .collect();
    attacker.sort_by_key(|message| message.after);
    let stopped =
        |message: &&&Message| message.answer.code >= 400 || message.answer.held_back.is_some();
    let Some(first) = attacker.iter().find(stopped) else {
        let _ = writeln!(text, "\nNothing was refused to the attacker.");
        return;
    };
    let reached: usize = attacker
        .iter()
        .filter(|message| message.after < first.after)
        .map(|message| message.answer.reached)
        .sum();
    let last_taken = attacker.iter().rfind(|message| message.answer.code < 400);
    let _ = writeln!(
        text,
        "\nThe first refusal came {} after the attacker's first connection; {reached} recipients had been reached before.",
        seconds(first.after)
    );
    if let Some(last) = last_taken {
        let _ = writeln!(
            text,
            "The last message was taken from the attacker {} after it.",
            seconds(last.after)
        );
    }
}

/// What is done to a stolen account is done to its owner.
fn held_up(text: &mut String, name: &str, owner: &Side) {
    let stopped = owner.deferred + owner.refused;
    let _ = writeln!(
        text,
        "Of the {} messages that {} wrote, {stopped} were held up with the attacker's, and {} left as suspect or spam.",
        owner.messages,
        visible(name),
        owner.worsened
    );
}

fn false_positives(text: &mut String, palette: Palette, honest: &Side) {
    let stopped = honest.deferred + honest.refused;
    let worsened = honest.worsened;
    let line = format!(
        "False positives: {stopped} of {} honest messages refused or deferred, {worsened} left as suspect or spam.",
        honest.messages
    );
    let ink = if stopped + worsened == 0 {
        Ink::Good
    } else {
        Ink::Warning
    };
    let _ = writeln!(text, "{}", palette.paint(ink, &line));
    if stopped + worsened > 0 {
        honest.list_effects(text);
    }
}

/// The policy's content engines, each with how often it answered.
fn judges(snapshot: &Snapshot, outcomes: &Outcomes) -> String {
    let engines = snapshot.rules.iter().find_map(|rule| match &rule.spec {
        RuleSpec::SubmissionPolicy(policy) => Some(&policy.classify.as_ref()?.engines),
        _ => None,
    });
    let mut text = "Content was judged by the policy's own rules".to_owned();
    for (place, engine) in engines.into_iter().flatten().enumerate() {
        let said: Vec<&Opinion> = outcomes
            .values()
            .filter_map(|outcome| outcome.opinions.get(place))
            .collect();
        let _ = write!(text, "{}", judge(engine, &said));
    }
    text + "."
}

fn judge(engine: &Engine, said: &[&Opinion]) -> String {
    let name = match engine.protocol {
        EngineProtocol::Rspamd => "rspamd",
        EngineProtocol::Spamd => "spamd",
    };
    let answered = said
        .iter()
        .filter(|opinion| matches!(opinion, Opinion::Scored(_)))
        .count();
    let how = match (answered, said.len()) {
        (_, 0) => "was not asked".to_owned(),
        (0, _) => "does not answer".to_owned(),
        (answered, asked) => format!("answered for {answered} of {asked} messages"),
    };
    format!("; {name} at {} {how}", engine.address)
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use sekisho_policy::opinion::Score;
    use sekisho_policy::snapshot::HostPort;
    use sekisho_policy::{Millis, Opinion};

    use super::*;

    #[test]
    fn an_engine_is_named_with_how_often_it_answered() {
        let engine = Engine {
            protocol: EngineProtocol::Spamd,
            address: HostPort {
                host: "127.0.0.1".into(),
                port: 783,
            },
            timeout: Millis(2000),
            concurrency: 1,
            suspect_at: 5000,
            spam_at: None,
            reject_at: None,
        };
        let (scored, out) = (Opinion::Scored(Score::default()), Opinion::Out);
        for (said, how) in [
            (&[][..], "was not asked"),
            (&[&out, &out], "does not answer"),
            (&[&scored, &out], "answered for 1 of 2 messages"),
        ] {
            assert_eq!(
                judge(&engine, said),
                format!("; spamd at 127.0.0.1:783 {how}")
            );
        }
    }
}
