//! What is done now and then: old records go, and what is old of account states.

use std::ops::ControlFlow;
use std::time::Duration;

use sekisho_policy::{Millis, Timestamp};
use sekisho_runtime::{Clock, Shutdown};
use sekisho_store::{AccountStates, Pruned, SettingsStore, Store, StoreError, Tending};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Trouble;

const ACCOUNTS_EVERY: Duration = Duration::from_secs(60);
/// Who set what of an account is kept so long, and settings that were reset: a proxy that heard nothing for longer is told the whole.
const HISTORY: Millis = Millis(400 * Millis::DAY.0);
const RESET: Millis = Millis(7 * Millis::DAY.0);

/// How often: a tenth of how long records are kept, so that they go little by little and are hardly older than was promised; but at
/// least once an hour, and at most every ten seconds.
pub(crate) fn every(retention: Millis) -> Duration {
    const LEAST: Duration = Duration::from_secs(10);
    const MOST: Duration = Duration::from_secs(60 * 60);
    Duration::from_millis(retention.0 / 10).clamp(LEAST, MOST)
}

/// Deletes the records of the ledger that are older than they are to be kept, now and then until the process drains. A process that is
/// started every morning does so as well.
pub(crate) async fn forget_old_records(
    store: Store,
    clock: Clock,
    retention: Millis,
    shutdown: Shutdown,
) {
    let mut ticks = interval(every(retention));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.draining() => return,
        }
        let before = Timestamp(clock.now_ms().saturating_sub(retention.0));
        // In a third of the time at most: in one go, what is old would keep the disk and a core from sessions for seconds.
        let shutdown = &shutdown;
        let pause = |took: Duration| async move {
            tokio::select! {
                () = sleep(2 * took) => ControlFlow::Continue(()),
                () = shutdown.draining() => ControlFlow::Break(()),
            }
        };
        match store.prune_with(before, pause).await {
            Ok(Pruned { records: 0, .. }) => {}
            Ok(Pruned { records, snapshots }) => {
                tracing::info!(records, snapshots, "old records deleted");
            }
            Err(error) => tracing::error!(%error, "old records cannot be deleted"),
        }
    }
}

/// Notes which restrictions are over, and forgets what is old, until the process drains.
pub(crate) async fn tend_accounts(accounts: AccountStates, clock: Clock, shutdown: Shutdown) {
    let mut ticks = interval(ACCOUNTS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tending = Trouble::said_as(
        "restrictions that are over cannot be noted as such; they hold no longer all the same",
        "restrictions that are over are noted as such again",
    );
    let mut forgetting = Trouble::said_as(
        "what is old of settings of accounts cannot be deleted",
        "what is old of settings of accounts is deleted again",
    );
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.draining() => return,
        }
        let now = Timestamp(clock.now_ms());
        match accounts.tend(now, Tending::default()).await {
            Ok(_) => tending.over(),
            Err(error) => tending.note(&error),
        }
        match forget_settings(accounts.settings()).await {
            Ok(()) => forgetting.over(),
            Err(error) => forgetting.note(&error),
        }
    }
}

/// By the cautious time that tending keeps: a clock that jumped ahead deletes nothing.
async fn forget_settings(settings: &SettingsStore) -> Result<(), StoreError> {
    let now = settings.cautious_time().await?;
    let before = |span: Millis| Timestamp(now.0.saturating_sub(span.0));
    settings.forget(before(HISTORY), before(RESET)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_soon_after_their_time() {
        for (kept, seconds) in [(720 * 3600, 3600), (3600, 360), (60, 10), (0, 10)] {
            assert_eq!(every(Millis::from_secs(kept)).as_secs(), seconds, "{kept}");
        }
    }
}
