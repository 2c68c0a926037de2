//! `sekisho ledger`, and where the ledger is.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use sekisho_policy::{Account, Timestamp};
use sekisho_runtime::Clock;
use sekisho_store::{Mandate, Store};

use crate::args::Ledger;
use crate::{Outcome, output};

/// The file of the ledger in a state folder.
pub(crate) fn path(state: &Path) -> PathBuf {
    state.join("ledger.sqlite")
}

pub(crate) async fn run(command: &Ledger) -> Result<Outcome> {
    match command {
        Ledger::Erase {
            account,
            state,
            why,
        } => erase(&Account::canonical(account, None), state, why).await?,
    }
    Ok(Outcome::Done)
}

/// Erases the records of one account; a process that writes the ledger meanwhile is not disturbed.
async fn erase(account: &Account, state: &Path, why: &str) -> Result<()> {
    let path = path(state);
    ensure!(
        path.exists(),
        "there is no ledger in {}: name the state folder with --state",
        state.display()
    );
    let store = Store::open(&path).await?;
    let mandate = Mandate {
        at: Timestamp(Clock::system().now_ms()),
        who: user(),
        why: why.to_owned(),
    };
    let erased = store.erase_account(account, &mandate).await?;
    store.close().await;
    output::print(&format!("{erased} records of {account} erased\n"))
}

/// Who is at the keyboard, for the audit trail.
pub(crate) fn user() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "the name of the user is in the environment, and this is the binary"
    )]
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    name.unwrap_or_else(|_| "unknown".to_owned())
}
