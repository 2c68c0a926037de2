//! `show`, `set`, `reset` and `history`.

use anyhow::{Context as _, Result};
use hyper::Method;
use sekisho_policy::{AccountSettings, Timestamp};
use sekisho_store::Chooser;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::path::escape;
use super::super::place::Whose;
use super::{Reset, Set, WITHOUT_STORE, limit};
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
    settings: AccountSettings,
    own_choices: Vec<String>,
    /// What of it no rule goes by.
    #[serde(default)]
    warnings: Vec<String>,
}

pub(super) async fn show(whose: &Whose) -> Result<Outcome> {
    let server = whose.server()?;
    let shown: Value = server
        .fetch(&whose.path("/settings"))
        .await?
        .context(WITHOUT_STORE)?;
    print_shown(whose, shown)
}

pub(super) async fn set(command: &Set) -> Result<Outcome> {
    let body = json!({
        "settings": command.wanted.some_patch()?,
        "chosenBy": Chooser::from(command.chosen_by),
        "who": user(),
        "why": command.why,
    });
    let whose = &command.whose;
    let server = whose.server()?;
    let path = whose.path("/settings");
    let sent = server.send(Method::PATCH, &path, Some(&body));
    print_shown(whose, sent.await?.context(WITHOUT_STORE)?)
}

pub(super) async fn reset(command: &Reset) -> Result<Outcome> {
    let whose = &command.whose;
    let path = format!(
        "{}&who={}&why={}",
        whose.path("/settings"),
        escape(&user()),
        escape(&command.why)
    );
    let server = whose.server()?;
    let sent = server.send(Method::DELETE, &path, None);
    print_shown(whose, sent.await?.context(WITHOUT_STORE)?)
}

fn print_shown(whose: &Whose, answer: Value) -> Result<Outcome> {
    let text = match whose.place.format {
        OutputFormat::Json => format!("{}\n", serde_json::to_string_pretty(&answer)?),
        OutputFormat::Text => described(&serde_json::from_value(answer)?, Palette::of_stdout()),
    };
    output::print(&text)?;
    Ok(Outcome::Done)
}

fn described(shown: &Shown, palette: Palette) -> String {
    let name = palette.paint(Ink::Strong, &visible(&shown.account));
    if shown.settings.is_empty() {
        return format!("{name}: nothing is set, so the defaults of the rules hold\n");
    }
    let mut text = format!("{name}\n");
    for (field, value) in fields(&shown.settings) {
        let is_own = shown.own_choices.iter().any(|own| own == field);
        let whose = if is_own { "  (its own choice)" } else { "" };
        text.push_str(&format!("    {field:<16}  {}{whose}\n", visible(&value)));
    }
    for warning in &shown.warnings {
        let ink = palette.paint(Ink::Warning, "warning");
        text.push_str(&format!("    {ink}: {}\n", visible(warning)));
    }
    text
}

/// Each that is set, as the API names it and as the command line writes it.
fn fields(settings: &AccountSettings) -> Vec<(&'static str, String)> {
    let logins = settings.logins_from_abroad;
    let classification = settings.classification;
    let limits: Vec<String> = settings.limits.iter().map(limit::written).collect();
    let all = [
        (
            "loginsFromAbroad",
            logins.map(|logins| format!("{logins:?}")),
        ),
        (
            "classification",
            classification.map(|wanted| format!("{wanted:?}")),
        ),
        ("limits", (!limits.is_empty()).then(|| limits.join(", "))),
    ];
    let set = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    set.collect()
}

/// One line of the history.
#[derive(Debug, Deserialize)]
struct Line {
    at: Timestamp,
    who: String,
    why: String,
    #[serde(default)]
    job: Option<u64>,
    settings: AccountSettings,
}

#[derive(Debug, Deserialize)]
struct History {
    history: Vec<Line>,
}

pub(super) async fn history(whose: &Whose) -> Result<Outcome> {
    let server = whose.server()?;
    let answer: Value = server
        .fetch(&whose.path("/settings/history"))
        .await?
        .context(WITHOUT_STORE)?;
    if whose.place.format == OutputFormat::Json {
        output::print(&format!("{}\n", serde_json::to_string_pretty(&answer)?))?;
        return Ok(Outcome::Done);
    }
    let History { history } = serde_json::from_value(answer)?;
    if history.is_empty() {
        let name = whose.name();
        output::print(&format!(
            "{}: nothing was ever set\n",
            visible(name.as_str())
        ))?;
    }
    for line in &history {
        output::print(&told(line))?;
    }
    Ok(Outcome::Done)
}

fn told(line: &Line) -> String {
    let set = fields(&line.settings);
    let set: Vec<String> = set
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let set = if set.is_empty() {
        "nothing".to_owned()
    } else {
        visible(&set.join(", "))
    };
    let of = line
        .job
        .map_or_else(String::new, |job| format!(", change of many {job}"));
    let mut text = format!("{}  {set}, by {}{of}\n", utc(line.at), visible(&line.who));
    if !line.why.is_empty() {
        text.push_str(&format!("    {}\n", visible(&line.why)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(settings: Value, own: &[&str]) -> Shown {
        serde_json::from_value(json!({
            "account": "taro@example.jp", "settings": settings, "ownChoices": own,
        }))
        .unwrap()
    }

    #[test]
    fn settings_are_described() {
        let limits =
            json!([{ "rule": "per-account", "unit": "Recipients", "per": 3_600_000, "count": 50 }]);
        let some =
            json!({ "loginsFromAbroad": "Refuse", "classification": "Unwanted", "limits": limits });
        assert_eq!(
            described(&shown(some.clone(), &["loginsFromAbroad"]), Palette::Plain),
            "taro@example.jp\n    loginsFromAbroad  Refuse  (its own choice)\n    classification    Unwanted\n    \
             limits            per-account:Recipients/1h=50\n"
        );
        assert_eq!(
            described(&shown(json!({}), &[]), Palette::Plain),
            "taro@example.jp: nothing is set, so the defaults of the rules hold\n"
        );
        let unheeded = Shown {
            warnings: vec!["Bytes in 1h of \u{1b}x does nothing".to_owned()],
            ..shown(some.clone(), &[])
        };
        let text = described(&unheeded, Palette::Plain);
        assert!(
            text.ends_with("    warning: Bytes in 1h of \u{fffd}x does nothing\n"),
            "{text:?}"
        );
        let line = json!({ "at": 1_785_474_729_123_u64, "who": "a\u{1b}[2J", "why": "4711", "job": 7, "settings": some });
        let told = told(&serde_json::from_value(line).unwrap());
        assert!(
            told.contains("by a\u{fffd}[2J, change of many 7\n    4711"),
            "{told:?}"
        );
    }
}
