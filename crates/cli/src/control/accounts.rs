//! Where account states are: in a database that all replicas share, or in the ledger's file.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_runtime::Shutdown;
use sekisho_runtime::health::Component;
use sekisho_store::{AccountStates, Store};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::service::Trouble;

/// How often is looked whether another replica changed something: proxies hear of it within a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A database that failed is asked again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const LARGEST: u64 = 4096;

/// Account states in the database whose address is in the file, else in the ledger, if there is one.
///
/// # Errors
/// The file cannot be read, or holds no address. Whether the database answers is seen later: configuration does not wait for it.
pub(super) fn open(
    database: Option<&Path>,
    store: Option<&Store>,
) -> Result<Option<AccountStates>> {
    let Some(file) = database else {
        return Ok(store.map(AccountStates::in_ledger));
    };
    let at = || format!("--accounts-database {}", file.display());
    let length = std::fs::metadata(file).with_context(at)?.len();
    anyhow::ensure!(length <= LARGEST, "{} has {length} octets", at());
    let address = std::fs::read_to_string(file).with_context(at)?;
    Ok(Some(AccountStates::in_postgres(&address).with_context(at)?))
}

/// Looks what other replicas changed, until the process drains; each trouble is logged once until it is over.
pub(super) async fn follow(states: AccountStates, component: Component, shutdown: Shutdown) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble = Trouble::said_as(
        "account states cannot be read: proxies go by what they know",
        "account states can be read again",
    );
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.draining() => return,
        }
        let looked = async {
            states.settings().look().await?;
            states.look().await
        };
        match looked.await {
            Ok(_) => {
                trouble.over();
                component.ok();
            }
            Err(error) => {
                component.degraded(error.to_string());
                trouble.note(&error);
                sleep(RETRY_AFTER).await;
            }
        }
    }
}
