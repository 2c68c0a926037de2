//! Changes of many accounts' settings, made a batch at a time.

use std::time::Duration;

use sekisho_policy::Timestamp;
use sekisho_runtime::{Clock, Shutdown};
use sekisho_store::{SettingsStore, Worked};
use tokio::time::sleep;

use super::Trouble;

/// Whether another process began a change of many is looked at so often.
const LOOK_FOR_WORK: Duration = Duration::from_secs(5);
/// Between two batches, so that others get their turn.
const BREATH: Duration = Duration::from_millis(5);
const TROUBLE: Trouble = Trouble::said_as(
    "changes of many accounts' settings cannot go on; they are tried again every few seconds",
    "changes of many accounts' settings go on again",
);

/// Makes changes of many accounts, until the process drains. What is left is made by the next run.
pub(crate) async fn work(store: SettingsStore, clock: Clock, shutdown: Shutdown) {
    let mut begun = store.begun();
    let mut trouble = TROUBLE;
    while !shutdown.is_draining() {
        begun.mark_unchanged();
        match store.work(Timestamp(clock.now_ms())).await {
            Ok(Worked::More) => {
                trouble.over();
                sleep(BREATH).await;
                continue;
            }
            Ok(Worked::Nothing) => trouble.over(),
            Err(error) => trouble.note(&error),
        }
        tokio::select! {
            () = sleep(LOOK_FOR_WORK) => {}
            _ = begun.changed() => {}
            () = shutdown.draining() => {}
        }
    }
}
