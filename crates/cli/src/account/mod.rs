//! `sekisho account`: what an account may not do now, asked of a running process and changed there.

mod desk;
mod path;
mod queue_id;
mod queued;
mod settings;

use clap::{Args, Subcommand};
use sekisho_policy::{Account as Name, Level, Millis, Origin};

use std::path::PathBuf;

use anyhow::Result;

use crate::Outcome;
use crate::args::{OutputFormat, duration};
use crate::server::Server;

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Show what restricts an account now, and until when, why and who said so.
    Show(Whose),
    /// Restrict an account. It bites within a second, in sessions that are open too.
    Restrict(Restrict),
    /// Release an account from what restricts it.
    Release(Release),
    /// Show who restricted and released an account and why, the newest first.
    History(Whose),
    /// List what next hops called the account's recent messages, to be purged from their queues.
    Queued(Queued),
    /// See and change what accounts have set for themselves: logins from abroad, classification, limits of their own.
    #[command(subcommand)]
    Settings(settings::Settings),
}

/// Which account, and where it is asked about.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// The account, as it logs in.
    account: String,
    /// The namespace of the gateways that know it.
    #[arg(short, long, default_value = "default", value_name = "NAME")]
    namespace: String,
    /// Where the running process answers: `sekisho up`, or the control plane.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The file that holds its bearer token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = OutputFormat::Text)]
    format: OutputFormat,
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
    /// What is released: `Desk`, or a rule as Kind/namespace/name. Without it, everything.
    #[arg(long)]
    origin: Option<Origin>,
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

impl Whose {
    fn server(&self) -> Result<Server> {
        Server::at(&self.url, self.token_file.as_deref())
    }

    fn name(&self) -> Name {
        Name::canonical(&self.account, None)
    }

    /// The path of the account's resource, and what of it; a query can follow.
    fn path(&self, what: &str) -> String {
        path::of_account(&self.name(), what, &self.namespace)
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
