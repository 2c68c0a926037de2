//! `show`, `restrict`, `release` and `history`.

use anyhow::{Context as _, Result};
use hyper::Method;
use sekisho_policy::watch::Score;
use sekisho_policy::{Restriction, Span, Standing, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::path::escape;
use super::place::Whose;
use super::queued::warn;
use super::{Release, Restrict};
use crate::Outcome;
use crate::args::OutputFormat;
use crate::explain::when::utc;
use crate::ledger::user;
use crate::output::{self, Ink, Palette, visible};

/// What the server says of an account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    account: String,
    /// No gateway of that namespace is known there.
    #[serde(default)]
    no_gateway: bool,
    #[serde(default)]
    standing: Option<Standing>,
    restrictions: Vec<Restriction>,
    /// What speaks against it, as far as the proxies that count can be asked.
    #[serde(default)]
    points: Vec<Tallied>,
    /// Why that may not be all.
    #[serde(default)]
    points_unknown: Option<String>,
}

/// The points of one rule.
#[derive(Debug, Deserialize)]
struct Tallied {
    /// Where gateways count each for itself: which one.
    #[serde(default)]
    gateway: Option<String>,
    #[serde(flatten)]
    score: Score,
}

pub(super) async fn show(whose: &Whose) -> Result<Outcome> {
    let shown: Value = whose
        .server()?
        .fetch(&whose.path(""))
        .await?
        .context(WITHOUT_STORE)?;
    print_shown(whose, shown)?;
    Ok(Outcome::Done)
}

pub(super) async fn restrict(command: &Restrict) -> Result<Outcome> {
    let mut wanted = json!({
        "level": command.level,
        "who": user(),
        "why": command.why,
    });
    if let Some(lasts) = command.lasts {
        wanted["for"] = lasts.0.into();
    }
    if let Some(count) = command.recipients_per_hour {
        wanted["recipientsPerHour"] = count.into();
    }
    let whose = &command.whose;
    let path = whose.path("/restrictions");
    let shown: Value = whose
        .server()?
        .send(Method::POST, &path, Some(&wanted))
        .await?
        .context(WITHOUT_STORE)?;
    print_shown(whose, shown)?;
    Ok(Outcome::Done)
}

/// What was released.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Released {
    #[serde(default)]
    no_gateway: bool,
    released: Vec<Restriction>,
    #[serde(default)]
    disowned: Option<Span>,
}

pub(super) async fn release(command: &Release) -> Result<Outcome> {
    let whose = &command.whose;
    let mut path = whose.path("/restrictions");
    if let Some(origin) = &command.origin {
        path.push_str(&format!("&origin={}", escape(&origin.to_string())));
    }
    if let Some(since) = command.since {
        path.push_str(&format!("&since={}", since.0));
    }
    path.push_str(&format!(
        "&who={}&why={}",
        escape(&user()),
        escape(&command.why)
    ));
    let answer: Value = whose
        .server()?
        .send(Method::DELETE, &path, None)
        .await?
        .context(WITHOUT_STORE)?;
    let released: Released = serde_json::from_value(answer.clone())?;
    let outcome = match released.released[..] {
        [] => Outcome::Idle,
        _ => Outcome::Done,
    };
    if whose.place.format == OutputFormat::Json {
        print_json(&answer)?;
        return Ok(outcome);
    }
    warn_of_namespace(whose, released.no_gateway);
    output::print(&told_of_release(command, &released))?;
    Ok(outcome)
}

fn told_of_release(command: &Release, released: &Released) -> String {
    let line = |restriction: &Restriction| {
        let (level, by) = (restriction.level, by(restriction));
        format!("released from {level} by {by}\n")
    };
    let mut text: String = released.released.iter().map(line).collect();
    if text.is_empty() {
        let name = command.whose.name();
        let (account, namespace) = (visible(name.as_str()), &command.whose.place.namespace);
        text = format!(
            "nothing to release: no such restriction of {account} in the namespace {namespace}\n\
             what a proxy imposed before this moment, and tells later, is released all the same\n"
        );
        if command.origin.is_none() {
            text.push_str("its lock ends, if a guard has locked it\n");
        }
    }
    if let Some(span) = released.disowned {
        let since = utc(span.from);
        text.push_str(&format!(
            "what it logged in from since {since} is not known to be good\n"
        ));
    }
    text
}

/// One line of the history.
#[derive(Debug, Deserialize)]
struct Line {
    at: Timestamp,
    action: String,
    who: String,
    why: String,
    /// What it was about; nothing where an account was released that nothing restricted.
    restriction: Option<Restriction>,
}

#[derive(Debug, Deserialize)]
struct History {
    history: Vec<Line>,
}

pub(super) async fn history(whose: &Whose) -> Result<Outcome> {
    let answer: Value = whose
        .server()?
        .fetch(&whose.path("/history"))
        .await?
        .context(WITHOUT_STORE)?;
    if whose.place.format == OutputFormat::Json {
        print_json(&answer)?;
        return Ok(Outcome::Done);
    }
    let History { history } = serde_json::from_value(answer)?;
    if history.is_empty() {
        let name = whose.name();
        output::print(&format!(
            "{}: nothing was ever done\n",
            visible(name.as_str())
        ))?;
    }
    for line in &history {
        output::print(&told(line))?;
    }
    Ok(Outcome::Done)
}

fn told(line: &Line) -> String {
    let Line {
        at,
        action,
        who,
        why,
        restriction,
    } = line;
    let what = match restriction {
        Some(restriction) => {
            let level = restriction.level.to_string();
            let (until, by) = (end(restriction), by(restriction));
            format!("{level:<10}  {until}, of {by}")
        }
        None => "nothing restricted it".to_owned(),
    };
    let mut text = format!("{}  {action:<10}  {what}, by {}\n", utc(*at), visible(who));
    if !why.is_empty() {
        text.push_str(&format!("    {}\n", visible(why)));
    }
    text
}

fn print_shown(whose: &Whose, answer: Value) -> Result<()> {
    if whose.place.format == OutputFormat::Json {
        return print_json(&answer);
    }
    let shown: Shown = serde_json::from_value(answer)?;
    warn_of_namespace(whose, shown.no_gateway);
    output::print(&described(&shown, Palette::of_stdout()))
}

/// A namespace that was misspelled is no error: its gateways may come later.
fn warn_of_namespace(whose: &Whose, no_gateway: bool) {
    if no_gateway {
        let namespace = visible(&whose.place.namespace);
        warn(&format!(
            "no gateway of the namespace {namespace} is known there: what is kept for its accounts restricts nobody (--namespace)"
        ));
    }
}

fn print_json(answer: &Value) -> Result<()> {
    output::print(&format!("{}\n", serde_json::to_string_pretty(answer)?))
}

fn described(shown: &Shown, palette: Palette) -> String {
    let name = palette.paint(Ink::Strong, &visible(&shown.account));
    let Some(standing) = &shown.standing else {
        return format!("{name}: nothing restricts it\n{}", points(shown));
    };
    let level = palette.paint(Ink::Bad, &standing.worst.level.to_string());
    let mut text = format!("{name}: {level}");
    if let Some(count) = standing.recipients_per_hour {
        text.push_str(&format!(", {count} recipients an hour"));
    }
    text.push('\n');
    for restriction in &shown.restrictions {
        text.push_str(&one(restriction));
    }
    text.push_str(&points(shown));
    text
}

/// What speaks against the account, and why there may be more.
fn points(shown: &Shown) -> String {
    let mut text: String = shown.points.iter().map(counted).collect();
    if let Some(why) = &shown.points_unknown {
        let not_known = match text.is_empty() {
            true => "points are not known",
            false => "there may be more points",
        };
        text.push_str(&format!("\n{not_known}: {}\n", visible(why)));
    }
    text
}

/// The points of one rule, unless there are none.
fn counted(tallied: &Tallied) -> String {
    let Tallied { gateway, score } = tallied;
    if score.awards.is_empty() {
        return String::new();
    }
    let at = gateway
        .as_ref()
        .map_or_else(String::new, |gateway| format!(" at {}", visible(gateway)));
    let next = score
        .next
        .map_or_else(String::new, |next| format!(", the next step is at {next}"));
    let rule = visible(&score.rule.to_string());
    let mut text = format!("\n{} points of {rule}{at}{next}\n", score.score);
    for award in &score.awards {
        let (signal, points) = (award.signal, award.points);
        text.push_str(&format!("    {}  {signal} {points}\n", utc(award.at)));
    }
    text
}

fn one(restriction: &Restriction) -> String {
    let until = end(restriction);
    let level = restriction.level.to_string();
    let mut text = format!(
        "\n{level:<10}  by {}, since {}, {until}\n",
        by(restriction),
        utc(restriction.since)
    );
    if !restriction.why.is_empty() {
        text.push_str(&format!("    {}\n", visible(&restriction.why)));
    }
    if let Some(then) = &restriction.then {
        let until = then.until.map_or_else(
            || "until released".to_owned(),
            |until| format!("until {}", utc(until)),
        );
        text.push_str(&format!("    then {} {until}\n", then.level));
    }
    if let Some(decision) = restriction.decision {
        text.push_str(&format!("    sekisho explain {decision}\n"));
    }
    text
}

fn end(restriction: &Restriction) -> String {
    restriction.until.map_or_else(
        || "until released".to_owned(),
        |until| format!("until {}", utc(until)),
    )
}

/// Whose it is: the name of a rule is what the server says.
fn by(restriction: &Restriction) -> String {
    visible(&restriction.origin.to_string())
}

const WITHOUT_STORE: &str =
    "that process keeps no restrictions: a control plane needs --store or --accounts-database";

#[cfg(test)]
mod tests {
    use sekisho_policy::signal::Award;
    use sekisho_policy::snapshot::Kind;
    use sekisho_policy::{Level, Millis, ObjectRef, Origin, Signal};

    use super::*;

    #[test]
    fn what_a_rule_is_called_does_nothing_to_a_terminal() {
        let restriction: Restriction = serde_json::from_value(json!({
            "level": "Watch", "since": 0, "why": "",
            "origin": { "Rule": { "kind": "AbuseRule", "namespace": "mail", "name": "a\u{1b}[2J" } },
        }))
        .unwrap();
        let line = Line {
            at: Timestamp(0),
            action: "Imposed".into(),
            who: "proxy one".into(),
            why: String::new(),
            restriction: Some(restriction.clone()),
        };
        for text in [one(&restriction), told(&line)] {
            assert!(text.contains("AbuseRule/mail/a\u{fffd}[2J"), "{text:?}");
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }

    #[test]
    fn restrictions_are_described() {
        let restriction = Restriction {
            level: Level::Suspend,
            since: Timestamp(1_785_474_729_123),
            until: None,
            origin: Origin::Desk,
            why: "ticket 4711".into(),
            decision: Some("7Q2M-X4K9-0B3T".parse().unwrap()),
            recipients_per_hour: None,
            then: None,
        };
        let mut shown = Shown {
            account: "taro@example.jp".into(),
            no_gateway: false,
            standing: Standing::of([&restriction], restriction.since),
            restrictions: vec![restriction],
            points: vec![Tallied {
                gateway: None,
                score: Score {
                    rule: ObjectRef {
                        kind: Kind::AbuseRule,
                        namespace: "default".into(),
                        name: "stolen".into(),
                    },
                    score: 58,
                    decay: Millis::DAY,
                    next: Some(60),
                    awards: vec![Award {
                        signal: Signal::UnknownRecipients,
                        points: 60,
                        at: Timestamp(1_785_474_729_123),
                    }],
                },
            }],
            points_unknown: None,
        };
        assert_eq!(
            described(&shown, Palette::Plain),
            "taro@example.jp: Suspend\n\n\
             Suspend     by Desk, since 2026-07-31 05:12:09.123 UTC, until released\n    ticket 4711\n    \
             sekisho explain 7Q2M-X4K9-0B3T\n\n58 points of AbuseRule/default/stolen, the next step is at 60\n    \
             2026-07-31 05:12:09.123 UTC  UnknownRecipients 60\n"
        );
        shown.standing = None;
        shown.points[0].gateway = Some("default/out".into());
        shown.points_unknown = Some("no proxy of default/in is connected".into());
        assert_eq!(
            described(&shown, Palette::Plain),
            "taro@example.jp: nothing restricts it\n\n\
             58 points of AbuseRule/default/stolen at default/out, the next step is at 60\n    \
             2026-07-31 05:12:09.123 UTC  UnknownRecipients 60\n\n\
             there may be more points: no proxy of default/in is connected\n"
        );
        shown.points.clear();
        shown.points_unknown = None;
        assert_eq!(
            described(&shown, Palette::Plain),
            "taro@example.jp: nothing restricts it\n"
        );
        shown.points_unknown = Some("counters do not answer now; try again".into());
        assert_eq!(
            described(&shown, Palette::Plain),
            "taro@example.jp: nothing restricts it\n\n\
             points are not known: counters do not answer now; try again\n"
        );
    }
}
