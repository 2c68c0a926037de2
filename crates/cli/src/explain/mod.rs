//! `sekisho explain`: of what happened, from the ledger; of what never happened, by asking the same engine.

mod hypothetical;
pub(crate) mod layout;
mod replay;
mod stored;
pub(crate) mod when;

use std::path::Path;

use anyhow::{Result, ensure};
use sekisho_store::Store;

use crate::args::{Explain, Question};
use crate::{Outcome, ledger};

pub(crate) async fn run(command: &Explain) -> Result<Outcome> {
    match command.question()? {
        Question::Recorded(id) => stored::explain(command, id).await?,
        Question::Hypothetical(rules) => hypothetical::explain(command, &rules).await?,
    }
    Ok(Outcome::Done)
}

/// The ledger of a state folder, to be read beside a process that may run there.
///
/// # Errors
/// There is none, or it cannot be read.
async fn open_to_read(state: &Path) -> Result<Store> {
    let path = ledger::path(state);
    ensure!(
        path.exists(),
        "there is no ledger in {}: name the state folder with --state, or a running process with --url",
        state.display()
    );
    Ok(Store::open_read_only(&path).await?)
}
