//! Which parts of the slots are asked. A part that fails again and again is not, until a probe is answered.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use super::failure::Failure;
use super::lanes;
use super::setup::Topology;

/// So many failures with no answer between them, and events wait no more.
const PATIENCE: u32 = 3;

/// Whether Redis answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Parts of the slots that are not asked.
    pub open: usize,
    /// All parts.
    pub parts: usize,
    /// Why the last of them is not asked; absent if all are.
    pub why: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) struct Breaker {
    lanes: Box<[Lane]>,
    standing: watch::Sender<Standing>,
}

#[derive(Debug, Default)]
struct Lane {
    failures: AtomicU32,
    why_open: Mutex<Option<Arc<str>>>,
    opened: Notify,
}

impl Breaker {
    pub(super) fn new(topology: Topology) -> Self {
        let parts = lanes::count(topology);
        let standing = Standing {
            parts,
            ..Standing::default()
        };
        Self {
            lanes: (0..parts).map(|_| Lane::default()).collect(),
            standing: watch::Sender::new(standing),
        }
    }

    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Why a lane is not asked, if it is not.
    pub(super) fn why_open(&self, lane: usize) -> Option<Arc<str>> {
        let lane = &self.lanes[lane];
        if lane.failures.load(Ordering::Relaxed) < PATIENCE {
            return None;
        }
        lane.why().clone()
    }

    pub(super) fn note_answer(&self, lane: usize) {
        let lane = &self.lanes[lane];
        // A late answer does not close what a probe has not seen.
        if lane.failures.load(Ordering::Relaxed) > 0 && lane.why().is_none() {
            lane.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn note_failure(&self, lane: usize, failure: &Failure) {
        if self.lanes[lane].failures.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
            self.open(lane, failure);
        }
    }

    /// Has a lane not be asked.
    pub(super) fn open(&self, lane: usize, failure: &Failure) {
        let lane = &self.lanes[lane];
        let why: Arc<str> = failure.to_string().into();
        if lane.why().replace(why.clone()).is_some() {
            return;
        }
        lane.failures.store(PATIENCE, Ordering::Relaxed);
        self.standing.send_modify(|standing| {
            standing.open += 1;
            standing.why = Some(why.clone());
        });
        let (open, parts) = self.open_of();
        tracing::error!(%why, open, parts, "Redis fails again and again; events do not wait for it until it answers a probe");
        lane.opened.notify_one();
    }

    /// Has a lane be asked again.
    pub(super) fn close(&self, lane: usize) {
        let lane = &self.lanes[lane];
        lane.failures.store(0, Ordering::Relaxed);
        if lane.why().take().is_none() {
            return;
        }
        self.standing.send_modify(|standing| {
            standing.open -= 1;
            if standing.open == 0 {
                standing.why = None;
            }
        });
        let (open, parts) = self.open_of();
        tracing::info!(open, parts, "Redis answers again");
    }

    /// Waits until a lane is opened.
    pub(super) async fn opened(&self, lane: usize) {
        self.lanes[lane].opened.notified().await;
    }

    fn open_of(&self) -> (usize, usize) {
        let standing = self.standing.borrow();
        (standing.open, standing.parts)
    }
}

impl Lane {
    fn why(&self) -> std::sync::MutexGuard<'_, Option<Arc<str>>> {
        self.why_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
