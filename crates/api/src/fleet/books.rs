//! The way of records into the ledger: what was there already is left out, what is missing is counted, what does not fit is
//! sent back. A batch is acknowledged when it is written.

mod room;
mod series;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sekisho_policy::{Record, Timestamp};
use sekisho_runtime::metrics::FleetRecords;
use sekisho_runtime::{Clock, Metrics};
use sekisho_store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::room::{MOST_BATCHES, Room};
pub(super) use self::series::Series;
use self::series::{AllSeries, Place};
pub use self::writer::BooksWriter;
use self::writer::Waiting;
use crate::tally::Tally;

/// How long a batch is waited for before the proxy is told to send it again.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Takes records. Cloning shares the way.
#[derive(Clone, Debug)]
pub struct Books(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    series: Mutex<AllSeries>,
    /// Absent if no records are kept.
    ledger: Option<Ledger>,
    tally: Tally,
    clock: Clock,
    metrics: Metrics,
}

#[derive(Debug)]
struct Ledger {
    batches: mpsc::Sender<Waiting>,
    room: Room,
}

/// What a proxy sent at once.
pub(super) struct Batch {
    pub(super) series: Series,
    /// The number of the first record.
    pub(super) first: u64,
    pub(super) records: Vec<Record>,
    pub(super) octets: usize,
}

/// Why a batch is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotKept {
    /// There is no room for it, or its gateway has no more.
    Full,
    /// There is, and it was not written in time.
    NotYet,
    /// Its sequence is impossible.
    Nonsense,
}

impl Books {
    /// Without a ledger: records are counted, for the overview, and let go.
    pub fn without_store(tally: Tally, clock: Clock, metrics: Metrics) -> Self {
        Self::new(None, tally, clock, metrics)
    }

    /// With one. The writer is to be run, and ends when every clone of the books is gone.
    pub fn with_store(
        store: Store,
        tally: Tally,
        clock: Clock,
        metrics: Metrics,
    ) -> (Self, BooksWriter) {
        let (batches, waiting) = mpsc::channel(MOST_BATCHES);
        let ledger = Ledger {
            batches,
            room: Room::default(),
        };
        let writer = BooksWriter::new(store, waiting, metrics.clone());
        (Self::new(Some(ledger), tally, clock, metrics), writer)
    }

    fn new(ledger: Option<Ledger>, tally: Tally, clock: Clock, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            series: Mutex::default(),
            ledger,
            tally,
            clock,
            metrics,
        }))
    }

    /// Keeps what is new of a batch. `Ok` means that all of it is written, now or before.
    pub(super) async fn keep(&self, batch: Batch) -> Result<(), NotKept> {
        let Some(written) = self.put(batch)? else {
            return Ok(());
        };
        match timeout(WRITTEN_WITHIN, written).await {
            Ok(Ok(())) => Ok(()),
            // Late, or the process is ending.
            _ => Err(NotKept::NotYet),
        }
    }

    /// Puts a batch on its way, all or nothing; what is answered tells when it is written.
    fn put(&self, mut batch: Batch) -> Result<Option<oneshot::Receiver<()>>, NotKept> {
        let shared = &*self.0;
        let mut all = shared.series.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = batch.series.gateway.clone();
        let count = |result, records| shared.metrics.fleet_records(&gateway, result, records);
        let sent = batch.records.len() as u64;
        let end = batch.first.checked_add(sent).ok_or(NotKept::Nonsense)?;
        let place = all.place(&batch.series, batch.first, end);
        let known = match place {
            Place::Written => {
                count(FleetRecords::Repeated, sent);
                return Ok(None);
            }
            Place::Taken => return Err(NotKept::NotYet),
            Place::New { known, .. } => known,
        };
        batch.records.drain(..known);
        self.date(&mut batch.records);
        let Some(ledger) = &shared.ledger else {
            // Nothing is lost that nobody keeps: gaps are not counted.
            batch.records.iter().for_each(|r| shared.tally.count(r));
            count(FleetRecords::Counted, sent - known as u64);
            all.take(&batch.series, end).written(end);
            return Ok(None);
        };
        let room = ledger.room.take(&gateway, batch.octets);
        let (Some(room), Ok(place_in_queue)) = (room, ledger.batches.try_reserve()) else {
            return Err(NotKept::Full);
        };
        batch.records.iter().for_each(|r| shared.tally.count(r));
        count(FleetRecords::Received, batch.records.len() as u64);
        count(FleetRecords::Repeated, known as u64);
        if let Place::New { missing, .. } = place {
            count(FleetRecords::Missing, missing);
        }
        let (told, written) = oneshot::channel();
        place_in_queue.send(Waiting {
            mark: all.take(&batch.series, end),
            end,
            records: batch.records,
            told,
            _room: room,
        });
        Ok(Some(written))
    }

    /// A record is not from the future: it would outlive its retention and stand before all others.
    fn date(&self, records: &mut [Record]) {
        let now = Timestamp(self.0.clock.now_ms());
        for record in records {
            record.at = record.at.min(now);
        }
    }
}
