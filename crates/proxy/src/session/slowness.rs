//! How a session is made to wait, and how long it may last.

use std::time::Duration;

use sekisho_policy::Verdict;
use sekisho_runtime::metrics::Detection;
use tokio::time::sleep;

use super::io::Gone;
use super::stream::Transport;
use super::{Flow, Session};
use crate::engine::Judged;
use crate::tarpit;

impl<S: Transport> Session<S> {
    /// Has the reply to an error wait, longer with each error, if the session goes on after it.
    pub(super) async fn repent_unless_over(&mut self, flow: Flow) -> Result<Flow, Gone> {
        if flow == Flow::On
            && let Some(wait) = tarpit::wait(&self.limits.tarpit, self.tally.sins())
        {
            Box::pin(self.sink(wait)).await?;
        }
        Ok(self.enough().unwrap_or(flow))
    }

    /// Puts up with the pause that a verdict imposes.
    pub(super) async fn pause(&mut self, judged: &Judged) {
        if let Verdict::Delay(millis) = judged.verdict() {
            let pause = Duration::from_millis(millis.0).min(self.shared.limits.delay);
            // Not in the tarpit: a pit that others have filled must not end a session that did nothing wrong. Whoever waits for
            // the session hears of a shutdown too.
            let _ = self.wait_out(pause).await;
        }
    }

    /// Waits in the tarpit. Where too many wait there already, the session ends instead.
    async fn sink(&mut self, wait: Duration) -> Result<(), Gone> {
        let Some(_sunk) = self.shared.pit.enter(&self.limits) else {
            self.tally.crowded_out = true;
            return Ok(());
        };
        self.shared.metrics.detected(Detection::Tarpitted);
        self.wait_out(wait).await
    }

    /// Waits, and holds meanwhile neither a connection to the next hop nor an empty buffer.
    async fn wait_out(&mut self, wait: Duration) -> Result<(), Gone> {
        self.rest_hop();
        self.wire.release();
        let resting = self.transaction.is_none();
        let shutdown = self.shared.shutdown.clone();
        tokio::select! {
            biased;
            () = shutdown.aborting() => Err(Gone::Draining),
            // What was said is heard at once, and the session ends.
            () = shutdown.draining(), if resting => Ok(()),
            () = sleep(wait) => Ok(()),
        }
    }

    /// The client has shown that it is worth its place: it logged in, or began a message.
    pub(super) fn prove(&mut self) {
        self.ends_at = self.latest_end;
    }
}
