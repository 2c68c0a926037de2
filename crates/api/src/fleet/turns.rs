//! Whose turn it is to ask the store of account states: so many at once of one namespace and of one proxy, so that one that asks all
//! the time keeps no other waiting, and people find the store free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::problem::Problem;

/// Fewer than the store has connections.
const OF_ALL: usize = 12;
/// Of one namespace: so many read, and one writes, since writers of a namespace wait for one another in the store.
const READ: usize = 3;
const WRITE: usize = 1;
/// What a proxy has under way: two questions and a wait for errands, what it tells, and the same again on connections that it gave up.
const OF_PROXY: u32 = 8;
const WITHIN: Duration = Duration::from_secs(10);

/// What is done in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    Write,
}

/// The turns of all. Cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Semaphore,
    namespaces: Mutex<HashMap<String, Namespace>>,
}

#[derive(Debug, Default)]
struct Namespace {
    lanes: Arc<Lanes>,
    /// How much each proxy has under way.
    visits: HashMap<String, u32>,
}

#[derive(Debug)]
struct Lanes {
    read: Semaphore,
    write: Semaphore,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            read: Semaphore::new(READ),
            write: Semaphore::new(WRITE),
        }
    }
}

/// A request of a proxy that is under way.
#[derive(Debug)]
pub(super) struct Visit {
    turns: Arc<Inner>,
    lanes: Arc<Lanes>,
    namespace: String,
    proxy: String,
}

/// The store may be asked until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _of_namespace: SemaphorePermit<'a>,
    _of_all: SemaphorePermit<'a>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Inner {
            all: Semaphore::new(OF_ALL),
            namespaces: Mutex::default(),
        }))
    }
}

impl Turns {
    /// Notes a request.
    pub(super) fn visit(&self, namespace: &str, proxy: &str) -> Result<Visit, Problem> {
        let mut namespaces = self.0.namespaces();
        let of_namespace = namespaces.entry(namespace.to_owned()).or_default();
        let visits = of_namespace.visits.entry(proxy.to_owned()).or_default();
        if *visits >= OF_PROXY {
            return Err(Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{OF_PROXY} requests of this proxy are under way"),
            )
            .retry_after(1));
        }
        *visits += 1;
        Ok(Visit {
            turns: Arc::clone(&self.0),
            lanes: Arc::clone(&of_namespace.lanes),
            namespace: namespace.to_owned(),
            proxy: proxy.to_owned(),
        })
    }
}

impl Inner {
    fn namespaces(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        self.namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    /// Waits for a turn: who of a namespace came first, has it first.
    pub(super) async fn turn(&self, to: Use) -> Result<Turn<'_>, Problem> {
        let lane = match to {
            Use::Read => &self.lanes.read,
            Use::Write => &self.lanes.write,
        };
        let turn = timeout(WITHIN, async {
            // In this order: a namespace whose turns are all taken takes none from the others.
            let of_namespace = lane.acquire().await?;
            let of_all = self.turns.all.acquire().await?;
            Ok::<_, tokio::sync::AcquireError>(Turn {
                _of_namespace: of_namespace,
                _of_all: of_all,
            })
        });
        // The semaphores are never closed.
        match turn.await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Problem::unavailable(
                "too many proxies of this namespace ask at once",
                2,
            )),
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut namespaces = self.turns.namespaces();
        let Some(of_namespace) = namespaces.get_mut(&self.namespace) else {
            return;
        };
        if let Some(visits) = of_namespace.visits.get_mut(&self.proxy) {
            *visits -= 1;
            if *visits == 0 {
                of_namespace.visits.remove(&self.proxy);
            }
        }
        if of_namespace.visits.is_empty() {
            namespaces.remove(&self.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn at_once<F: Future>(what: F) -> Option<F::Output> {
        timeout(Duration::ZERO, what).await.ok()
    }

    #[test]
    fn a_proxy_has_so_much_under_way_and_others_as_much() {
        let turns = Turns::default();
        let mut visits: Vec<_> = (0..OF_PROXY)
            .map(|_| turns.visit("mail", "one").unwrap())
            .collect();
        let refused = turns.visit("mail", "one").unwrap_err();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        turns.visit("mail", "two").unwrap();
        turns.visit("other", "one").unwrap();
        visits.pop();
        visits.push(turns.visit("mail", "one").unwrap());
        drop(visits);
        assert!(turns.0.namespaces().is_empty(), "nothing stays");
    }

    #[tokio::test]
    async fn a_namespace_that_asks_all_the_time_keeps_no_other_waiting() {
        let turns = Turns::default();
        let greedy: Vec<_> = (0..20)
            .map(|n| turns.visit("greedy", &n.to_string()).unwrap())
            .collect();
        let mut held = Vec::new();
        for visit in &greedy {
            held.extend(at_once(visit.turn(Use::Read)).await.map(Result::unwrap));
        }
        assert_eq!(held.len(), READ);
        let mut waiting = Box::pin(greedy[10].turn(Use::Read));
        assert!(at_once(&mut waiting).await.is_none());
        // Reading keeps nobody from writing, and neither any other namespace.
        at_once(greedy[0].turn(Use::Write)).await.unwrap().unwrap();
        let other = turns.visit("other", "one").unwrap();
        at_once(other.turn(Use::Read)).await.unwrap().unwrap();
        held.pop();
        at_once(waiting).await.unwrap().unwrap();
    }
}
