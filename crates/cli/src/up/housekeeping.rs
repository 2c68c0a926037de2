//! What is done now and then beside what every process does: certificates that come to their end are made anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::gateways::Gateways;

const EVERY: Duration = Duration::from_secs(60 * 60);

/// Keeps house until the process drains.
pub(super) async fn run(gateways: Arc<Gateways>) {
    let shared = gateways.shared();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shared.shutdown.draining() => return,
        }
        gateways.reload_certificates().await;
    }
}
