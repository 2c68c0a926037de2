//! What is printed before and after the play.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::cast::Cast;
use super::fate::{Deed, Fate, Fates, Scored};
use super::play::{Message, Played, Who};
use super::texts::Texts;
use crate::output::{Ink, Palette, visible};

/// What is about to happen.
pub(super) fn opening(version: &str, to: SocketAddr, cast: &Cast, texts: &Texts) -> String {
    format!(
        "Sekisho {version} at {to}: {} honest senders at home, and {}, stolen, used from {} addresses in {} countries.\nSent are {}.\n",
        cast.honest.len(),
        visible(&cast.stolen.name),
        cast.bots.len(),
        cast.countries.len(),
        texts.origin
    )
}

/// What happened.
pub(super) fn closing(cast: &Cast, played: &Played, fates: &Fates) -> String {
    let palette = Palette::of_stdout();
    let by = |who| {
        let messages: Vec<&Message> = played
            .messages
            .iter()
            .filter(|message| message.by == who)
            .collect();
        Side::weigh(&messages, fates)
    };
    let (honest, thief) = (by(Who::Honest), by(Who::Thief));
    let mut text = String::new();
    let _ = writeln!(
        text,
        "\n{}",
        palette.paint(Ink::Strong, &heading(&honest, &thief))
    );
    for (name, side) in [("honest", &honest), ("stolen account", &thief)] {
        let _ = writeln!(text, "{}", side.row(name, &honest, &thief));
    }
    let _ = writeln!(
        text,
        "\n{}",
        palette.paint(
            Ink::Strong,
            &format!("What was done to {}", visible(&cast.stolen.name))
        )
    );
    thief.deeds(&mut text);
    first_refusal(&mut text, played);
    false_positives(&mut text, palette, &honest);
    let _ = writeln!(text, "Content was judged by {}.", judges(fates));
    if played.broken > 0 {
        let _ = writeln!(text, "{} sessions broke without an answer.", played.broken);
    }
    text
}

/// One side of the play, added up.
#[derive(Debug, Default)]
struct Side {
    messages: usize,
    /// Delivered messages by pool.
    pools: BTreeMap<String, usize>,
    deferred: usize,
    refused: usize,
    recipients: usize,
    reached: usize,
    /// Messages by what a rule did to them.
    deeds: BTreeMap<(Deed, String), usize>,
}

impl Side {
    fn weigh(messages: &[&Message], fates: &Fates) -> Self {
        let mut side = Self::default();
        for message in messages {
            side.messages += 1;
            side.recipients += message.recipients;
            side.reached += message.answer.reached;
            let fate = message.answer.id.and_then(|id| fates.get(&id));
            match message.answer.code {
                ..400 => {
                    let pool = fate.and_then(|fate| fate.pool.clone());
                    *side
                        .pools
                        .entry(pool.unwrap_or_else(|| "not in the ledger".into()))
                        .or_default() += 1;
                }
                400..500 => side.deferred += 1,
                _ => side.refused += 1,
            }
            let held_back = message.answer.held_back.and_then(|id| fates.get(&id));
            let mut deeds: Vec<_> = [fate, held_back]
                .into_iter()
                .flatten()
                .flat_map(|fate: &Fate| fate.deeds.iter().cloned())
                .collect();
            deeds.sort();
            deeds.dedup();
            for deed in deeds {
                *side.deeds.entry(deed).or_default() += 1;
            }
        }
        side
    }

    fn row(&self, name: &str, honest: &Self, thief: &Self) -> String {
        let mut row = format!("{name:<16}{:>9}", self.messages);
        for pool in pools(honest, thief) {
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

    fn deeds(&self, text: &mut String) {
        if self.deeds.is_empty() {
            let _ = writeln!(text, "nothing");
        }
        for ((deed, rule), count) in &self.deeds {
            let deed = match deed {
                Deed::Deferred => "deferred",
                Deed::Refused => "refused",
                Deed::Rerouted => "worsened the class of",
            };
            let _ = writeln!(text, "{} {deed} {count}", visible(rule));
        }
    }
}

/// The pools of both sides, in order.
fn pools<'a>(honest: &'a Side, thief: &'a Side) -> std::collections::BTreeSet<&'a str> {
    honest
        .pools
        .keys()
        .chain(thief.pools.keys())
        .map(String::as_str)
        .collect()
}

fn column(pool: &str) -> usize {
    pool.chars().count() + 5
}

fn heading(honest: &Side, thief: &Side) -> String {
    let mut heading = format!("{:<16}{:>9}", "messages", "sent");
    for pool in pools(honest, thief) {
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

fn first_refusal(text: &mut String, played: &Played) {
    let mut thief: Vec<&Message> = played
        .messages
        .iter()
        .filter(|message| message.by == Who::Thief)
        .collect();
    thief.sort_by_key(|message| message.after);
    let stopped =
        |message: &&&Message| message.answer.code >= 400 || message.answer.held_back.is_some();
    let Some(first) = thief.iter().find(stopped) else {
        let _ = writeln!(text, "\nNothing was refused to the thief.");
        return;
    };
    let reached: usize = thief
        .iter()
        .filter(|message| message.after < first.after)
        .map(|message| message.answer.reached)
        .sum();
    let last_taken = thief.iter().rfind(|message| message.answer.code < 400);
    let _ = writeln!(
        text,
        "\nThe first refusal came {} after the thief's first connection; {reached} recipients had been reached before.",
        seconds(first.after)
    );
    if let Some(last) = last_taken {
        let _ = writeln!(
            text,
            "The last message was taken from the thief {} after it.",
            seconds(last.after)
        );
    }
}

fn false_positives(text: &mut String, palette: Palette, honest: &Side) {
    let worst: usize = honest.deferred + honest.refused;
    let rerouted: usize = honest
        .deeds
        .iter()
        .filter(|((deed, _), _)| *deed == Deed::Rerouted)
        .map(|(_, count)| *count)
        .max()
        .unwrap_or_default();
    let line = format!(
        "False positives: {worst} of {} honest messages refused or deferred, {rerouted} left as suspect or spam.",
        honest.messages
    );
    let ink = if worst + rerouted == 0 {
        Ink::Good
    } else {
        Ink::Warning
    };
    let _ = writeln!(text, "{}", palette.paint(ink, &line));
    if worst + rerouted > 0 {
        honest.deeds(text);
    }
}

fn judges(fates: &Fates) -> &'static str {
    let saw = |scored| fates.values().any(|fate| fate.scored == scored);
    match (saw(Scored::Yes), saw(Scored::Out)) {
        (true, false) => "the content engine and the policy's own rules",
        (true, true) => "the content engine, where it could be reached, and the policy's own rules",
        (false, true) => "the policy's own rules alone: its content engine is not there",
        (false, false) => "the policy's own rules",
    }
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
