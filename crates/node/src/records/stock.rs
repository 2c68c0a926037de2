//! What waits to be delivered: refusals on disk, the others in memory, and refusals too where the disk takes no more.

use sekisho_policy::Record;
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::LedgerResult;

use super::batch::{Batch, Stream, line};
use super::queue::{Kind, Queue};
use super::spool::Spool;

pub(super) struct Stock {
    queue: Queue,
    /// `None` where the disk does not take it.
    spool: Option<Spool>,
    metrics: Metrics,
    /// The stream that is asked first the next time, so that neither waits for the other to run dry.
    turn: Stream,
}

impl Stock {
    pub(super) fn new(queue: Queue, spool: Option<Spool>, metrics: Metrics) -> Self {
        Self {
            queue,
            spool,
            metrics,
            turn: Stream::Spool,
        }
    }

    /// Takes records in. Blocks as long as the disk does.
    pub(super) fn add(&mut self, records: impl Iterator<Item = Box<Record>>) {
        for record in records {
            let Some((kind, line)) = line(&record) else {
                tracing::warn!(id = %record.id, "a record is too long to be delivered and left out");
                self.metrics.ledger_records(LedgerResult::Dropped, 1);
                continue;
            };
            if kind == Kind::Refusal && self.spool(&line) {
                self.metrics.ledger_records(LedgerResult::Spooled, 1);
                continue;
            }
            let dropped = self.queue.push(kind, line);
            self.metrics.ledger_records(LedgerResult::Dropped, dropped);
        }
    }

    fn spool(&mut self, line: &[u8]) -> bool {
        let Some(spool) = &mut self.spool else {
            return false;
        };
        spool.push(line).unwrap_or_else(|error| {
            self.give_up_spool(&error);
            false
        })
    }

    /// What is to be delivered next. Blocks as long as the disk does.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let turn = self.turn;
        self.turn = match turn {
            Stream::Spool => Stream::Memory,
            Stream::Memory => Stream::Spool,
        };
        match turn {
            Stream::Spool => self.spooled().or_else(|| self.queue.next_batch()),
            Stream::Memory => self.queue.next_batch().or_else(|| self.spooled()),
        }
    }

    fn spooled(&mut self) -> Option<Batch> {
        let batch = self.spool.as_mut()?.next_batch();
        batch.unwrap_or_else(|error| {
            self.give_up_spool(&error);
            None
        })
    }

    /// The batch need not be delivered any more.
    pub(super) fn done(&mut self, batch: &Batch, result: LedgerResult) {
        self.metrics.ledger_records(result, batch.lines.count());
        if batch.stream == Stream::Spool
            && let Some(spool) = &mut self.spool
            && let Err(error) = spool.taken(batch)
        {
            self.give_up_spool(&error);
        }
    }

    fn give_up_spool(&mut self, error: &std::io::Error) {
        tracing::error!(%error, "the spool of refusals cannot be used; refusals are held in memory until the next start");
        self.spool = None;
    }

    /// How many records wait in memory, and how many on disk.
    pub(super) fn waiting(&self) -> (usize, u64) {
        (self.queue.len(), self.spool.as_ref().map_or(0, Spool::len))
    }
}
