//! `sekisho ready`: what `helm test` runs, with the image that is there anyway.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep};

use crate::Outcome;
use crate::args::{Ready, as_std};
use crate::output;
use crate::server::Server;

const PAUSE: Duration = Duration::from_millis(500);

/// Asks until it is ready or the time is over.
///
/// # Errors
/// It was not ready in time: the last answer.
pub(crate) async fn run(command: &Ready) -> Result<Outcome> {
    let server = Server::at(&command.server, None)?;
    let deadline = Instant::now() + as_std(command.within);
    loop {
        match server.check_readiness().await {
            Ok(()) => {
                output::print(&format!("{} is ready\n", command.server))?;
                return Ok(Outcome::Done);
            }
            Err(error) if Instant::now() >= deadline => {
                return Err(error).with_context(|| format!("{} is not ready", command.server));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}
