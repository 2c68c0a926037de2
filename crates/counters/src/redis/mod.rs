//! Counters in Redis, shared by all who name the same server and hold the same key: single servers and Clusters.
//!
//! All operations of a call on one slot are one script and one round trip (`script.lua`); the server's own clock decides. In a
//! Cluster a call that touches several slots asks each of them at once. Each charges its gates if all of them pass there, and what
//! was charged is given back where another slot refuses or does not answer. So no limit is ever exceeded, and for the time of that second round
//! trip, or until the window has passed if it fails, a call that was refused holds room that others could have used.
//!
//! Where the server does not answer within its deadline, or says something else than an answer, the call is [`Unavailable`]. Some
//! of it may have been counted. A server that fails again and again is not asked any more until a probe of our own, tried at
//! growing and random intervals, is answered.
//!
//! With [`Leases::On`] limits that are busy are charged ahead, and most events need no round trip: see `lease`.

mod answer;
mod breaker;
mod call;
mod failure;
mod lanes;
mod lease;
mod link;
mod names;
mod reading;
mod setup;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_policy::{Op, Outcome, Results, Timestamp, Unavailable};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::memory::{Limits, Memory, Sizes};
use crate::receipt::{Held, Receipt};
use breaker::Breaker;
use lease::Cover;
use link::Link;
use names::Names;

pub use breaker::Standing;
pub(crate) use call::Charge;
pub use lease::LeaseCounts;
#[doc(hidden)]
pub use reading::read_answer;
pub use setup::{
    ClientIdentity, Defect, Leases, Lending, NamingKey, Password, Setup, Topology, WhoseClock,
};

/// Counters in Redis, and counters in this process for the time that it does not answer.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    /// Counts while Redis does not, for rules that want that.
    alone: Memory,
    /// The probes; they end with this.
    _watchers: JoinSet<()>,
}

/// How much of a call needs no round trip.
pub(crate) enum Covered {
    Wholly(Results, Option<Receipt>),
    Partly(Cover),
}

/// What probes in the background need as well.
#[derive(Debug)]
struct Shared {
    setup: Setup,
    names: Names,
    link: Link,
    breaker: Breaker,
    in_flight: Semaphore,
    /// Names the lives of keys: a number that was never drawn before.
    births: AtomicU64,
    round_trips: AtomicU64,
    leases: Option<lease::Leases>,
    complaints: failure::Complaints,
}

impl Redis {
    /// Connects in the background; until then calls wait for it, at most their deadline. Must be called within a runtime of tokio.
    ///
    /// # Errors
    /// What cannot be a server, or TLS material that cannot be read.
    pub fn new(setup: Setup, alone: Limits) -> Result<Self, Defect> {
        let shared = Arc::new(Shared {
            names: Names::new(&setup.key),
            link: Link::new(&setup)?,
            breaker: Breaker::new(setup.topology),
            in_flight: Semaphore::new(setup.in_flight),
            births: AtomicU64::new(call::random() >> call::BIRTH_BITS),
            round_trips: AtomicU64::new(0),
            leases: match setup.leases {
                Leases::Off => None,
                Leases::On(lending) => Some(lease::Leases::new(lending, setup.clock)),
            },
            complaints: failure::Complaints::default(),
            setup,
        });
        let mut watchers = lanes::watch_over(&shared);
        lease::look_after(&shared, &mut watchers);
        Ok(Self {
            _watchers: watchers,
            shared,
            alone: Memory::new(alone),
        })
    }

    /// What it was made with.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.shared.setup
    }

    /// Whether it answers, as it changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.shared.breaker.standing()
    }

    /// Round trips since the last time that this was asked.
    pub fn take_round_trips(&self) -> u64 {
        self.shared.round_trips.swap(0, Ordering::Relaxed)
    }

    /// What became of leases since the last time that this was asked.
    pub fn take_lease_counts(&self) -> LeaseCounts {
        let leases = self.shared.leases.as_ref();
        leases.map(lease::Leases::take_counts).unwrap_or_default()
    }

    /// Gives back credit that is idle or too old at `now`. It happens by itself, unless [`WhoseClock::Caller`] decides what time it is.
    pub async fn tend_leases(&self, now: Timestamp) {
        self.shared.tend(now).await;
    }

    /// What credit of this process covers of a call.
    pub(crate) fn cover(&self, now: Timestamp, ops: &[Op]) -> Covered {
        let Some(leases) = &self.shared.leases else {
            return Covered::Partly(Cover::default());
        };
        let cover = leases.cover(leases.moment(now), ops);
        if !cover.is_whole() {
            return Covered::Partly(cover);
        }
        let totals = cover.totals.iter().flatten();
        let outcomes = totals.map(|&total| Outcome::Passed { total }).collect();
        Covered::Wholly(Results(outcomes), Receipt::of_redis(cover.charges))
    }

    /// Asks for what is not covered.
    pub(crate) async fn apply(
        &self,
        now: Timestamp,
        ops: &[Op],
        cover: Cover,
    ) -> Result<(Results, Option<Receipt>), Unavailable> {
        let applied = self.shared.apply(now, ops, cover).await;
        applied.map_err(|failure| self.shared.unavailable(&failure))
    }

    /// Gives back all credit of this process, and lends nothing more.
    pub(crate) async fn retire(&self) {
        self.shared.retire().await;
    }

    /// Counts in this process.
    pub(crate) fn apply_alone(
        &self,
        now: Timestamp,
        ops: &[Op],
    ) -> Result<(Results, Option<Receipt>), Unavailable> {
        self.alone.apply(now, ops)
    }

    pub(crate) async fn give_back(&self, receipt: Receipt) {
        match receipt.0 {
            Held::Memory(charges) => self.alone.give_back(charges),
            Held::Redis(charges) => self.shared.give_back(charges).await,
        }
    }

    /// What the counters of this process hold; Redis knows of its own.
    pub(crate) fn sizes(&self) -> Sizes {
        self.alone.sizes()
    }
}
