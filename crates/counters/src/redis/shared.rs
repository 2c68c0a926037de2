//! One call: what credit covers is left out, each slot is asked for the rest, and what they said is put together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use sekisho_policy::{Op, Outcome, Results, Timestamp, Unavailable};
use smallvec::SmallVec;
use tokio::sync::SemaphorePermit;

use super::answer::{self, Answer};
use super::call::{self, Asked, Call, Charge, Manner};
use super::failure::Failure;
use super::lease::{Cover, Wish};
use super::{Shared, lanes};
use crate::receipt::Receipt;

impl Shared {
    pub(super) async fn apply(
        self: &Arc<Self>,
        now: Timestamp,
        ops: &[Op],
        cover: Cover,
    ) -> Result<(Results, Option<Receipt>), Failure> {
        if ops.is_empty() {
            return Ok((Results::default(), None));
        }
        let _permit = match self.permit() {
            Ok(permit) => permit,
            Err(failure) => {
                self.put_back(cover.charges);
                return Err(failure);
            }
        };
        let (manners, returns, wishes) = self.approach(now, ops, &cover);
        let first_birth = self.births.fetch_add(ops.len() as u64, Ordering::Relaxed);
        let asked = Asked {
            ops,
            manners: &manners,
            first_birth,
            now,
            said: self.setup.clock.said(now),
            returns,
        };
        let calls = call::plan(&self.names, self.setup.topology, asked);
        let answers = if wishes.is_empty() {
            self.ask_all(&calls).await
        } else {
            self.ask_for_credit(calls, wishes).await
        };
        self.settle(now, ops, cover, answers).await
    }

    /// How each operation is asked, what comes back with it, and what credit is wished for.
    fn approach(
        &self,
        now: Timestamp,
        ops: &[Op],
        cover: &Cover,
    ) -> (SmallVec<[Manner; 8]>, Vec<Charge>, Vec<Wish>) {
        let (mut returns, mut wishes) = (Vec::new(), Vec::new());
        let Some(leases) = &self.leases else {
            return (SmallVec::new(), returns, wishes);
        };
        let moment = leases.moment(now);
        let is_asked = |slot: u16| self.is_asked(slot);
        let manner = |at: usize| {
            if cover.totals.get(at).copied().flatten().is_some() {
                return Manner::Covered;
            }
            let approach = leases.approach(moment, ops, at, is_asked);
            returns.extend(approach.rest);
            let Some(wish) = approach.wish else {
                return Manner::Plainly;
            };
            let terms = wish.terms;
            wishes.push(wish);
            Manner::Lending(terms)
        };
        let manners = (0..ops.len()).map(manner).collect();
        (manners, returns, wishes)
    }

    async fn ask_all(&self, calls: &[Call]) -> Vec<Result<Answer, Failure>> {
        match calls {
            [only] => vec![self.ask(only).await],
            several => join_all(several.iter().map(|call| self.ask(call))).await,
        }
    }

    /// Asks in a task of its own: credit that was charged must find its way home, even if whoever needed it has gone meanwhile.
    async fn ask_for_credit(
        self: &Arc<Self>,
        calls: SmallVec<[Call; 2]>,
        wishes: Vec<Wish>,
    ) -> Vec<Result<Answer, Failure>> {
        let (shared, count) = (self.clone(), calls.len());
        let asking = tokio::spawn(async move {
            let mut answers = shared.ask_all(&calls).await;
            let unwanted = shared.receive(&mut answers, wishes);
            if !unwanted.is_empty() {
                shared.send_back(unwanted).await;
            }
            answers
        });
        let ended = || Failure::Connection("this process ends".to_owned());
        let answers = asking.await;
        answers.unwrap_or_else(|_| (0..count).map(|_| Err(ended())).collect())
    }

    /// Takes the credit that came, and says what of it is no longer wanted.
    fn receive(&self, answers: &mut [Result<Answer, Failure>], wishes: Vec<Wish>) -> Vec<Charge> {
        let Some(leases) = &self.leases else {
            return Vec::new();
        };
        let came = answers.iter_mut().flatten();
        let mut slices: Vec<_> = came.flat_map(Answer::take_slices).collect();
        let receive = |wish: Wish| {
            let at = slices.iter().position(|slice| slice.op == wish.op);
            leases.receive(wish, at.map(|at| slices.swap_remove(at)))
        };
        wishes.into_iter().filter_map(receive).collect()
    }

    /// Puts together what each slot said. A gate that is full refuses, whatever else could not be counted. What gates added to
    /// other slots comes back if one refused or did not answer, and so does what was drawn from credit: nobody is to pay for what
    /// was not let in.
    async fn settle(
        &self,
        now: Timestamp,
        ops: &[Op],
        cover: Cover,
        answers: Vec<Result<Answer, Failure>>,
    ) -> Result<(Results, Option<Receipt>), Failure> {
        let refused = answers.iter().flatten().any(|answer| !answer.passed);
        let undone = refused || answers.iter().any(Result::is_err);
        let mut outcomes: Vec<_> = ops.iter().map(answer::unknown).collect();
        for (outcome, total) in outcomes.iter_mut().zip(&cover.totals) {
            if let Some(total) = *total {
                *outcome = Outcome::Passed { total };
            }
        }
        let (mut kept, mut returned) = (Vec::new(), Vec::new());
        if undone {
            returned = cover.charges;
        } else {
            kept = cover.charges;
        }
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
        self.send_back(self.put_back(returned)).await;
        match failed {
            Some(failure) if !refused => Err(failure),
            _ => Ok((Results(outcomes), Receipt::of_redis(kept))),
        }
    }

    /// Puts back what was drawn from credit that is still here; the rest must be sent.
    fn put_back(&self, mut charges: Vec<Charge>) -> Vec<Charge> {
        if let Some(leases) = &self.leases {
            charges.retain(|charge| !leases.put_back(charge));
        }
        charges
    }

    pub(super) async fn give_back(&self, charges: Vec<Charge>) {
        let charges = self.put_back(charges);
        if charges.is_empty() {
            return;
        }
        match self.permit() {
            Ok(_permit) => self.send_back(charges).await,
            Err(failure) => self.complaints.note(&failure),
        }
    }

    /// Gives back; what cannot be given back fades with its window.
    pub(super) async fn send_back(&self, charges: Vec<Charge>) {
        if charges.is_empty() {
            return;
        }
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

    pub(super) fn unavailable(&self, failure: &Failure) -> Unavailable {
        self.complaints.note(failure);
        failure.unavailable()
    }
}
