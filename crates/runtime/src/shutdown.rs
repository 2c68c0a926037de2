//! Ending in good order: stop taking work, let what runs finish until a deadline, then cut it short.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;

/// How long tasks that were told to abort get to say goodbye.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// Coordinates the end of a process. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    aborting: CancellationToken,
    tasks: TaskTracker,
    /// How many tasks ran when they were told to abort.
    cut_short: Arc<AtomicUsize>,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Tasks that still ran at the deadline and were cut short.
    pub cut_short: usize,
    /// Tasks that did not even end after that.
    pub abandoned: usize,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// A shutdown that begins and aborts with this one, can do so before it, and has tasks of its own. Must be called in
    /// a tokio runtime.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let (parent, follower) = (self.clone(), child.clone());
        tokio::spawn(async move {
            parent.draining().await;
            follower.begin();
            parent.aborting().await;
            follower.abort();
        });
        child
    }

    /// Begins to drain at SIGTERM or SIGINT, and aborts at the second of them. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// The system refuses to install a signal handler.
    pub fn on_signals(&self) -> Result<(), Error> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = terminate.recv() => {}
                    Some(()) = interrupt.recv() => {}
                    else => return,
                }
                if shutdown.is_draining() {
                    tracing::warn!("second signal: open sessions are cut short");
                    shutdown.abort();
                    return;
                }
                tracing::info!("draining: no new sessions, open ones may finish");
                shutdown.begin();
            }
        });
        Ok(())
    }

    /// Begins to drain: listeners close, sessions end after the transaction they are in.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Cuts short what still runs.
    pub fn abort(&self) {
        self.begin();
        if !self.is_aborting() {
            self.cut_short.store(self.tasks.len(), Ordering::Release);
        }
        self.aborting.cancel();
    }

    /// Resolves when draining begins. Listeners and idle sessions wait for it.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Resolves when what still runs must end at once. A session in a transaction waits for it.
    pub async fn aborting(&self) {
        self.aborting.cancelled().await;
    }

    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub fn is_aborting(&self) -> bool {
        self.aborting.is_cancelled()
    }

    /// The token behind [`Shutdown::draining`], for code that takes one.
    pub fn token(&self) -> CancellationToken {
        self.draining.clone()
    }

    /// Spawns a task that the drain waits for.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// How many tasks run now.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until every task has ended, for `limit` at most (or until a second signal); then tells them to
    /// abort and waits one second more.
    pub async fn drain(&self, limit: Duration) -> Drained {
        self.begin();
        self.tasks.close();
        tokio::select! {
            _ = timeout(limit, self.tasks.wait()) => {}
            () = self.aborting() => {}
        }
        if !self.tasks.is_empty() {
            self.abort();
            // Whoever is still there after this is counted as abandoned.
            let _ = timeout(ABORT_GRACE, self.tasks.wait()).await;
        }
        Drained {
            cut_short: self.cut_short.load(Ordering::Acquire),
            abandoned: self.tasks.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_finishes_in_time_is_waited_for() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        let task = shutdown.spawn(async move {
            inside.draining().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            inside.is_aborting()
        });
        let drained = shutdown.drain(Duration::from_secs(10)).await;
        assert_eq!(
            drained,
            Drained {
                cut_short: 0,
                abandoned: 0
            }
        );
        assert!(!task.await.unwrap(), "it was not cut short");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_task_is_cut_short_and_a_stuck_one_abandoned() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        shutdown.spawn(async move { inside.aborting().await });
        shutdown.spawn(std::future::pending::<()>());
        let before = Instant::now();
        let drained = shutdown.drain(Duration::from_secs(10)).await;
        assert_eq!(
            drained,
            Drained {
                cut_short: 2,
                abandoned: 1
            }
        );
        assert_eq!(before.elapsed(), Duration::from_secs(11));
    }

    #[tokio::test(start_paused = true)]
    async fn abort_ends_a_drain_early() {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        shutdown.spawn(async move { inside.aborting().await });
        let impatient = shutdown.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            impatient.abort();
        });
        let before = Instant::now();
        let drained = shutdown.drain(Duration::from_secs(600)).await;
        assert_eq!(
            drained,
            Drained {
                cut_short: 1,
                abandoned: 0
            }
        );
        assert!(before.elapsed() < Duration::from_secs(4));
    }
}
