//! `sekisho account`: what an account may not do now, asked of a running process and changed there.

mod desk;
mod path;
mod place;
mod queue_id;
mod queued;
mod settings;

use anyhow::Result;
use clap::{Args, Subcommand};
use sekisho_policy::{Level, Millis, Origin};

use self::place::Whose;
use crate::Outcome;
use crate::args::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Show what restricts an account now, and until when, why and who said so.
    Show(Whose),
    /// Restrict an account. It bites within a second, in sessions that are open too.
    Restrict(Restrict),
    /// Release an account from what restricts it, and end its lock.
    Release(Release),
    /// Show who restricted and released an account and why, the newest first.
    History(Whose),
    /// List what next hops called the account's recent messages, to be purged from their queues.
    Queued(Queued),
    /// See and change what accounts have set for themselves: logins from abroad, classification, limits of their own.
    #[command(subcommand)]
    Settings(settings::Settings),
}

#[derive(Debug, Args)]
pub(crate) struct Restrict {
    #[command(flatten)]
    whose: Whose,
    /// How much: Watch (nothing is refused), Limit (few recipients an hour), Quarantine (the pool for spam only), Suspend.
    #[arg(long, value_parser = level)]
    level: Level,
    /// How long: hours, minutes and seconds. Without it, until it is released.
    #[arg(long = "for", value_parser = duration, value_name = "DURATION")]
    lasts: Option<Millis>,
    /// With the level Limit: how many recipients in an hour, 10 if not given.
    #[arg(long, value_name = "COUNT")]
    recipients_per_hour: Option<u32>,
    /// Why, for the audit trail, such as the number of a ticket.
    #[arg(long)]
    why: String,
}

#[derive(Debug, Args)]
pub(crate) struct Release {
    #[command(flatten)]
    whose: Whose,
    /// What is released: `Desk`, or a rule as Kind/namespace/name. Without it, everything, locks of logins too.
    #[arg(long)]
    origin: Option<Origin>,
    /// How long ago somebody else began to use the account: hours, minutes and seconds, or 0s if nobody did. What it logged in from
    /// since is not known to be good any more. Without it, seven days before the oldest restriction that ends.
    #[arg(long, value_parser = duration_or_none, value_name = "DURATION", conflicts_with = "origin")]
    since: Option<Millis>,
    /// Why, for the audit trail, such as the number of a ticket.
    #[arg(long)]
    why: String,
}

#[derive(Debug, Args)]
pub(crate) struct Queued {
    #[command(flatten)]
    whose: Whose,
    /// How far back: hours, minutes and seconds.
    #[arg(long, default_value = "24h", value_parser = duration, value_name = "DURATION")]
    since: Millis,
    /// Print the ids alone, one on each line.
    #[arg(long)]
    ids: bool,
    /// Only what went to this next hop: its address, or the name of a pool or of its member.
    #[arg(long, value_name = "NAME")]
    hop: Option<String>,
}

pub(crate) async fn run(command: &Account) -> Result<Outcome> {
    match command {
        Account::Show(whose) => desk::show(whose).await,
        Account::Restrict(restrict) => desk::restrict(restrict).await,
        Account::Release(release) => desk::release(release).await,
        Account::History(whose) => desk::history(whose).await,
        Account::Queued(queued) => queued::list(queued).await,
        Account::Settings(command) => settings::run(command).await,
    }
}

/// A time, or none.
fn duration_or_none(text: &str) -> Result<Millis, String> {
    match text {
        "0s" => Ok(Millis(0)),
        text => duration(text),
    }
}

fn level(text: &str) -> Result<Level, String> {
    let levels = [
        Level::Watch,
        Level::Limit,
        Level::Quarantine,
        Level::Suspend,
    ];
    let named = |level: &Level| level.to_string().eq_ignore_ascii_case(text);
    levels
        .into_iter()
        .find(named)
        .ok_or_else(|| "a level is Watch, Limit, Quarantine or Suspend".to_owned())
}
