//! What is to be written, one entry for each thing: the newest wish for it, tried until it comes true or another replaces it.
//!
//! Whoever decides never waits for the API server. Wishes are done in the order of their keys, so snapshots come before
//! statuses, and only by the holder of the lease.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sekisho_runtime::Shutdown;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::Error;
use crate::lease::Leadership;

/// So many requests are under way at once.
const AT_ONCE: usize = 16;
/// The API server has so long for one.
const WITHIN: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is written, in the order of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Snapshot,
    Secret,
    Object,
    Status,
    Event,
}

/// Names one thing that is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) what: What,
    /// `Kind/namespace/name`, or whatever else names it.
    pub(crate) name: String,
}

/// A request that can be made again.
pub(crate) type Job =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync>;

/// What became of a wish.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) key: Key,
    /// Why not, if not. A conflict is not tried again: the newest state is on its way and will be looked at.
    pub(crate) outcome: Result<(), Error>,
}

/// Takes wishes. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Writer(mpsc::UnboundedSender<(Key, Wish)>);

enum Wish {
    Do(Job),
    /// For the thing of this name and those below it, whatever they are.
    Cancel,
}

impl std::fmt::Debug for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Do(_) => "Do",
            Self::Cancel => "Cancel",
        })
    }
}

impl Writer {
    /// Wishes for something, in the place of what was wished for that thing before.
    pub(crate) fn put<F, T>(&self, what: What, name: impl Into<String>, job: F)
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let job: Job = Arc::new(move || Box::pin(job()));
        let name = name.into();
        // Nobody listens any more once the process ends.
        let _ = self.0.send((Key { what, name }, Wish::Do(job)));
    }

    /// Takes back what was wished for the thing of this name, and for those below it, unless it is under way.
    pub(crate) fn cancel(&self, name: &str) {
        let key = Key {
            what: What::Object,
            name: name.to_owned(),
        };
        // Nobody listens any more once the process ends.
        let _ = self.0.send((key, Wish::Cancel));
    }
}

/// Starts the writer. The channel of wishes has no bound of its own: each thing has one entry at the other end, and things
/// are objects of the cluster.
pub(crate) fn start(
    leadership: watch::Receiver<Leadership>,
    shutdown: &Shutdown,
) -> (Writer, mpsc::UnboundedReceiver<Done>) {
    let (wishes, wished) = mpsc::unbounded_channel();
    let (done, told) = mpsc::unbounded_channel();
    let queue = Queue {
        leadership,
        waiting: BTreeMap::new(),
        running: JoinSet::new(),
        busy: BTreeMap::new(),
        cancelled: BTreeSet::new(),
        done,
    };
    shutdown.spawn(queue.run(wished, shutdown.clone()));
    (Writer(wishes), told)
}

struct Queue {
    leadership: watch::Receiver<Leadership>,
    waiting: BTreeMap<Key, Entry>,
    running: JoinSet<(Key, Entry, Result<(), Error>)>,
    /// What is under way: nothing is done twice at once.
    busy: BTreeMap<Key, tokio::task::Id>,
    /// What was cancelled while it was under way: it is not tried again.
    cancelled: BTreeSet<String>,
    done: mpsc::UnboundedSender<Done>,
}

#[derive(Clone)]
struct Entry {
    job: Job,
    tries: u32,
    due: Instant,
}

impl Queue {
    async fn run(mut self, mut wished: mpsc::UnboundedReceiver<(Key, Wish)>, shutdown: Shutdown) {
        loop {
            self.begin_what_is_due();
            let next = self.next_due();
            tokio::select! {
                wish = wished.recv() => match wish {
                    Some((key, Wish::Do(job))) => {
                        self.waiting.insert(key, Entry { job, tries: 0, due: Instant::now() });
                    }
                    Some((key, Wish::Cancel)) => {
                        let below = format!("{}/", key.name);
                        self.waiting
                            .retain(|each, _| each.name != key.name && !each.name.starts_with(&below));
                        self.cancelled.insert(key.name);
                    }
                    None => return,
                },
                Some(ended) = self.running.join_next() => match ended {
                    Ok((key, entry, outcome)) => self.ended(key, entry, outcome),
                    Err(error) => {
                        tracing::error!(%error, "a write ended in a panic");
                        self.busy.retain(|_, task| *task != error.id());
                    }
                },
                () = until(next) => {}
                () = shutdown.draining() => return,
            }
        }
    }

    fn begin_what_is_due(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let Some(time) = self.leadership.borrow().time_to_write() else {
            // Whoever holds it next decides anew, from what is there then.
            for (key, _) in std::mem::take(&mut self.waiting) {
                self.tell(key, Err(Error::NotHolder));
            }
            return;
        };
        let within = WITHIN.min(time);
        let now = Instant::now();
        while self.running.len() < AT_ONCE {
            let due = self
                .waiting
                .iter()
                .find(|(key, entry)| entry.due <= now && !self.busy.contains_key(key));
            let Some(key) = due.map(|(key, _)| key.clone()) else {
                return;
            };
            let Some(entry) = self.waiting.remove(&key) else {
                return;
            };
            let name = key.clone();
            let task = self.running.spawn(async move {
                let outcome = match timeout(within, (entry.job)()).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Error::Late(within)),
                };
                (key, entry, outcome)
            });
            self.busy.insert(name, task.id());
        }
    }

    fn ended(&mut self, key: Key, entry: Entry, outcome: Result<(), Error>) {
        self.busy.remove(&key);
        let is_cancelled = self.is_cancelled(&key.name);
        if let Err(error) = &outcome
            && !error.is_passing()
        {
            tracing::warn!(what = ?key.what, name = key.name, %error, "a write failed");
            if key.what != What::Event && !is_cancelled {
                let tries = entry.tries + 1;
                let pause = FIRST_PAUSE
                    .saturating_mul(1 << tries.min(8))
                    .min(LONGEST_PAUSE);
                let again = Entry {
                    tries,
                    due: Instant::now() + pause,
                    ..entry
                };
                self.waiting.entry(key.clone()).or_insert(again);
            }
        }
        self.tell(key, outcome);
    }

    /// Whether the thing, or one above it, was cancelled; that holds for what was under way then, and no longer.
    fn is_cancelled(&mut self, name: &str) -> bool {
        let cancelled = self
            .cancelled
            .iter()
            .any(|of| name == of || name.starts_with(&format!("{of}/")));
        if self.busy.is_empty() {
            self.cancelled.clear();
        }
        cancelled
    }

    fn tell(&self, key: Key, outcome: Result<(), Error>) {
        // Nobody listens any more once the process ends.
        let _ = self.done.send(Done { key, outcome });
    }

    fn next_due(&self) -> Option<Instant> {
        if self.running.len() >= AT_ONCE {
            return None;
        }
        let idle = self
            .waiting
            .iter()
            .filter(|(key, _)| !self.busy.contains_key(key));
        idle.map(|(_, entry)| entry.due).min()
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
