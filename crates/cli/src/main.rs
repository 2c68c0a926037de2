//! The `sekisho` binary: parses the command line, runs one command, and prints why it failed, once.

mod account;
mod accounts;
mod args;
mod attack;
mod control;
mod crds;
mod demo;
mod explain;
mod herald;
mod inject;
mod ledger;
mod lint;
mod objects;
mod output;
mod ready;
mod server;
mod service;
mod simulate;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use sekisho_runtime::executor;

use crate::args::{Cli, Command};
use crate::output::visible;

/// The C library's allocator keeps what each thread has freed, and with it the 19 MiB of a password hash for every thread that
/// ever made one: after a few hundred logins that was 1.6 GB.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a command ended, other than by an error of its own.
enum Outcome {
    Done,
    /// It did what it was asked, and what it looked at is not in order.
    Wanting,
    /// There was nothing that it could do.
    Idle,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Wanting) => ExitCode::FAILURE,
        Ok(Outcome::Idle) => ExitCode::from(2),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    match cli.command {
        Command::Control(control) => executor()?.block_on(control::run(*control)),
        Command::Up(up) => executor()?.block_on(up::run(up)),
        Command::Lint(lint) => lint::run(&lint),
        Command::Test(test) => executor()?.block_on(test::run(&test)),
        Command::Explain(explain) => executor()?.block_on(explain::run(&explain)),
        Command::Account(account) => executor()?.block_on(account::run(&account)),
        Command::Accounts(accounts) => accounts::run(&accounts),
        Command::Ledger(ledger) => executor()?.block_on(ledger::run(&ledger)),
        Command::Attack(attack) => executor()?
            .block_on(attack::run(attack))
            .map(|()| Outcome::Done),
        Command::Inject(inject) => inject::run(&inject),
        Command::Ready(ready) => executor()?.block_on(ready::run(&ready)),
        Command::Crds => crds::run(),
    }
}

/// The error and what led to it, on one line each where they are long, and nothing twice.
#[expect(clippy::print_stderr, reason = "the last words of a command")]
fn complain(error: &anyhow::Error) {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many errors repeat their source in their own words.
        if !said.contains(&cause) {
            said.push_str(": ");
            said.push_str(&cause);
        }
    }
    let lines: Vec<_> = said.lines().map(visible).collect();
    eprintln!("sekisho: {}", lines.join("\n"));
}
