//! What is done now and then beside what every process does: certificates that come to their end are made anew.

use std::sync::Arc;

use sekisho_policy::Millis;
use sekisho_store::Store;
use tokio::time::{MissedTickBehavior, interval};

use super::gateways::Gateways;
use crate::service::housekeeping::{every, forget_old_records};

/// Keeps house until the process drains.
pub(super) async fn run(gateways: Arc<Gateways>, store: Store, retention: Millis) {
    let shared = gateways.shared();
    let mut ticks = interval(every(retention));
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
