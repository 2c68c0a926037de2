//! From the sessions' channel to the ledger: each record is counted, copied as a line of JSON where asked, and written.

use std::sync::Arc;
use std::time::Duration;

use sekisho_api::{Inbox, Tally};
use sekisho_policy::Record;
use sekisho_runtime::Metrics;
use sekisho_runtime::health::{Component, Vital};
use sekisho_runtime::metrics::LedgerResult;
use sekisho_store::{Store, Writer, WriterCounts, WriterSettings};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::json_lines::JsonLines;

/// Records between this task and the writer; while it is full, the sessions' own channel fills.
const WAITING: usize = 1024;
/// Records that are taken from the sessions together.
const BATCH: usize = 256;
/// A rest before more are taken: while it lasts, a session that leaves a record wakes nobody.
const REST: Duration = Duration::from_millis(5);
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Who hears of a record beside the ledger.
pub(super) struct Listeners {
    pub(super) tally: Tally,
    pub(super) inbox: Option<Inbox>,
    pub(super) json_lines: Option<JsonLines>,
}

/// What the writer did is told to these.
#[derive(Clone)]
pub(super) struct Witnesses {
    pub(super) metrics: Metrics,
    pub(super) component: Component,
}

/// Starts to write down what comes through `records`. The task ends when every session has let go of the channel and
/// all is written.
pub(super) fn start(
    store: Store,
    records: mpsc::Receiver<Box<Record>>,
    listeners: Listeners,
    witnesses: Witnesses,
    vital: Vital,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (forward, waiting) = mpsc::channel(WAITING);
        let writer = Writer::new(store, waiting, WriterSettings::default());
        let mut told = Told {
            counts: writer.counts(),
            written: 0,
            dropped: 0,
        };
        let mut writing = std::pin::pin!(async {
            tokio::join!(hand_on(records, forward, listeners), writer.run());
        });
        let mut ticks = interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ended = tokio::select! {
                () = &mut writing => true,
                _ = ticks.tick() => false,
            };
            told.tell(&witnesses);
            if ended {
                break;
            }
        }
        vital.finish();
    })
}

async fn hand_on(
    mut records: mpsc::Receiver<Box<Record>>,
    writer: mpsc::Sender<Record>,
    listeners: Listeners,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while records.recv_many(&mut batch, BATCH).await > 0 {
        let more = batch.len() == BATCH;
        for record in batch.drain(..) {
            listeners.tally.count(&record);
            if let Some(inbox) = &listeners.inbox {
                inbox.attribute(&record);
            }
            if let Some(lines) = &listeners.json_lines {
                lines.write(&record);
            }
            // The writer is there as long as this sender is.
            let _ = writer.send(*record).await;
        }
        if !more {
            sleep(REST).await;
        }
    }
    drop(writer);
    if let Some(lines) = listeners.json_lines {
        lines.finish().await;
    }
}

/// How much of the writer's counts was told.
struct Told {
    counts: Arc<WriterCounts>,
    written: u64,
    dropped: u64,
}

impl Told {
    fn tell(&mut self, witnesses: &Witnesses) {
        let (written, dropped) = (self.counts.written(), self.counts.dropped());
        witnesses
            .metrics
            .ledger_records(LedgerResult::Written, written - self.written);
        witnesses
            .metrics
            .ledger_records(LedgerResult::Dropped, dropped - self.dropped);
        (self.written, self.dropped) = (written, dropped);
        match self.counts.waiting() {
            0 => witnesses.component.ok(),
            waiting => witnesses.component.degraded(format!(
                "the ledger cannot be written: {waiting} records wait in memory, {dropped} were lost; the log says why"
            )),
        }
    }
}
