//! What is done every hour: old records go, and certificates that come to their end are made anew.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::{Millis, Timestamp};
use sekisho_runtime::Clock;
use sekisho_store::Store;
use tokio::time::{MissedTickBehavior, interval};

use super::gateways::Gateways;

pub(crate) const EVERY: Duration = Duration::from_secs(60 * 60);

/// Deletes the records of the ledger that are older than they are to be kept.
pub(crate) async fn forget_old_records(store: &Store, clock: &Clock, retention: Millis) {
    let before = Timestamp(clock.now_ms().saturating_sub(retention.0));
    match store.prune(before).await {
        Ok(pruned) if pruned.records > 0 => {
            tracing::info!(
                records = pruned.records,
                snapshots = pruned.snapshots,
                "old records deleted"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "old records cannot be deleted"),
    }
}

/// Keeps house until the process drains.
pub(super) async fn run(gateways: Arc<Gateways>, store: Store, retention: Millis) {
    let shared = gateways.shared();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is at once: a process that is started every morning prunes as well.
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.shutdown.draining() => return,
        }
        forget_old_records(&store, &shared.clock, retention).await;
        gateways.reload_certificates().await;
    }
}
