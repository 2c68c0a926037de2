//! Where passwords are hashed: one place for each core, and a queue that ends. A flood of logins waits for itself: sources
//! take turns, so that one attempt from elsewhere is next. Sessions that are logged in do not wait at all.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_runtime::Metrics;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::fair_line::{FairLine, Joined};
use crate::listener::sources::source_of;

/// Checks that may wait for each place: some two seconds' worth.
const QUEUE_PER_PLACE: usize = 64;
/// A subscriber has so much of IPv6.
const IPV6_PREFIX: u8 = 64;

/// The pool. Cloning shares it.
#[derive(Clone, Debug)]
pub struct HashPool {
    desk: Arc<Desk>,
    metrics: Metrics,
}

/// Too many checks are under way, or this one's time ended while it waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub(crate) struct Busy;

/// For whom something is checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    /// Its address, if it is known and the client's own.
    pub(super) source: Option<IpAddr>,
    /// Until when it waits.
    pub(super) deadline: Instant,
}

impl Client {
    fn group(&self) -> Group {
        let source = self.source?;
        Some(source_of(source.to_canonical(), IPV6_PREFIX))
    }

    /// One that nobody knows anything of.
    #[cfg(test)]
    pub(super) fn nobodys(deadline: Instant) -> Self {
        Self {
            source: None,
            deadline,
        }
    }
}

/// Whose attempts wait in one line; those whose source nobody knows stand in one together.
type Group = Option<IpAddr>;

#[derive(Debug)]
struct Desk(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Places where nobody hashes. While somebody waits there are none.
    free: usize,
    line: FairLine<Group, oneshot::Sender<Place>>,
}

/// A place to hash at; dropping it calls the next.
#[derive(Debug)]
struct Place(Arc<Desk>);

/// Somebody in the line; dropping it leaves the line.
struct Standing<'a> {
    desk: &'a Desk,
    group: Group,
    ticket: u64,
}

impl HashPool {
    /// As many places as there are cores.
    pub fn new(metrics: Metrics) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_places(cores, QUEUE_PER_PLACE * cores, metrics)
    }

    /// One source may have half of those that wait.
    fn with_places(places: usize, waiting: usize, metrics: Metrics) -> Self {
        let state = State {
            free: places,
            line: FairLine::new(waiting, waiting.div_ceil(2)),
        };
        Self {
            desk: Arc::new(Desk(Mutex::new(state))),
            metrics,
        }
    }

    /// Runs `work` for a client on a thread that may block. If nobody waits for it any more it runs to its end all the same, and
    /// keeps its place until then.
    ///
    /// # Errors
    /// [`Busy`], at once where the queue is full, or later where others who have less in it need the place.
    pub(super) async fn run<T, F>(&self, client: Client, work: F) -> Result<T, Busy>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let waiting = self.metrics.password_check();
        let place = self.enter(client).await;
        let place = place.inspect_err(|Busy| self.metrics.password_check_shed())?;
        let hashing = waiting.admitted();
        let task = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((hashing, place));
            done
        });
        task.await.map_err(|_| Busy)
    }

    async fn enter(&self, client: Client) -> Result<Place, Busy> {
        let group = client.group();
        let (called, ticket) = {
            let mut state = self.desk.lock();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Place(Arc::clone(&self.desk)));
            }
            let (call, called) = oneshot::channel();
            let Joined { ticket, ousted } = state.line.join(group, call).map_err(|_| Busy)?;
            drop(state);
            // It hears of it by this.
            drop(ousted);
            (called, ticket)
        };
        let _standing = Standing {
            desk: &self.desk,
            group,
            ticket,
        };
        let place = timeout_at(client.deadline, called)
            .await
            .map_err(|_| Busy)?;
        place.map_err(|_| Busy)
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.lock();
            let next = state.line.next();
            if next.is_none() {
                state.free += 1;
            }
            next
        };
        if let Some(next) = next {
            // Whoever does not listen any more drops the place, which calls the one after.
            drop(next.send(Self(Arc::clone(&self.0))));
        }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.desk.lock().line.leave(self.group, self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const FLOOD: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)));

    fn from(source: Option<IpAddr>) -> Client {
        let deadline = Instant::now() + Duration::from_secs(60);
        Client { source, deadline }
    }

    impl HashPool {
        fn waiting(&self) -> usize {
            self.desk.lock().line.waiting()
        }

        /// Starts work that ends when what is returned is told or dropped.
        async fn occupy(
            &self,
        ) -> (
            tokio::task::JoinHandle<Result<bool, Busy>>,
            mpsc::Sender<()>,
        ) {
            let (open, gate) = mpsc::channel::<()>();
            let (pool, free) = (self.clone(), self.desk.lock().free);
            let work =
                tokio::spawn(
                    async move { pool.run(from(FLOOD), move || gate.recv().is_ok()).await },
                );
            while self.desk.lock().free == free {
                tokio::task::yield_now().await;
            }
            (work, open)
        }

        /// Has `work` wait for its turn.
        async fn queue<T: Send + 'static>(
            &self,
            source: Option<IpAddr>,
            work: impl FnOnce() -> T + Send + 'static,
        ) -> tokio::task::JoinHandle<Result<T, Busy>> {
            let (pool, before) = (self.clone(), self.desk.lock().line.joined());
            let task = tokio::spawn(async move { pool.run(from(source), work).await });
            while self.desk.lock().line.joined() == before && !task.is_finished() {
                tokio::task::yield_now().await;
            }
            task
        }
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once_and_recovers() {
        let pool = HashPool::with_places(1, 1, Metrics::new());
        let (work, open) = pool.occupy().await;
        let second = pool.queue(FLOOD, || 2).await;
        assert_eq!(pool.run(from(FLOOD), || 3).await, Err(Busy));
        open.send(()).unwrap();
        assert_eq!(work.await.unwrap(), Ok(true));
        assert_eq!(second.await.unwrap(), Ok(2));
        assert_eq!(pool.run(from(FLOOD), || 4).await, Ok(4));
    }

    #[tokio::test]
    async fn whoever_gives_up_while_hashing_keeps_the_place_to_the_end() {
        let pool = HashPool::with_places(1, 1, Metrics::new());
        let (work, open) = pool.occupy().await;
        work.abort();
        assert!(work.await.is_err());
        assert_eq!(pool.desk.lock().free, 0);
        assert_eq!(
            pool.run(Client::nobodys(Instant::now()), || 2).await,
            Err(Busy),
            "its time ended in the queue"
        );
        assert_eq!(pool.waiting(), 0, "and it left");
        open.send(()).unwrap();
        assert_eq!(pool.run(from(FLOOD), || 3).await, Ok(3));
    }

    #[tokio::test]
    async fn a_flood_from_one_source_delays_another_by_one_hash() {
        let pool = HashPool::with_places(1, 400, Metrics::new());
        let (work, open) = pool.occupy().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let hash = |who: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(who)
        };
        let mut waiting = Vec::new();
        for n in 0..200 {
            // Its addresses are all of one network.
            let flood = format!("2001:db8::{n:x}").parse().ok();
            waiting.push(pool.queue(flood, hash("flood")).await);
        }
        let good = pool.queue("203.0.113.9".parse().ok(), hash("good")).await;
        let unknown = pool.queue(None, hash("unknown")).await;
        open.send(()).unwrap();
        assert_eq!(work.await.unwrap(), Ok(true));
        for one in waiting.into_iter().chain([good, unknown]) {
            assert_eq!(one.await.unwrap(), Ok(()));
        }
        let order = order.lock().unwrap();
        assert_eq!(order[..4], ["flood", "good", "unknown", "flood"]);
        assert_eq!(order.len(), 202);
    }

    #[tokio::test]
    async fn a_flood_that_fills_the_queue_makes_room_for_others() {
        let pool = HashPool::with_places(1, 4, Metrics::new());
        let (work, open) = pool.occupy().await;
        let mut flood = Vec::new();
        for network in ["2001:db8:1::", "2001:db8:2::"] {
            for _ in 0..2 {
                flood.push(pool.queue(network.parse().ok(), || ()).await);
            }
        }
        let good = pool.queue("203.0.113.9".parse().ok(), || ()).await;
        while !flood.iter().any(tokio::task::JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.waiting(), 4);
        drop(open);
        assert_eq!(work.await.unwrap(), Ok(false));
        assert_eq!(good.await.unwrap(), Ok(()));
        let mut shed = 0;
        for one in flood {
            shed += usize::from(one.await.unwrap() == Err(Busy));
        }
        assert_eq!(shed, 1);
        assert_eq!(pool.desk.lock().free, 1, "the place came back");
    }

    #[tokio::test]
    async fn places_that_are_given_to_nobody_go_on() {
        let pool = HashPool::with_places(1, 8, Metrics::new());
        let (work, open) = pool.occupy().await;
        let gone = pool.queue(FLOOD, || ()).await;
        let stays = pool.queue(FLOOD, || ()).await;
        // Called and gone before it hears of it.
        let called = pool.desk.lock().line.next().unwrap();
        drop(called.send(Place(Arc::clone(&pool.desk))));
        gone.abort();
        assert_eq!(stays.await.unwrap(), Ok(()));
        assert!(gone.await.is_err());
        open.send(()).unwrap();
        assert_eq!(work.await.unwrap(), Ok(true));
    }
}
