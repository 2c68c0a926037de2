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

mod answer;
mod breaker;
mod call;
mod failure;
mod lanes;
mod link;
mod names;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use sekisho_policy::{Op, Results, Timestamp, Unavailable};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use crate::memory::{Limits, Memory, Sizes};
use crate::receipt::{Held, Receipt};
use answer::Answer;
use breaker::Breaker;
use call::Call;
use failure::Failure;
use link::Link;
use names::Names;

pub use breaker::Standing;
pub(crate) use call::Charge;
pub use setup::{ClientIdentity, Defect, NamingKey, Password, Setup, Topology, WhoseClock};

/// Counters in Redis, and counters in this process for the time that it does not answer.
#[derive(Debug)]
pub struct Redis {
    shared: Arc<Shared>,
    /// Counts while Redis does not, for rules that want that.
    alone: Memory,
    /// The probes; they end with this.
    _watchers: JoinSet<()>,
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
            complaints: failure::Complaints::default(),
            setup,
        });
        Ok(Self {
            _watchers: lanes::watch_over(&shared),
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

    pub(crate) async fn apply(
        &self,
        now: Timestamp,
        ops: &[Op],
    ) -> Result<(Results, Option<Receipt>), Unavailable> {
        let applied = self.shared.apply(now, ops).await;
        applied.map_err(|failure| self.shared.unavailable(&failure))
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

impl Shared {
    async fn apply(
        &self,
        now: Timestamp,
        ops: &[Op],
    ) -> Result<(Results, Option<Receipt>), Failure> {
        if ops.is_empty() {
            return Ok((Results::default(), None));
        }
        let _permit = self.permit()?;
        let first_birth = self.births.fetch_add(ops.len() as u64, Ordering::Relaxed);
        let clock = self.setup.clock.said(now);
        let calls = call::plan(&self.names, self.setup.topology, ops, first_birth, clock);
        let answers = match &calls[..] {
            [only] => vec![self.ask(only).await],
            several => join_all(several.iter().map(|call| self.ask(call))).await,
        };
        self.settle(now, ops, answers).await
    }

    /// Puts together what each slot said. A gate that is full refuses, whatever else could not be counted. What gates added to
    /// other slots comes back if one refused or did not answer: nobody is to pay for what was not let in.
    async fn settle(
        &self,
        now: Timestamp,
        ops: &[Op],
        answers: Vec<Result<Answer, Failure>>,
    ) -> Result<(Results, Option<Receipt>), Failure> {
        let refused = answers.iter().flatten().any(|answer| !answer.passed);
        let undone = refused || answers.iter().any(Result::is_err);
        let mut outcomes: Vec<_> = ops.iter().map(answer::unknown).collect();
        let (mut kept, mut returned) = (Vec::new(), Vec::new());
        let mut failed = None;
        for answer in answers {
            match answer {
                Ok(answer) => {
                    for (at, outcome) in answer.outcomes(now) {
                        outcomes[at] = outcome;
                    }
                    for (charge, is_gate) in answer.into_charges() {
                        let list = if undone && is_gate {
                            &mut returned
                        } else {
                            &mut kept
                        };
                        list.push(charge);
                    }
                }
                Err(failure) => failed = Some(failure),
            }
        }
        if !returned.is_empty() {
            self.send_back(returned).await;
        }
        match failed {
            Some(failure) if !refused => Err(failure),
            _ => Ok((Results(outcomes), Receipt::of_redis(kept))),
        }
    }

    async fn give_back(&self, charges: Vec<Charge>) {
        match self.permit() {
            Ok(_permit) => self.send_back(charges).await,
            Err(failure) => self.complaints.note(&failure),
        }
    }

    /// Gives back; what cannot be given back fades with its window.
    async fn send_back(&self, charges: Vec<Charge>) {
        let calls = call::plan_returns(charges, self.setup.topology, &self.setup.clock);
        for answer in join_all(calls.iter().map(|call| self.ask(call))).await {
            if let Err(failure) = answer {
                self.complaints.note(&failure);
            }
        }
    }

    /// Asks one slot, unless it is known not to answer.
    async fn ask(&self, call: &Call) -> Result<Answer, Failure> {
        let lane = lanes::of(self.setup.topology, call.slot);
        if let Some(why) = self.breaker.why_open(lane) {
            return Err(Failure::Open(why));
        }
        let asked = self.ask_at_once(call).await;
        match &asked {
            Ok(_) => self.breaker.note_answer(lane),
            Err(failure) if failure.is_of_one_key() => {}
            Err(failure) => self.breaker.note_failure(lane, failure),
        }
        asked
    }

    async fn ask_at_once(&self, call: &Call) -> Result<Answer, Failure> {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        let numbers = self.link.run(call, self.setup.deadline).await?;
        Answer::read(call, numbers)
    }

    fn permit(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.in_flight
            .try_acquire()
            .map_err(|_| Failure::Crowded(self.setup.in_flight))
    }

    fn unavailable(&self, failure: &Failure) -> Unavailable {
        self.complaints.note(failure);
        Unavailable {
            dependency: "counters (redis)".to_owned(),
            why: failure.to_string(),
            cause: failure.cause(),
            alone: None,
        }
    }
}
