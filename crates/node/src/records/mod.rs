//! Records to the control plane: taken from the sessions' channel at once, and delivered in batches until they are taken.

mod batch;
mod queue;
mod spool;
mod stock;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Method, StatusCode};
use sekisho_policy::Record;
use sekisho_proxy::ledger::{self, Ledger};
use sekisho_proxy::{FleetKey, Ids};
use sekisho_runtime::metrics::LedgerResult;
use sekisho_runtime::{Metrics, Shutdown};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{Instant, sleep, timeout_at};

use self::batch::Batch;
use self::queue::Queue;
use self::spool::Spool;
use self::stock::Stock;
use crate::control::{Backoff, Control, Line, Told, Trouble, built};

/// The first record of a batch waits so long for others.
const LINGER: Duration = Duration::from_secs(1);
/// Records that are taken from the channel in one go.
const AT_ONCE: usize = 256;
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Takes records away. Sessions reach it through [`Courier::ledger`].
pub(crate) struct Courier {
    metrics: Metrics,
    channels: mpsc::UnboundedSender<mpsc::Receiver<Box<Record>>>,
    stock: Arc<Mutex<Stock>>,
    ending: Shutdown,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Courier {
    /// Begins to deliver, first of all what the last run left in the spool at `spool`.
    pub(crate) fn start(
        control: Control,
        told: Told,
        spool: &Path,
        random: Ids,
        metrics: Metrics,
    ) -> Self {
        let name = || format!("{:016x}{:016x}", random.number(), random.number());
        let spool = Spool::open(spool, name())
            .inspect_err(|error| {
                tracing::error!(path = %spool.display(), %error, "refusals do not survive a restart, because they cannot be spooled");
            })
            .ok();
        let stock = Stock::new(Queue::new(name()), spool, metrics.clone());
        let stock = Arc::new(Mutex::new(stock));
        let (channels, coming) = mpsc::unbounded_channel();
        let ending = Shutdown::new();
        let arrived = Arc::new(Notify::new());
        let delivery = Delivery {
            control,
            told,
            backoff: Backoff::new(random),
            stock: stock.clone(),
            line: None,
        };
        let intake = take_in(coming, stock.clone(), arrived.clone(), ending.clone());
        let task = tokio::spawn(async move {
            let ended = Notify::new();
            tokio::join!(
                async {
                    intake.await;
                    ended.notify_one();
                },
                delivery.run(&arrived, &ended),
            );
        });
        Self {
            metrics,
            channels,
            stock,
            ending,
            task: Mutex::new(Some(task)),
        }
    }

    /// Where the sessions of a gateway leave their records; recipients are hashed under `key`. The one before is of no more use.
    pub(crate) fn ledger(&self, key: &FleetKey) -> Ledger {
        let (ledger, records) =
            ledger::channel(ledger::CAPACITY, key.clone(), self.metrics.clone());
        // The task is there as long as the process is.
        let _ = self.channels.send(records);
        ledger
    }

    /// Delivers what is left, until `deadline`; no session writes any more.
    pub(crate) async fn finish(&self, deadline: Instant) {
        self.ending.begin();
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut task) = task else { return };
        if timeout_at(deadline, &mut task).await.is_ok() {
            return;
        }
        task.abort();
        let (memory, disk) = lock(&self.stock).waiting();
        self.metrics
            .ledger_records(LedgerResult::Dropped, memory as u64);
        tracing::error!(
            lost = memory,
            kept = disk,
            "the last records were not delivered in time; those in the spool are sent at the next start"
        );
    }
}

fn lock(stock: &Mutex<Stock>) -> MutexGuard<'_, Stock> {
    stock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes records off the sessions' hands until the end, and then those that are still in the channel.
async fn take_in(
    mut channels: mpsc::UnboundedReceiver<mpsc::Receiver<Box<Record>>>,
    stock: Arc<Mutex<Stock>>,
    arrived: Arc<Notify>,
    ending: Shutdown,
) {
    let mut records: Option<mpsc::Receiver<Box<Record>>> = None;
    let mut taken = Vec::with_capacity(AT_ONCE);
    // What the last run left.
    arrived.notify_one();
    loop {
        let is_closed = records.as_ref().is_some_and(mpsc::Receiver::is_closed);
        let receiving = async {
            match &mut records {
                Some(records) => records.recv_many(&mut taken, AT_ONCE).await,
                None => std::future::pending().await,
            }
        };
        let count = tokio::select! {
            biased;
            Some(channel) = channels.recv() => {
                records = Some(channel);
                continue;
            }
            count = receiving => count,
            () = ending.draining(), if !is_closed => {
                match &mut records {
                    Some(records) => records.close(),
                    None => return,
                }
                continue;
            }
        };
        if count == 0 {
            records = None;
            if ending.is_draining() {
                return;
            }
            continue;
        }
        block_in_place(|| lock(&stock).add(taken.drain(..)));
        arrived.notify_one();
    }
}

/// Brings batches to the control plane, one after another.
struct Delivery {
    control: Control,
    told: Told,
    backoff: Backoff,
    stock: Arc<Mutex<Stock>>,
    line: Option<Line>,
}

impl Delivery {
    /// Until nothing more comes and all is delivered.
    async fn run(mut self, arrived: &Notify, ended: &Notify) {
        let mut more = true;
        loop {
            while let Some(batch) = block_in_place(|| lock(&self.stock).next_batch()) {
                self.deliver(&batch).await;
            }
            if !more {
                return;
            }
            tokio::select! {
                () = arrived.notified() => {
                    tokio::select! {
                        () = sleep(LINGER) => {}
                        () = ended.notified() => more = false,
                    }
                }
                () = ended.notified() => more = false,
            }
        }
    }

    async fn deliver(&mut self, batch: &Batch) {
        loop {
            match self.send(batch).await {
                Ok(()) => {
                    self.told.well();
                    self.backoff.reset();
                    return block_in_place(|| {
                        lock(&self.stock).done(batch, LedgerResult::Written);
                    });
                }
                Err(trouble) if is_lasting(&trouble) => {
                    let (records, first) = (batch.lines.count(), batch.first);
                    tracing::error!(%trouble, records, first, "records are not taken and given up");
                    return block_in_place(|| {
                        lock(&self.stock).done(batch, LedgerResult::Dropped);
                    });
                }
                Err(trouble) => {
                    self.line = None;
                    self.told.trouble(&trouble);
                    sleep(self.backoff.wait(trouble.retry_after())).await;
                }
            }
        }
    }

    async fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let mut line = match self.line.take().filter(Line::is_open) {
            Some(line) => line,
            None => self.control.connect().await?,
        };
        let body = batch
            .packed()
            .map_err(|error| Trouble::Body(error.to_string()))?;
        let request = self
            .control
            .request("/v1/records")
            .method(Method::POST)
            .header(CONTENT_TYPE, "application/x-ndjson")
            .header(CONTENT_ENCODING, "zstd")
            .header("sekisho-instance", &batch.instance)
            .header("sekisho-sequence", batch.first);
        let answer = line.ask(built(request, body.into()), ANSWER_WITHIN).await?;
        if !answer.status.is_success() {
            return Err(answer.trouble());
        }
        self.line = Some(line);
        Ok(())
    }
}

/// Whether the same batch will never be taken.
fn is_lasting(trouble: &Trouble) -> bool {
    let Trouble::Answered { status, .. } = trouble else {
        return false;
    };
    [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ]
    .contains(status)
}
