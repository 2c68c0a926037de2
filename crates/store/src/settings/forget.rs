//! What is old is forgotten little by little: nobody who changes settings waits for more than some thousand rows.

use sekisho_policy::Timestamp;

use super::tables::Tables;
use super::{Backend, Fault, SettingsStore};
use crate::StoreError;
use crate::records::number;
use crate::states::{in_transaction, reading, timestamp};

/// Rows that are forgotten in one transaction.
const AT_A_TIME: i64 = 2_000;

impl SettingsStore {
    /// The time by which what is old is deleted: it is kept with the restrictions, whenever somebody tends them, and a clock that
    /// jumps ahead does not take it along.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cautious_time(&self) -> Result<Timestamp, StoreError> {
        let cautious = reading!(self, tables => tables.cautious_time().await.map_err(Fault::from));
        Ok(timestamp(cautious.max(0)))
    }

    /// Forgets the history from before `history`, and what was reset before `reset`: proxies that heard nothing for longer are
    /// told the whole. How many entries of the history went.
    ///
    /// # Errors
    /// [`StoreError`]; what was forgotten until then stays so.
    pub async fn forget(&self, history: Timestamp, reset: Timestamp) -> Result<u64, StoreError> {
        let (history, reset) = (number(history.0), number(reset.0));
        let due =
            reading!(self, tables => tables.places_with_reset(reset).await.map_err(Fault::from));
        for namespace in due {
            while in_transaction!(self, tables => forget_reset(tables, &namespace, reset).await)
                >= AT_A_TIME.unsigned_abs()
            {}
        }
        let mut gone = 0;
        loop {
            let some = in_transaction!(self, tables => {
                tables.forget_history(history, AT_A_TIME).await.map_err(Fault::from)
            });
            gone += some;
            if some < AT_A_TIME.unsigned_abs() {
                break;
            }
        }
        // Who and why of a change of many is needed as long as its entries are there.
        while in_transaction!(self, tables => {
            tables.forget_jobs(history, AT_A_TIME).await.map_err(Fault::from)
        }) >= AT_A_TIME.unsigned_abs()
        {}
        Ok(gone)
    }
}

/// How many went; the horizon moves behind them.
async fn forget_reset(
    tables: &mut impl Tables,
    namespace: &str,
    before: i64,
) -> Result<u64, Fault> {
    tables.lock(namespace).await?;
    let gone = tables.forget_reset(namespace, before, AT_A_TIME).await?;
    if let Some(&last) = gone.iter().max() {
        tables.move_horizon(namespace, last).await?;
    }
    Ok(gone.len() as u64)
}
