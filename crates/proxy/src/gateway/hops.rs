//! Looks at next hops that are new, so that what we offer is what they take.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::shared::Shared;

/// How long an unknown next hop is left alone at most, before it is asked again.
const MOST: Duration = Duration::from_secs(600);

/// Runs until the process drains: after each new snapshot, and again, less and less often, while a next hop is not known.
pub(super) async fn watch(shared: Arc<Shared>) {
    let mut looked_at = None;
    let mut pause = shared.limits.probe;
    let mut again = None;
    loop {
        tokio::select! {
            () = sleep(jittered(&shared)) => {}
            () = shared.shutdown.draining() => return,
        }
        let live = shared.live();
        let generation = live.rules.generation();
        if looked_at != Some(generation) {
            pause = shared.limits.probe;
        } else if again.is_none_or(|again| Instant::now() < again) {
            continue;
        }
        looked_at = Some(generation);
        let unknown = tokio::select! {
            unknown = live.hops.probe() => unknown,
            () = shared.shutdown.draining() => return,
        };
        pause = (pause * 2).min(MOST);
        again = (unknown > 0).then(|| Instant::now() + pause);
    }
}

/// Once or twice the pause, so that a thousand proxies with one new snapshot do not all come at once.
fn jittered(shared: &Shared) -> Duration {
    let pause = shared.limits.probe;
    pause + pause.mul_f64((shared.ids.number() % 1024) as f64 / 1024.0)
}
