//! Where passwords are hashed: one place for each core, and a queue that ends. A flood of logins waits for itself, and
//! sessions that are logged in do not wait at all.

use std::sync::Arc;

use sekisho_runtime::Metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Checks that may wait for each place: some two seconds' worth.
const QUEUE_PER_PLACE: usize = 64;

/// The pool. Cloning shares it.
#[derive(Clone, Debug)]
pub struct HashPool {
    places: Arc<Semaphore>,
    /// Those that hash and those that wait.
    queue: Arc<Semaphore>,
    metrics: Metrics,
}

/// Too many checks are under way, or this one's time ended while it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub(crate) struct Busy;

impl HashPool {
    /// As many places as there are cores.
    pub fn new(metrics: Metrics) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_places(cores, QUEUE_PER_PLACE * cores, metrics)
    }

    fn with_places(places: usize, waiting: usize, metrics: Metrics) -> Self {
        let queue = Arc::new(Semaphore::new(places + waiting));
        Self {
            places: Arc::new(Semaphore::new(places)),
            queue,
            metrics,
        }
    }

    /// Runs `work` on a thread that may block. If nobody waits for it any more it runs to its end all the same, and
    /// keeps its place until then.
    ///
    /// # Errors
    /// [`Busy`], at once where the queue is full.
    pub(super) async fn run<T, F>(&self, deadline: Instant, work: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let held = self
            .enter(deadline)
            .await
            .inspect_err(|Busy| self.metrics.password_check_shed())?;
        let hashing = held.hashing;
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((hashing, held.place, held.turn));
            done
        });
        task.await.map_err(|_| Busy)
    }

    async fn enter(&self, deadline: Instant) -> Result<Held, Busy> {
        let turn = Arc::clone(&self.queue)
            .try_acquire_owned()
            .map_err(|_| Busy)?;
        let waiting = self.metrics.password_check();
        let place = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| Busy)?.map_err(|_| Busy)?;
        Ok(Held {
            hashing: waiting.admitted(),
            place,
            turn,
        })
    }
}

struct Held {
    hashing: sekisho_runtime::metrics::Hashing,
    place: OwnedSemaphorePermit,
    turn: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once_and_recovers() {
        let pool = HashPool::with_places(1, 1, Metrics::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        let (open, gate) = mpsc::channel::<()>();
        let work = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run(deadline, move || gate.recv().is_ok()).await })
        };
        while pool.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let second = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run(deadline, || 2).await })
        };
        while pool.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(deadline, || 3).await, Err(Busy));
        open.send(()).unwrap();
        assert_eq!(work.await.unwrap(), Ok(true));
        assert_eq!(second.await.unwrap(), Ok(2));
        assert_eq!(pool.run(deadline, || 4).await, Ok(4));
    }

    #[tokio::test]
    async fn whoever_gives_up_while_hashing_keeps_the_place_to_the_end() {
        let pool = HashPool::with_places(1, 1, Metrics::new());
        let deadline = Instant::now() + Duration::from_secs(60);
        let (open, gate) = mpsc::channel::<()>();
        let work = {
            let pool = pool.clone();
            tokio::spawn(async move { pool.run(deadline, move || gate.recv().is_ok()).await })
        };
        while pool.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        work.abort();
        assert!(work.await.is_err());
        assert_eq!(pool.places.available_permits(), 0);
        assert_eq!(
            pool.run(Instant::now(), || 2).await,
            Err(Busy),
            "its time ended in the queue"
        );
        open.send(()).unwrap();
        assert_eq!(pool.run(deadline, || 3).await, Ok(3));
    }
}
