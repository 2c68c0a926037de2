//! `sekisho account settings`: what accounts have set, asked of a running process and changed there, for one or for many.

mod limit;
mod list;
mod many;
mod one;
mod progress;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use sekisho_policy::settings::{Filtering, LoginsFromAbroad, OwnLimit};
use sekisho_store::{Chooser, Keep, SettingsPatch};

use super::place::{Place, Whose};
use crate::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum Settings {
    /// Show what an account has set, and which of it the account chose itself.
    Show(Whose),
    /// Set something of an account, and leave the rest. Logins and messages go by it within a second, at every proxy.
    Set(Set),
    /// Take back all that an account has set: the defaults of the rules hold for it again.
    Reset(Reset),
    /// Show who set what of an account, the newest first.
    History(Whose),
    /// Change the settings of many accounts, which a file names one on each line.
    ///
    /// A line is the name of an account, which gets what the options say, or JSON like
    /// {"account":"taro@example.jp","settings":{"loginsFromAbroad":"Refuse"}}, where null takes back what was set.
    Import(Import),
    /// Change the settings of all accounts of the namespace that have some.
    Bulk(Bulk),
    /// List the changes of many accounts, the newest first, and how far they are.
    Jobs(Place),
    /// End changes of many accounts before their time. What they changed stays.
    Cancel(Cancel),
}

/// What is to be set.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Whether logins from abroad are refused, where a CountryRule goes by it (appliesTo).
    #[arg(long, value_enum, value_name = "WHAT")]
    logins_from_abroad: Option<LoginsWanted>,
    /// Whether messages are classified, where a SubmissionPolicy goes by it (classify.appliesTo).
    #[arg(long, value_enum, value_name = "WHAT")]
    classification: Option<FilteringWanted>,
    /// A count of its own for a limit of a RateLimit, like per-account:Recipients/1h=50; given several times, all that it
    /// has of its own.
    #[arg(long = "limit", value_parser = limit::parse, value_name = "RULE:UNIT/PER=COUNT")]
    limits: Vec<OwnLimit>,
    /// Take back all counts of its own.
    #[arg(long, conflicts_with = "limits")]
    no_limits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum LoginsWanted {
    Refuse,
    Allow,
    /// What the rules say for who has set nothing.
    Unset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum FilteringWanted {
    Wanted,
    Unwanted,
    /// What the rules say for who has set nothing.
    Unset,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    wanted: Wanted,
    /// Whose choice it is. Changes of many leave what accounts chose themselves alone.
    #[arg(long, value_enum, default_value_t = ChosenBy::Operator, value_name = "WHO")]
    chosen_by: ChosenBy,
    /// Why, for the audit trail, such as the number of a ticket.
    #[arg(long)]
    why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum ChosenBy {
    Operator,
    Account,
}

#[derive(Debug, Args)]
pub(crate) struct Reset {
    #[command(flatten)]
    whose: Whose,
    /// Why, for the audit trail, such as the number of a ticket.
    #[arg(long)]
    why: String,
}

/// How many are changed.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Only count what would change.
    #[arg(long)]
    dry_run: bool,
    /// What is left alone.
    #[arg(long, value_enum, default_value_t = Kept::OwnChoices, value_name = "WHAT")]
    keep: Kept,
    /// Why, for the audit trail, such as the number of a ticket.
    #[arg(long)]
    why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Kept {
    /// What accounts chose themselves.
    OwnChoices,
    Nothing,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file, or `-` for standard input.
    file: PathBuf,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Bulk {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The numbers of the changes, as `jobs` lists them: an import has one for each 20,000 accounts.
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<u64>,
    #[command(flatten)]
    place: Place,
}

pub(super) async fn run(command: &Settings) -> Result<Outcome> {
    match command {
        Settings::Show(whose) => one::show(whose).await,
        Settings::Set(set) => one::set(set).await,
        Settings::Reset(reset) => one::reset(reset).await,
        Settings::History(whose) => one::history(whose).await,
        Settings::Import(import) => many::import(import).await,
        Settings::Bulk(bulk) => many::bulk(bulk).await,
        Settings::Jobs(place) => many::jobs(place).await,
        Settings::Cancel(cancel) => many::cancel(cancel).await,
    }
}

impl Wanted {
    fn patch(&self) -> Result<SettingsPatch> {
        let patch = SettingsPatch {
            logins_from_abroad: self.logins_from_abroad.map(|wanted| match wanted {
                LoginsWanted::Refuse => Some(LoginsFromAbroad::Refuse),
                LoginsWanted::Allow => Some(LoginsFromAbroad::Allow),
                LoginsWanted::Unset => None,
            }),
            classification: self.classification.map(|wanted| match wanted {
                FilteringWanted::Wanted => Some(Filtering::Wanted),
                FilteringWanted::Unwanted => Some(Filtering::Unwanted),
                FilteringWanted::Unset => None,
            }),
            limits: match (&self.limits[..], self.no_limits) {
                ([], false) => None,
                ([], true) => Some(None),
                (limits, _) => Some(Some(limits.into())),
            },
        };
        Ok(patch.checked()?)
    }

    /// The same where something has to be said.
    fn some_patch(&self) -> Result<SettingsPatch> {
        let patch = self.patch()?;
        ensure!(
            !patch.is_empty(),
            "say what is to be set: --logins-from-abroad, --classification, --limit or --no-limits"
        );
        Ok(patch)
    }
}

impl From<ChosenBy> for Chooser {
    fn from(by: ChosenBy) -> Self {
        match by {
            ChosenBy::Operator => Self::Operator,
            ChosenBy::Account => Self::Account,
        }
    }
}

impl From<Kept> for Keep {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::OwnChoices => Self::OwnChoices,
            Kept::Nothing => Self::Nothing,
        }
    }
}

const WITHOUT_STORE: &str =
    "that process keeps no settings: a control plane needs --store or --accounts-database";
