//! What is known of one engine, whatever snapshot is in force: its turns, its breaker, its idle connections.

use std::sync::{Arc, Mutex};

use sekisho_policy::opinion::{EngineFault, Score};
use sekisho_policy::snapshot::{Engine, HostPort};
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{Classifier as Label, ClassifierResult, SuspendedClassifier};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::breaker::{Asker, Breaker, Change, Failure, Ticket};
use super::connect::Idle;
use super::trouble::Trouble;
use super::{Inquiry, label, lock};

/// One engine.
#[derive(Debug)]
pub(super) struct Known {
    address: HostPort,
    label: Label,
    metrics: Metrics,
    turns: Mutex<Turns>,
    breaker: Mutex<Watched>,
    pub(super) idle: Idle,
}

#[derive(Debug)]
struct Turns {
    at_once: u32,
    semaphore: Arc<Semaphore>,
}

impl Turns {
    fn new(at_once: u32) -> Self {
        let permits = usize::try_from(at_once).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            at_once,
            semaphore: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
        }
    }
}

/// The breaker, and the gauge that shows it open.
#[derive(Debug, Default)]
struct Watched {
    breaker: Breaker,
    suspended: Option<SuspendedClassifier>,
}

impl Known {
    pub(super) fn new(engine: &Engine, metrics: Metrics) -> Self {
        Self {
            address: engine.address.clone(),
            label: label(engine.protocol),
            metrics,
            turns: Mutex::new(Turns::new(engine.concurrency)),
            breaker: Mutex::default(),
            idle: Idle::default(),
        }
    }

    /// So many messages may be asked about at once from now on, those that are being asked about already not counted.
    pub(super) fn admit_at_once(&self, concurrency: u32) {
        let mut turns = lock(&self.turns);
        if turns.at_once != concurrency {
            *turns = Turns::new(concurrency);
        }
    }

    /// Leave to ask, once it is this message's turn; waited for until then.
    ///
    /// # Errors
    /// There is no turn in time, or the engine is left alone.
    pub(super) async fn admit(
        &self,
        inquiry: &Inquiry<'_>,
        until: Instant,
    ) -> Result<Question<'_>, Trouble> {
        if lock(&self.breaker).breaker.refuses(Instant::now()) {
            return Err(self.counted(Trouble::Suspended));
        }
        let semaphore = lock(&self.turns).semaphore.clone();
        let turn = match timeout_at(until, semaphore.acquire_owned()).await {
            Ok(Ok(turn)) => turn,
            // It is never closed.
            Ok(Err(_)) | Err(_) => return Err(self.counted(EngineFault::Busy.into())),
        };
        // It may have failed while this one waited.
        let began = Instant::now();
        let ticket = lock(&self.breaker).breaker.admit(began);
        Ok(Question {
            known: self,
            ticket: Some(ticket.ok_or_else(|| self.counted(Trouble::Suspended))?),
            asker: inquiry.account.map_or_else(
                || Asker::network_of(inquiry.source),
                |account| Asker::Account(account.as_str().into()),
            ),
            began,
            _turn: turn,
        })
    }

    fn counted(&self, trouble: Trouble) -> Trouble {
        self.metrics.classified(self.label, trouble.result());
        trouble
    }
}

/// One message that an engine is asked about. Dropped without a conclusion, it says nothing of the engine.
#[derive(Debug)]
pub(super) struct Question<'a> {
    known: &'a Known,
    /// Until there is a conclusion.
    ticket: Option<Ticket>,
    asker: Asker,
    began: Instant,
    _turn: OwnedSemaphorePermit,
}

impl Question<'_> {
    /// What came of it.
    pub(super) fn conclude(mut self, answer: &Result<Score, Trouble>) {
        let failure = match answer {
            Ok(_) => None,
            Err(Trouble::Unresolved(_) | Trouble::Unreachable(_)) => Some(Failure::Unreachable),
            Err(Trouble::Fault(_)) => Some(Failure::OnMessage(self.asker.clone())),
            // No doing of the engine's.
            Err(Trouble::Unreadable | Trouble::Suspended) => return,
        };
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let known = self.known;
        let result = match answer {
            Ok(_) => ClassifierResult::Scored,
            Err(trouble) => trouble.result(),
        };
        known.metrics.classified(known.label, result);
        known
            .metrics
            .classifier_took(known.label, self.began.elapsed());
        let mut watched = lock(&known.breaker);
        let change = match failure {
            None => watched.breaker.succeeded(),
            Some(failure) => watched
                .breaker
                .failed(ticket, failure, Instant::now(), luck()),
        };
        match change {
            Change::Nothing => {}
            Change::Opened => {
                watched.suspended = Some(known.metrics.suspend_classifier(known.label));
                let why = answer
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| String::new());
                tracing::warn!(engine = %known.address, "a content engine fails again and again and is left alone for a while: {why}");
            }
            Change::Closed => {
                watched.suspended = None;
                tracing::info!(engine = %known.address, "a content engine answers again");
            }
        }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let known = self.known;
            known
                .metrics
                .classified(known.label, ClassifierResult::Abandoned);
            lock(&known.breaker)
                .breaker
                .abandoned(ticket, Instant::now());
        }
    }
}

/// Spreads the first questions after a pause; without chance they merely are not spread.
fn luck() -> u8 {
    let mut luck = [0];
    match getrandom::fill(&mut luck) {
        Ok(()) => luck[0],
        Err(_) => 0,
    }
}
