//! Steps as aligned plain text: for each event what every rule saw and said, what was counted, and what the peer was told.

use std::fmt::Write as _;

use sekisho_policy::decision::{Decision, Refusal, Said, Verdict};
use sekisho_policy::event::{Event, Fact, FromHeader, Stage};
use sekisho_policy::explain::Skip;
use sekisho_policy::op::{Op, Outcome};
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::Enforcement;
use sekisho_policy::{Finding, Ruleset, Settings, Timestamp, key};

use super::replay::{self, Agreement, RuleView};
use super::when::utc;
use crate::output::{Ink, Palette, visible};

/// Draws steps.
pub(crate) struct Layout<'a> {
    pub(crate) palette: Palette,
    /// The rules that the steps were judged by, where they are kept.
    pub(crate) rules: Option<&'a Ruleset>,
    /// When the first event happened.
    pub(crate) began: Timestamp,
    pub(crate) ids: Ids,
}

/// Whether decision ids are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    Shown,
    /// They name nothing.
    Hidden,
}

/// One line of a step's table.
struct Row {
    what: String,
    part: String,
    said: String,
    ink: Ink,
    saw: String,
}

impl Layout<'_> {
    /// One step: its event, its rules, its counters, its verdict.
    pub(crate) fn step(&self, number: usize, step: &Step) -> String {
        let mut text = String::new();
        let offset = step.event.at.since(self.began).0;
        let heading = format!("{number}. {}", heading(&step.event));
        let heading = self.palette.paint(Ink::Strong, &visible(&heading));
        match self.ids {
            Ids::Hidden => line(&mut text, format_args!("{heading}")),
            Ids::Shown => {
                let id = self
                    .palette
                    .paint(Ink::Quiet, &format!("+{offset} ms  {}", step.event.id));
                line(&mut text, format_args!("{heading}  {id}"));
            }
        }
        if let Some(settings) = settings(&step.event) {
            let settings = self.palette.paint(Ink::Quiet, &visible(&settings));
            line(&mut text, format_args!("   {settings}"));
        }
        let views = replay::rules(self.rules, step);
        self.table(&mut text, &rows(&views));
        self.silent(&mut text, &views);
        self.counters(&mut text, step);
        line(
            &mut text,
            format_args!("   → {}", self.verdict(&step.decision)),
        );
        if self
            .rules
            .is_some_and(|rules| replay::agreement(rules, step) == Agreement::Differs)
        {
            let note = "asked again, these rules decide otherwise: this version judges differently, or hashed recipients matter here";
            line(
                &mut text,
                format_args!("   {}", self.palette.paint(Ink::Warning, note)),
            );
        }
        text
    }

    fn table(&self, text: &mut String, rows: &[Row]) {
        let width = |cell: fn(&Row) -> &str| {
            rows.iter()
                .map(|row| cell(row).chars().count())
                .max()
                .unwrap_or(0)
        };
        let (what, part, said) = (width(|r| &r.what), width(|r| &r.part), width(|r| &r.said));
        for row in rows {
            let said = self.palette.paint(row.ink, &format!("{:said$}", row.said));
            if row.part.is_empty() {
                line(
                    text,
                    format_args!("   {:what$}  {said}  {}", row.what, row.saw),
                );
            } else {
                line(
                    text,
                    format_args!(
                        "   {:what$}  {said}  {:part$}  {}",
                        row.what, row.part, row.saw
                    ),
                );
            }
        }
    }

    /// The rules that look at other stages, on one line: they are many, and there is no more to say.
    fn silent(&self, text: &mut String, views: &[RuleView<'_>]) {
        let names: Vec<_> = views
            .iter()
            .filter(|view| is_silent(view))
            .map(|view| view.object.to_string())
            .collect();
        if !names.is_empty() {
            let note = format!("   nothing to ask at this stage: {}", names.join(", "));
            line(
                text,
                format_args!("{}", self.palette.paint(Ink::Quiet, &note)),
            );
        }
    }

    fn counters(&self, text: &mut String, step: &Step) {
        match &step.answers {
            Ok(answers) => {
                for (op, answer) in step.ops.iter().zip(answers) {
                    let counted = format!("   count  {}: {}", asked(op), answered(op, answer));
                    line(
                        text,
                        format_args!("{}", self.palette.paint(Ink::Quiet, &counted)),
                    );
                }
            }
            Err(unavailable) => {
                let trouble = format!("   count  {unavailable}");
                line(
                    text,
                    format_args!("{}", self.palette.paint(Ink::Warning, &visible(&trouble))),
                );
            }
        }
    }

    fn verdict(&self, decision: &Decision) -> String {
        match &decision.verdict {
            Verdict::Allow => self
                .palette
                .paint(Ink::Good, &format!("allow, class {:?}", decision.class)),
            Verdict::Delay(pause) => self
                .palette
                .paint(Ink::Warning, &format!("allow after {pause}")),
            Verdict::Defer(refusal) | Verdict::Reject(refusal) => {
                let mut told = reply_text(refusal);
                if let Some(at) = refusal.retry_at {
                    let _ = write!(told, " (fits again at {})", utc(at));
                }
                self.palette.paint(Ink::Bad, &visible(&told))
            }
        }
    }
}

/// The reply to a client, without the decision id.
pub(crate) fn reply_text(refusal: &Refusal) -> String {
    let (a, b, c) = refusal.enhanced;
    format!("{} {a}.{b}.{c} {}", refusal.code, refusal.text)
}

/// Writes a line; writing to a `String` cannot fail.
pub(crate) fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    let _ = writeln!(text, "{content}");
}

fn rows(views: &[RuleView<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for view in views.iter().filter(|view| !is_silent(view)) {
        let what = view.object.to_string();
        if let Some(why) = &view.skipped {
            let (said, part) = ("not asked".to_owned(), String::new());
            rows.push(Row {
                what,
                part,
                said,
                ink: Ink::Quiet,
                saw: why.to_string(),
            });
            continue;
        }
        if view.findings.is_empty() {
            let (said, saw) = ("pass".to_owned(), "nothing to object to".to_owned());
            rows.push(Row {
                what,
                part: String::new(),
                said,
                ink: Ink::Quiet,
                saw,
            });
            continue;
        }
        for (index, finding) in view.findings.iter().enumerate() {
            let (said, ink) = said(finding);
            let what = if index == 0 {
                what.clone()
            } else {
                String::new()
            };
            rows.push(Row {
                what,
                part: finding.part.to_string(),
                said,
                ink,
                saw: visible(&finding.saw),
            });
        }
    }
    rows
}

fn is_silent(view: &RuleView<'_>) -> bool {
    view.skipped == Some(Skip::Stage)
}

fn said(finding: &Finding) -> (String, Ink) {
    let (said, ink) = match finding.said {
        Said::Pass => ("pass".to_owned(), Ink::Good),
        Said::Noted(reason) => (format!("noted {reason:?}"), Ink::Warning),
        Said::Exempt => ("exempt".to_owned(), Ink::Good),
        Said::Worsen(class, reason) => (format!("at least {class:?} ({reason:?})"), Ink::Warning),
        Said::Defer(reason) => (format!("defer ({reason:?})"), Ink::Bad),
        Said::Reject(reason) => (format!("reject ({reason:?})"), Ink::Bad),
        Said::Unjudged => ("could not judge".to_owned(), Ink::Warning),
    };
    match finding.enforcement {
        Enforcement::Enforce => (said, ink),
        Enforcement::Shadow | Enforcement::Off => (
            format!("shadow: {said}"),
            if ink == Ink::Bad { Ink::Warning } else { ink },
        ),
    }
}

/// What the account had set, where a session or a message began to go by it.
fn settings(event: &Event) -> Option<String> {
    if !matches!(event.stage, Stage::Login { .. } | Stage::Mail) {
        return None;
    }
    match &event.settings {
        Settings::None => None,
        Settings::Own(own) => Some(format!("the account's settings: {own}")),
        Settings::Unheard => Some("settings of accounts were not heard of yet".to_owned()),
    }
}

fn heading(event: &Event) -> String {
    match &event.stage {
        Stage::Connect => "connect".to_owned(),
        Stage::Login { account } => match account {
            Some(account) => format!("AUTH as {account}"),
            None => "AUTH by somebody who has not said who it is".to_owned(),
        },
        Stage::LoginShown { account, .. } => {
            format!("AUTH as {account}, before a backend is asked")
        }
        Stage::LoginFailed { account, .. } => match account {
            Some(account) => format!("AUTH as {account}: wrong password or no such account"),
            None => "AUTH with a token that names nobody: not accepted".to_owned(),
        },
        Stage::LoginSucceeded => "AUTH accepted".to_owned(),
        Stage::Mail => {
            let sender = event.transaction.as_ref().and_then(|t| t.sender.as_ref());
            format!(
                "MAIL FROM:<{}>",
                sender.map(ToString::to_string).unwrap_or_default()
            )
        }
        Stage::Rcpt { recipient, domain } => match domain {
            Fact::Unasked => format!("RCPT TO:<{recipient}>"),
            Fact::Unavailable => format!("RCPT TO:<{recipient}>, DNS did not answer"),
            Fact::Known(standing) => format!("RCPT TO:<{recipient}>, DNS: {standing:?}"),
        },
        Stage::Headers(facts) => {
            let from = match &facts.from {
                FromHeader::One(address) => address.to_string(),
                other => format!("{other:?}").to_lowercase(),
            };
            format!(
                "headers: From {from}, {} in To and Cc, content rules: {}",
                facts.visible_recipients,
                listed(&facts.matched)
            )
        }
        Stage::End(facts) => {
            let mut heading = format!(
                "end of the message: {} octets, attachments: {}",
                facts.bytes,
                listed(&facts.extensions)
            );
            if !facts.matched.is_empty() {
                heading.push_str(&format!(", content rules: {}", listed(&facts.matched)));
            }
            heading
        }
        Stage::Route { bytes } => format!("a pool for {bytes} octets"),
    }
}

fn listed(names: &[Box<str>]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn asked(op: &Op) -> String {
    let (verb, key) = match op {
        Op::Gate { key, cost, .. } => (format!("gate +{cost}"), key),
        Op::Meter { key, cost, .. } => (format!("meter +{cost}"), key),
        Op::Read { key, .. } => ("read".to_owned(), key),
        Op::Distinct { key, .. } => ("add to the set".to_owned(), key),
        Op::Admit { key, most, .. } => (format!("add to the set, of {most} at most"), key),
        Op::Forget { key, .. } => ("take out of the set".to_owned(), key),
        Op::Count { key, .. } => ("size of the set".to_owned(), key),
        Op::Lock { key, base, .. } => (format!("lock for {base} or longer"), key),
        Op::Locked { key } => ("is it locked".to_owned(), key),
        Op::Award {
            key,
            signal,
            points,
            ..
        } => (format!("award {points} for {signal}"), key),
        Op::Points { key, .. } => ("points".to_owned(), key),
        Op::Correspond { key, items, .. } => (format!("meet {}", items.len()), key),
        Op::Forgive { key, before } => (format!("forget what came by {}", utc(*before)), key),
        Op::Disown { key, span, .. } => {
            let (from, to) = (utc(span.from), utc(span.to));
            (format!("disown what came from {from} to {to}"), key)
        }
        Op::Heed { key, .. } => ("take out what is disowned".to_owned(), key),
        Op::Clear { key } => ("forget".to_owned(), key),
    };
    let name = key::read(key).map_or_else(|| format!("{key:?}"), |parts| parts.to_string());
    format!("{verb}  {}", visible(&name))
}

fn answered(op: &Op, outcome: &Outcome) -> String {
    match (outcome, op) {
        (Outcome::Passed { total }, Op::Gate { limit, .. }) => format!("fits, {total} of {limit}"),
        (Outcome::Passed { total }, _) => format!("fits, {total}"),
        (
            Outcome::Full {
                total,
                retry_at: Some(at),
            },
            _,
        ) => format!("full at {total}, fits again at {}", utc(*at)),
        (
            Outcome::Full {
                total,
                retry_at: None,
            },
            _,
        ) => format!("full at {total}, and would never fit"),
        (Outcome::Total(total), _) => total.to_string(),
        (Outcome::Until(Some(until)), _) => format!("locked until {}", utc(*until)),
        (Outcome::Until(None), _) => "not locked".to_owned(),
        (Outcome::Awards(awards), _) => {
            let parts = awards.list.iter();
            let parts = parts
                .map(|award| format!("{} {} at {}", award.signal, award.points, utc(award.at)));
            parts.collect::<Vec<_>>().join(", ")
        }
        (Outcome::Done, _) => "done".to_owned(),
    }
}
