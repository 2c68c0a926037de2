//! What the fleet's server draws from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sekisho_runtime::{Clock, Metrics, Shutdown};
use sekisho_store::AccountStates;
use tokio::sync::Semaphore;

use super::admission::{Admission, Callers};
use super::books::Books;
use super::errands::Errands;
use super::reports::Reports;
use super::turns::Turns;
use crate::configs::Configs;
use crate::problem::Problem;

/// What the process hands to [`super::FleetServer`].
pub struct FleetSources {
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    /// The snapshots that are served.
    pub configs: Configs,
    /// Where proxies are noted.
    pub reports: Reports,
    /// What proxies have to do.
    pub errands: Errands,
    /// Where records go.
    pub books: Books,
    /// What accounts may not do; without a store there is nothing to be followed.
    pub accounts: Option<AccountStates>,
    pub clock: Clock,
    /// Who is admitted.
    pub callers: Arc<dyn Callers>,
    /// Until it is set, everybody is sent to another replica.
    pub ready: Ready,
}

/// Whether this replica has seen what there is to serve. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// From now on, what is not published does not exist.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Sends whoever asks to another replica until then.
    pub(super) fn check(&self) -> Result<(), Problem> {
        match self.is_set() {
            true => Ok(()),
            false => Err(Problem::unavailable(
                "this replica has not yet seen what there is; ask another one",
                2,
            )),
        }
    }

    /// Whether [`Ready::set`] was called.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The state behind the routes; cheap to clone.
#[derive(Clone)]
pub(super) struct Fleet(Arc<Inner>);

pub(super) struct Inner {
    pub(super) sources: FleetSources,
    pub(super) admission: Admission,
    /// Batches of records that are unpacked at once.
    pub(super) unpacking: Arc<Semaphore>,
    /// Who asks the store of account states.
    pub(super) turns: Turns,
}

/// Each takes tens of MiB at worst.
const UNPACKED_AT_ONCE: usize = 4;

impl Fleet {
    pub(super) fn new(sources: FleetSources) -> Self {
        Self(Arc::new(Inner {
            admission: Admission::new(sources.callers.clone()),
            unpacking: Arc::new(Semaphore::new(UNPACKED_AT_ONCE)),
            turns: Turns::default(),
            sources,
        }))
    }
}

impl std::ops::Deref for Fleet {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl std::ops::Deref for Inner {
    type Target = FleetSources;
    fn deref(&self) -> &FleetSources {
        &self.sources
    }
}
