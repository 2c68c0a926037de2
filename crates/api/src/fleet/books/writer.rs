//! The task that writes batches into the store, several in one transaction, and tries again until they are written.

use std::time::Duration;

use sekisho_policy::Record;
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::LedgerResult;
use sekisho_store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::room;
use super::series::Mark;

/// Records of one transaction, at least of the batches that wait.
const TRANSACTION: usize = 1024;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a store that fails is tried once no more batches can come.
const LAST_ATTEMPTS: u32 = 3;

/// A batch that waits to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) mark: Mark,
    pub(super) end: u64,
    pub(super) records: Vec<Record>,
    pub(super) told: oneshot::Sender<()>,
    pub(super) _room: room::Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Appended {
    Written,
    /// The store cannot hold them.
    Never,
    /// The store failed until the process had to end.
    NotNow,
}

/// Writes what [`super::Books`] takes.
#[derive(Debug)]
pub struct BooksWriter {
    store: Store,
    batches: mpsc::Receiver<Waiting>,
    metrics: Metrics,
}

impl BooksWriter {
    pub(super) fn new(store: Store, batches: mpsc::Receiver<Waiting>, metrics: Metrics) -> Self {
        Self {
            store,
            batches,
            metrics,
        }
    }

    /// Writes until the books are gone and all is written, or the store failed to the end.
    pub async fn run(mut self) {
        while let Some(first) = self.batches.recv().await {
            let mut together = vec![first];
            let mut records = together[0].records.len();
            while records < TRANSACTION
                && let Ok(next) = self.batches.try_recv()
            {
                records += next.records.len();
                together.push(next);
            }
            self.write(together).await;
        }
    }

    async fn write(&self, mut together: Vec<Waiting>) {
        let records: Vec<Record> = together
            .iter_mut()
            .flat_map(|batch| std::mem::take(&mut batch.records))
            .collect();
        let result = self.append(&records).await;
        let metric = match result {
            Appended::Written => LedgerResult::Written,
            Appended::Never | Appended::NotNow => LedgerResult::Dropped,
        };
        self.metrics.ledger_records(metric, records.len() as u64);
        if result == Appended::NotNow {
            // Proxies are not told that these are kept, and send them to the next process.
            return;
        }
        for batch in together {
            // Also of records that can never be written: sending them again would not help.
            batch.mark.written(batch.end);
            // Whoever waited may have gone.
            let _ = batch.told.send(());
        }
    }

    async fn append(&self, records: &[Record]) -> Appended {
        let mut attempt = 0;
        loop {
            match self.store.append(records).await {
                Ok(_) => {
                    if attempt > 0 {
                        tracing::info!("the ledger is written again");
                    }
                    return Appended::Written;
                }
                Err(error @ StoreError::Unwritable { .. }) => {
                    tracing::error!(%error, lost = records.len(), "records cannot be written");
                    return Appended::Never;
                }
                // Only the first is logged: a full disk must not be filled further by saying so.
                Err(error) if attempt == 0 => {
                    tracing::error!(%error, "the ledger cannot be written; proxies keep what does not fit");
                }
                Err(_) if attempt >= LAST_ATTEMPTS && self.batches.is_closed() => {
                    tracing::error!(
                        lost = records.len(),
                        "the ledger could not be written to the end"
                    );
                    return Appended::NotNow;
                }
                Err(_) => {}
            }
            attempt += 1;
            sleep(RETRY_AFTER).await;
        }
    }
}
