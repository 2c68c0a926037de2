//! The task between a channel of records and the store: it batches, survives a store that fails, and counts what it lost.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sekisho_policy::Record;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Store, StoreError};

/// How often a store that fails is tried once no more records can come.
const LAST_ATTEMPTS: u32 = 3;

/// How a [`Writer`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterSettings {
    /// The most records in one transaction. Large ones save little, and keep a core from sessions for milliseconds.
    pub batch: usize,
    /// How long a record may wait for others to share a transaction with.
    pub linger: Duration,
    /// How long to wait before a store that failed is tried again.
    pub retry_after: Duration,
    /// Records kept in memory while the store fails; beyond it the oldest are dropped, since people ask about the newest.
    pub keep: usize,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            batch: 64,
            linger: Duration::from_millis(200),
            retry_after: Duration::from_secs(1),
            keep: 10_000,
        }
    }
}

/// What a [`Writer`] did so far, for metrics.
#[derive(Debug, Default)]
pub struct WriterCounts {
    written: AtomicU64,
    failures: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

impl WriterCounts {
    /// Records that are in the store.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Batches that the store refused; each is tried again.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Records that were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Records that are kept in memory because the store fails.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Writes what comes through a channel. Run it as a task; it ends when the channel is closed and all is written.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    queue: Queue,
}

impl Writer {
    /// A writer that takes records from `records`. The channel should be bounded: while the store is slow, it fills.
    #[must_use]
    pub fn new(store: Store, records: mpsc::Receiver<Record>, settings: WriterSettings) -> Self {
        Self {
            store,
            queue: Queue::new(records, settings),
        }
    }

    /// What it did so far; to be kept before it is run.
    #[must_use]
    pub fn counts(&self) -> Arc<WriterCounts> {
        self.queue.counts.clone()
    }

    /// Writes until every sender is gone and what they sent is written, or lost and counted.
    pub async fn run(self) {
        self.queue.drain_into(&self.store).await;
    }
}

/// Where batches go.
trait Sink: Sync {
    fn append(&self, records: &[Record]) -> impl Future<Output = Result<usize, StoreError>> + Send;
}

impl Sink for Store {
    async fn append(&self, records: &[Record]) -> Result<usize, StoreError> {
        Self::append(self, records).await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Failing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Open,
    Closed,
}

#[derive(Debug)]
struct Queue {
    records: mpsc::Receiver<Record>,
    settings: WriterSettings,
    counts: Arc<WriterCounts>,
    pending: VecDeque<Record>,
    health: Health,
}

impl Queue {
    fn new(records: mpsc::Receiver<Record>, settings: WriterSettings) -> Self {
        Self {
            records,
            settings,
            counts: Arc::default(),
            pending: VecDeque::new(),
            health: Health::Good,
        }
    }

    async fn drain_into(mut self, sink: &impl Sink) {
        while self.receive().await == Channel::Open {
            self.write(sink).await;
        }
        for attempt in 0..LAST_ATTEMPTS {
            if attempt > 0 {
                sleep(self.settings.retry_after).await;
            }
            self.write(sink).await;
            if self.pending.is_empty() {
                return;
            }
        }
        self.drop_oldest(self.pending.len());
        self.counts.waiting.store(0, Ordering::Relaxed);
        tracing::error!(
            lost = self.counts.dropped(),
            "the ledger could not be written to the end"
        );
    }

    /// Takes records until a batch is full or has waited long enough, or, while the store fails, until it is time to try again.
    async fn receive(&mut self) -> Channel {
        let (until, enough) = match self.health {
            Health::Failing => (Instant::now() + self.settings.retry_after, usize::MAX),
            Health::Good => {
                let Some(first) = self.records.recv().await else {
                    return Channel::Closed;
                };
                self.pending.push_back(first);
                (Instant::now() + self.settings.linger, self.settings.batch)
            }
        };
        while self.pending.len() < enough {
            match timeout_at(until, self.records.recv()).await {
                Ok(Some(record)) => self.pending.push_back(record),
                Ok(None) => return Channel::Closed,
                Err(_) => break,
            }
            self.drop_oldest(
                self.pending
                    .len()
                    .saturating_sub(self.settings.keep.max(self.settings.batch)),
            );
        }
        Channel::Open
    }

    /// Writes all that is pending, batch by batch, until the store fails.
    async fn write(&mut self, sink: &impl Sink) {
        while !self.pending.is_empty() {
            let size = self.pending.len().min(self.settings.batch.max(1));
            let batch = &self.pending.make_contiguous()[..size];
            match sink.append(batch).await {
                Ok(_) => {
                    self.pending.drain(..size);
                    self.counts
                        .written
                        .fetch_add(size as u64, Ordering::Relaxed);
                    self.note_success();
                }
                Err(error) => {
                    self.note_failure(&error);
                    if !matches!(error, StoreError::Unwritable { .. }) {
                        break;
                    }
                    // Trying again cannot help these.
                    self.drop_oldest(size);
                }
            }
        }
        self.counts
            .waiting
            .store(self.pending.len() as u64, Ordering::Relaxed);
    }

    fn drop_oldest(&mut self, count: usize) {
        self.pending.drain(..count);
        self.counts
            .dropped
            .fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Only changes are logged: a full disk must not be filled further by saying so.
    fn note_success(&mut self) {
        if self.health == Health::Failing {
            self.health = Health::Good;
            tracing::info!(lost = self.counts.dropped(), "the ledger is written again");
        }
    }

    fn note_failure(&mut self, error: &StoreError) {
        self.counts.failures.fetch_add(1, Ordering::Relaxed);
        if self.health == Health::Good {
            self.health = Health::Failing;
            tracing::error!(%error, keep = self.settings.keep, "the ledger cannot be written; records are kept in memory and tried again");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;
    use crate::sample::delivered;

    const SETTINGS: WriterSettings = WriterSettings {
        batch: 4,
        linger: Duration::from_millis(200),
        retry_after: Duration::from_secs(1),
        keep: 10,
    };

    /// Notes when each batch came and which records it held, and fails while it is told to.
    #[derive(Default)]
    struct Script {
        fails: u32,
        begun: Option<Instant>,
        batches: Mutex<Vec<(u128, Vec<u64>)>>,
        attempts: AtomicU64,
    }

    impl Script {
        fn failing(times: u32) -> Self {
            Self {
                fails: times,
                begun: Some(Instant::now()),
                ..Self::default()
            }
        }

        fn batches(self) -> Vec<(u128, Vec<u64>)> {
            self.batches.into_inner().unwrap()
        }
    }

    impl Sink for Script {
        async fn append(&self, records: &[Record]) -> Result<usize, StoreError> {
            let attempt = self.attempts.fetch_add(1, Ordering::Relaxed);
            if attempt < u64::from(self.fails) {
                return Err(StoreError::DiskFull {
                    path: PathBuf::from("ledger"),
                });
            }
            let at = self.begun.unwrap().elapsed().as_millis();
            self.batches
                .lock()
                .unwrap()
                .push((at, records.iter().map(|record| record.id.bits()).collect()));
            Ok(records.len())
        }
    }

    async fn send(sender: &mpsc::Sender<Record>, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            sender.send(delivered(number, "a", number)).await.unwrap();
        }
    }

    /// Runs a queue beside `work`, which sends and then lets go of the sender, both in paused time.
    async fn drive<W: Future<Output = ()>>(
        script: &Script,
        work: impl FnOnce(mpsc::Sender<Record>) -> W,
    ) -> Arc<WriterCounts> {
        let (sender, receiver) = mpsc::channel(100);
        let queue = Queue::new(receiver, SETTINGS);
        let counts = queue.counts.clone();
        tokio::join!(queue.drain_into(script), work(sender));
        counts
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_written_when_it_is_full_or_has_waited() {
        let script = Script::failing(0);
        let counts = drive(&script, |sender| async move {
            send(&sender, 1..=5).await;
            sleep(Duration::from_secs(5)).await;
            send(&sender, [6]).await;
            sleep(Duration::from_millis(150)).await;
            send(&sender, [7]).await;
            sleep(Duration::from_secs(5)).await;
        })
        .await;
        let expected = [(0, vec![1, 2, 3, 4]), (200, vec![5]), (5_200, vec![6, 7])];
        assert_eq!(script.batches(), expected);
        assert_eq!(
            (
                counts.written(),
                counts.dropped(),
                counts.failures(),
                counts.waiting()
            ),
            (7, 0, 0, 0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_written_when_the_channel_closes() {
        let script = Script::failing(0);
        drive(&script, |sender| async move { send(&sender, 1..=6).await }).await;
        assert_eq!(script.batches(), [(0, vec![1, 2, 3, 4]), (0, vec![5, 6])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_recovers_gets_everything_in_order() {
        let script = Script::failing(3);
        let counts = drive(&script, |sender| async move {
            for n in 1..=8 {
                send(&sender, [n]).await;
                sleep(Duration::from_millis(500)).await;
            }
        })
        .await;
        let numbers: Vec<u64> = script
            .batches()
            .into_iter()
            .flat_map(|(_, numbers)| numbers)
            .collect();
        assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
        assert_eq!(
            (counts.written(), counts.dropped(), counts.failures()),
            (8, 0, 3)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_for_long_costs_the_oldest_and_no_memory() {
        let script = Script::failing(5);
        let counts = drive(&script, |sender| async move {
            for n in 1..=50 {
                send(&sender, [n]).await;
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_secs(2)).await;
        })
        .await;
        let numbers: Vec<u64> = script
            .batches()
            .into_iter()
            .flat_map(|(_, numbers)| numbers)
            .collect();
        assert_eq!(numbers.last(), Some(&50));
        assert!(
            numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
            "{numbers:?}"
        );
        assert_eq!(counts.written() + counts.dropped(), 50);
        assert!(counts.dropped() > 20, "{counts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_broken_does_not_hold_up_the_end() {
        let script = Script::failing(u32::MAX);
        let begun = Instant::now();
        let counts = drive(&script, |sender| async move { send(&sender, 1..=6).await }).await;
        assert_eq!(
            (counts.written(), counts.dropped(), counts.waiting()),
            (0, 6, 0)
        );
        assert!(begun.elapsed() <= 3 * SETTINGS.retry_after);
    }

    #[tokio::test]
    async fn records_reach_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger.sqlite"))
            .await
            .unwrap();
        let (sender, receiver) = mpsc::channel(10);
        let writer = Writer::new(store.clone(), receiver, WriterSettings::default());
        let counts = writer.counts();
        let task = tokio::spawn(writer.run());
        send(&sender, 1..=600).await;
        drop(sender);
        task.await.unwrap();
        assert_eq!(counts.written(), 600);
        assert!(
            store
                .record(crate::sample::id(600))
                .await
                .unwrap()
                .is_some()
        );
    }
}
