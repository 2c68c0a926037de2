//! Next hops are talked to in nobody's name: those that nobody has talked to yet, so that the first client is told the truth of
//! what they offer, and those that were taken out, to learn whether they serve again.

use std::sync::Arc;
use std::time::Duration;

use sekisho_runtime::metrics::PoolMetrics;
use tokio::time::{Instant, timeout_at};

use super::NextHops;
use super::failure::Fault;
use super::handshake::Attempt;
use super::hops::Environment;
use super::lane::Lane;
use super::outlier::Outcome;
use crate::luck::luck;

/// How long one next hop may take for it, whatever else is allowed.
const PATIENCE: Duration = Duration::from_secs(10);

impl NextHops {
    /// Asks each of them that is not known, one after the other; how many then still are not.
    ///
    /// What fails here says nothing of a next hop's health: mail may find it well.
    pub(crate) async fn probe(&self) -> usize {
        let mut unknown = 0;
        for group in self.groups() {
            for lane in group.lanes().filter(|lane| !lane.seen.is_known()) {
                if let Err(fault) = look_at(self.environment(), &group.metrics, lane).await {
                    tracing::debug!(hop = %lane.key.address, %fault, "what a next hop offers is not known yet");
                    unknown += 1;
                }
            }
        }
        unknown
    }
}

/// Asks an endpoint that was taken out whether it serves.
pub(super) async fn probe(environment: Arc<Environment>, metrics: PoolMetrics, lane: Arc<Lane>) {
    let outcome = match look_at(&environment, &metrics, &lane).await {
        Ok(()) => Outcome::Served,
        Err(fault) => {
            tracing::warn!(hop = %lane.key.address, %fault, "a probe failed");
            Outcome::Failed
        }
    };
    lane.endpoint
        .outlier
        .probed(outcome, Instant::now(), luck());
}

async fn look_at(
    environment: &Environment,
    metrics: &PoolMetrics,
    lane: &Arc<Lane>,
) -> Result<(), Fault> {
    let deadline = Instant::now() + PATIENCE;
    let attempt = Attempt {
        environment,
        metrics,
        lane,
        identity: None,
        login: None,
        deadline,
        seed: 0,
    };
    timeout_at(deadline, attempt.look())
        .await
        .map_err(|_| Fault::Deadline)?
}
