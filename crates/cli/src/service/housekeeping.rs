//! What is done now and then: old records go, and what is old of account states.

use std::time::Duration;

use sekisho_policy::{Millis, Timestamp};
use sekisho_runtime::{Clock, Shutdown};
use sekisho_store::{AccountStates, SettingsStore, Store, StoreError, Tending};
use tokio::time::{MissedTickBehavior, interval};

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

/// Notes which restrictions are over, and forgets what is old, until the process drains.
pub(crate) async fn tend_accounts(accounts: AccountStates, clock: Clock, shutdown: Shutdown) {
    let mut ticks = interval(ACCOUNTS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_failing, mut is_full) = (false, false);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.draining() => return,
        }
        let now = Timestamp(clock.now_ms());
        match accounts.tend(now, Tending::default()).await {
            Ok(_) => is_failing = false,
            Err(error) if !std::mem::replace(&mut is_failing, true) => {
                tracing::error!(%error, "restrictions that are over cannot be noted as such; they hold no longer all the same");
            }
            Err(_) => {}
        }
        match forget_settings(accounts.settings()).await {
            Ok(()) => is_full = false,
            Err(error) if !std::mem::replace(&mut is_full, true) => {
                tracing::error!(%error, "what is old of settings of accounts cannot be deleted");
            }
            Err(_) => {}
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
