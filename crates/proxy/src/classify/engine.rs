//! What is known of one engine, whatever snapshot is in force: its turns, its breaker, its idle connections.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use sekisho_policy::opinion::{EngineFault, Score};
use sekisho_policy::snapshot::{Engine, HostPort};
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{Classifier as Label, ClassifierResult, SuspendedClassifier};
use tokio::time::{Instant, timeout_at};

use super::breaker::{Asker, Breaker, Change, Failure, Ticket};
use super::connect::Idle;
use super::trouble::Trouble;
use super::turns::{Turn, Turns};
use super::{Inquiry, label, lock};
use crate::luck::luck;

/// One engine.
#[derive(Debug)]
pub(super) struct Known {
    address: HostPort,
    label: Label,
    metrics: Metrics,
    turns: Mutex<Arc<Turns>>,
    breaker: Mutex<Watched>,
    pub(super) idle: Idle,
}

/// The breaker, and the gauge that shows it open.
#[derive(Debug)]
struct Watched {
    breaker: Breaker,
    suspended: Option<SuspendedClassifier>,
}

impl Known {
    pub(super) fn new(engine: &Engine, metrics: Metrics, first_pause: Duration) -> Self {
        Self {
            address: engine.address.clone(),
            label: label(engine.protocol),
            metrics,
            turns: Mutex::new(Arc::new(Turns::new(engine.concurrency))),
            breaker: Mutex::new(Watched {
                breaker: Breaker::new(first_pause),
                suspended: None,
            }),
            idle: Idle::default(),
        }
    }

    /// So many messages may be asked about at once from now on, those that are being asked about already not counted.
    pub(super) fn admit_at_once(&self, concurrency: u32) {
        let mut turns = lock(&self.turns);
        if turns.at_once != concurrency {
            *turns = Arc::new(Turns::new(concurrency));
        }
    }

    /// Leave to ask, once it is this message's turn. With less than half of `patience` left nothing is asked: what an engine
    /// has no time for would look like its failure.
    ///
    /// # Errors
    /// There is no turn in time, or the engine is left alone.
    pub(super) async fn admit(
        &self,
        inquiry: &Inquiry<'_>,
        patience: Duration,
    ) -> Result<Question<'_>, Trouble> {
        let asked = Instant::now();
        let asker = inquiry.account.map_or_else(
            || Asker::network_of(inquiry.source),
            |account| Asker::Account(account.as_str().into()),
        );
        if lock(&self.breaker).breaker.refuses(&asker, asked) {
            return Err(self.counted(Trouble::Suspended));
        }
        let turns = lock(&self.turns).clone();
        let mut taking = pin!(turns.take(inquiry.account));
        // Polled once: who need not wait leaves the engine all of the time.
        let at_once = poll_fn(|context| Poll::Ready(taking.as_mut().poll(context))).await;
        let (turn, portion) = match at_once {
            Poll::Ready(turn) => (turn, Portion::Whole),
            Poll::Pending => match timeout_at(asked + patience / 2, taking).await {
                Ok(turn) => (turn, Portion::Rest),
                Err(_) => return Err(self.counted(EngineFault::Busy.into())),
            },
        };
        // It may have failed while this one waited.
        let began = Instant::now();
        if portion == Portion::Rest && began > asked + patience / 2 {
            return Err(self.counted(EngineFault::Busy.into()));
        }
        let ticket = lock(&self.breaker).breaker.admit(&asker, began);
        Ok(Question {
            known: self,
            ticket: Some(ticket.ok_or_else(|| self.counted(Trouble::Suspended))?),
            asker,
            began,
            time: Time {
                until: asked + patience,
                portion,
            },
            _turn: turn,
        })
    }

    fn counted(&self, trouble: Trouble) -> Trouble {
        self.metrics.classified(self.label, trouble.result());
        trouble
    }
}

/// The time that an engine has for a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub(super) until: Instant,
    pub(super) portion: Portion,
}

/// How much of what it is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    Whole,
    /// What waiting for a turn left. That it did not suffice says nothing of the engine.
    Rest,
}

/// One message that an engine is asked about. Dropped without a conclusion, it says nothing of the engine.
#[derive(Debug)]
pub(super) struct Question<'a> {
    known: &'a Known,
    /// Until there is a conclusion.
    ticket: Option<Ticket>,
    asker: Asker,
    began: Instant,
    pub(super) time: Time,
    _turn: Turn,
}

impl Question<'_> {
    /// What came of it.
    pub(super) fn conclude(mut self, answer: &Result<Score, Trouble>) {
        let failure = match answer {
            Ok(_) => None,
            Err(Trouble::Unresolved(_) | Trouble::Unreachable(_)) => Some(Failure::Unreachable),
            Err(Trouble::Fault(EngineFault::Timeout)) if self.time.portion == Portion::Rest => {
                return self.dismiss(ClassifierResult::Timeout);
            }
            Err(Trouble::Fault(_)) => Some(Failure::OnMessage(self.asker.clone())),
            // No doing of the engine's.
            Err(Trouble::Unreadable | Trouble::Suspended) => return,
        };
        let result = match answer {
            Ok(_) => ClassifierResult::Scored,
            Err(trouble) => trouble.result(),
        };
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let known = self.known;
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

    /// Nothing came of it that says anything of the engine.
    fn dismiss(&mut self, result: ClassifierResult) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        let (known, asker) = (self.known, self.asker.clone());
        known.metrics.classified(known.label, result);
        let mut watched = lock(&known.breaker);
        watched.breaker.abandoned(ticket, asker, Instant::now());
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.dismiss(ClassifierResult::Abandoned);
    }
}
