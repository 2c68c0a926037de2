//! Nobody is restricted unheard: what rules impose waits in the store's outbox for the channels that their steps name, and is told
//! from there until it was heard. `sekisho up` tells by itself; of the replicas of a control plane the one that holds the lease.

mod delivery;
mod rounds;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_api::{Answer, Configs};
use sekisho_policy::Timestamp;
use sekisho_proxy::Webhooks;
use sekisho_runtime::{Clock, Metrics, Shutdown};
use sekisho_store::{Outbox, StoreError};
use tokio::time::timeout;
use zeroize::Zeroizing;

use self::rounds::Rounds;

/// How often it is looked whether a message is due: again, or because another replica posted it.
const EVERY: Duration = Duration::from_secs(1);

/// Whether this process may tell.
pub(crate) trait License: Send + Sync {
    /// How long an attempt that begins now may take; nothing if none may begin.
    fn time_left(&self) -> Option<Duration>;
}

/// A process that is the only one may always tell.
pub(crate) struct Alone;

impl License for Alone {
    fn time_left(&self) -> Option<Duration> {
        Some(Duration::MAX)
    }
}

/// Where the secrets of channels are.
pub(crate) trait Signing: Send + Sync {
    /// What messages are signed with, from the Secret of that namespace and name; or why that is not to be had, for the log.
    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Answer<'a, Result<Zeroizing<Vec<u8>>, String>>;
}

/// What the herald works with.
pub(crate) struct Tools {
    pub(crate) outbox: Outbox,
    /// Where channels are, as snapshots name them.
    pub(crate) configs: Configs,
    pub(crate) secrets: Arc<dyn Signing>,
    pub(crate) license: Arc<dyn License>,
    pub(crate) webhooks: Webhooks,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

/// Tells channels. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Herald(Arc<Inner>);

struct Inner {
    tools: Tools,
    /// Messages that were told and could not be crossed out.
    told: Mutex<BTreeSet<String>>,
}

impl Herald {
    pub(crate) fn new(tools: Tools) -> Self {
        Self(Arc::new(Inner {
            tools,
            told: Mutex::default(),
        }))
    }

    /// Tells what is due while it may, until the process drains. What is left is told by the next run, or by another replica. Each
    /// channel is told by itself: one that does not answer keeps no other waiting.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut rounds = Rounds::default();
        loop {
            if self.0.tools.license.time_left().is_some()
                && let Err(error) = self.begin_rounds(&mut rounds).await
                && !std::mem::replace(&mut rounds.is_failing, true)
            {
                tracing::error!(%error, "messages for channels cannot be read");
            }
            tokio::select! {
                () = shutdown.draining() => return,
                Some(ended) = rounds.ended() => rounds.note(ended),
                // Time is over, or there is something new: either way it is looked again.
                _ = timeout(EVERY, self.0.tools.outbox.posted()) => {}
            }
        }
    }

    async fn begin_rounds(&self, rounds: &mut Rounds) -> Result<(), StoreError> {
        let due = self.0.tools.outbox.due_channels(self.now()).await?;
        rounds.is_failing = false;
        rounds.forget_rests();
        for name in due {
            if rounds.may_begin(&name) {
                let herald = self.clone();
                let channel = name.clone();
                rounds.begin(name, async move { herald.tell_channel(&channel).await });
            }
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.0.tools.clock.now_ms())
    }
}

#[cfg(test)]
mod tests;
