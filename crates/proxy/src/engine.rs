//! One event through policy: gather the facts it needs, plan, run the counters, decide, and tell metrics and brake.

use std::sync::Arc;

use sekisho_counters::redis::LeaseCounts;
use sekisho_counters::{Counters, Receipt};
use sekisho_policy::decision::{Decision, Said};
use sekisho_policy::event::{Event, Stage};
use sekisho_policy::op::{Cause, Op, Outcome, Results, Unavailable};
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::Enforcement;
use sekisho_policy::{DecisionId, Need, Timestamp, Verdict};
use sekisho_runtime::metrics::{
    self as labels, CounterBackend, CounterError, CounterLease, Metrics,
};
use tokio::time::Instant;

use crate::abuse::Pardons;
use crate::brakes::Brakes;
use crate::detect;
use crate::dns::Dns;
use crate::gateway::Tallies;
use crate::live::Live;
use crate::restrictions::Restrictions;

/// What judges events, and outlives every snapshot.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) tallies: Tallies,
    pub(crate) dns: Dns,
    pub(crate) brakes: Brakes,
    pub(crate) restrictions: Restrictions,
    pub(crate) pardons: Pardons,
}

/// One event judged.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The event, what counters answered and what was decided, as the ledger keeps it.
    pub(crate) step: Step,
    /// What can be given back while the message has not been sent. Absent where nothing was charged, where it
    /// never comes back, and where it was given back because the verdict is a refusal. What may be judged again has one until then.
    pub(crate) receipt: Option<Receipt>,
}

impl Judged {
    pub(crate) fn id(&self) -> DecisionId {
        self.step.event.id
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.step.decision
    }

    pub(crate) fn verdict(&self) -> &Verdict {
        &self.step.decision.verdict
    }
}

impl Engine {
    /// Judges `event` by the rules of `live`.
    pub(crate) async fn judge(&self, live: &Live, event: Event) -> Judged {
        let event = self.gather(live, event).await;
        let trust = self.trust(&event);
        let (ops, answers, mut decision, receipt) = self.ask(live, &event).await;
        let receipt = self.settle(&event, &decision, receipt).await;
        self.note(live, event.at, &decision.records).await;
        self.follow_up(live, &event, &mut decision, trust).await;
        live.count(&event, &decision);
        detect::from_findings(&live.metrics, &event, &decision);
        self.brakes.observe(&live.rules, &event, &decision);
        Judged {
            step: Step {
                event,
                ops,
                answers,
                decision,
            },
            receipt,
        }
    }

    /// Returns what was charged for a message that is not sent.
    pub(crate) async fn give_back(&self, receipt: Receipt) {
        self.tallies.now().give_back(receipt).await;
    }

    /// Looks up the facts that some rule needs and the event lacks.
    async fn gather(&self, live: &Live, mut event: Event) -> Event {
        let needs = live.rules.needs(&event);
        if needs.contains(Need::ReverseNames) {
            let names = self.dns.reverse_names(event.session.source.ip).await;
            Arc::make_mut(&mut event.session).source.reverse_names = names;
        }
        if needs.contains(Need::RecipientDomain)
            && let Stage::Rcpt { recipient, domain } = &mut event.stage
        {
            *domain = self.dns.domain_standing(recipient.domain()).await;
        }
        event
    }

    async fn ask(
        &self,
        live: &Live,
        event: &Event,
    ) -> (
        Vec<Op>,
        Result<Vec<Outcome>, Unavailable>,
        Decision,
        Option<Receipt>,
    ) {
        let plan = live.rules.plan(event);
        if plan.ops().is_empty() {
            return (
                Vec::new(),
                Ok(Vec::new()),
                plan.decide(Ok(&Results::default())),
                None,
            );
        }
        let counters = self.tallies.now();
        match apply(&counters, live, event.at, plan.ops()).await {
            Ok((results, receipt)) => {
                let decision = plan.decide(Ok(&results));
                (plan.ops().to_vec(), Ok(results.0), decision, receipt)
            }
            Err(mut unavailable) => {
                let alone = counters.apply_alone(event.at, &plan.ops_alone());
                let receipt = alone.and_then(|(results, receipt)| {
                    unavailable.alone = Some(results);
                    receipt
                });
                let decision = plan.decide(Err(&unavailable));
                (plan.ops().to_vec(), Err(unavailable), decision, receipt)
            }
        }
    }

    /// What a refused event added comes back at once, where it may come back at all.
    async fn settle(
        &self,
        event: &Event,
        decision: &Decision,
        receipt: Option<Receipt>,
    ) -> Option<Receipt> {
        let gives_back = event.stage.gives_back();
        let receipt = receipt.filter(|_| gives_back || event.may_be_asked_again())?;
        if decision.verdict.refusal().is_none() {
            return Some(receipt);
        }
        if gives_back {
            self.give_back(receipt).await;
        }
        None
    }

    /// Applies what is counted whatever the verdict. Nobody waits for its answer.
    pub(crate) async fn note(&self, live: &Live, at: Timestamp, records: &[Op]) {
        if records.is_empty() {
            return;
        }
        let counters = self.tallies.now();
        if apply(&counters, live, at, records).await.is_err() {
            counters.apply_alone(at, records);
        }
    }
}

pub(crate) async fn apply(
    counters: &Counters,
    live: &Live,
    at: Timestamp,
    ops: &[Op],
) -> Result<(Results, Option<Receipt>), Unavailable> {
    let began = Instant::now();
    let applied = counters.apply(at, ops).await;
    let process = live.metrics.process();
    let backend = match counters {
        Counters::Memory(_) => CounterBackend::Memory,
        Counters::Redis(_) | Counters::Absent(_) => CounterBackend::Redis,
    };
    if let Counters::Redis(redis) = counters {
        process.counter_round_trips(backend, redis.take_round_trips());
        count_leases(process, redis.take_lease_counts());
    }
    match &applied {
        Ok(_) => process.counters_applied(backend, began.elapsed()),
        Err(unavailable) => {
            process.counters_failed(backend, error_label(unavailable.cause));
            // Shared counters say themselves, now and then, that they are out.
            if backend == CounterBackend::Memory {
                tracing::warn!(%unavailable, "counters did not answer; the rules' onUnavailable decides");
            }
        }
    }
    applied
}

fn count_leases(process: &Metrics, counts: LeaseCounts) {
    process.counter_events_covered(counts.covered);
    for (fate, count) in [
        (CounterLease::Taken, counts.taken),
        (CounterLease::Returned, counts.returned),
        (CounterLease::Expired, counts.expired),
    ] {
        process.counter_leases(fate, count);
    }
}

/// Why counters did not answer, as metrics name it.
const fn error_label(cause: Cause) -> CounterError {
    match cause {
        Cause::Full => CounterError::Full,
        Cause::Timeout => CounterError::Timeout,
        Cause::Connection => CounterError::Connection,
        Cause::Refused => CounterError::Refused,
        Cause::Protocol => CounterError::Protocol,
        Cause::Open => CounterError::Suspended,
        Cause::Crowded => CounterError::Crowded,
    }
}

/// The stage as metrics name it.
pub(crate) fn stage_label(stage: &Stage) -> labels::Stage {
    match stage {
        Stage::Connect => labels::Stage::Connect,
        Stage::Login { .. }
        | Stage::LoginShown { .. }
        | Stage::LoginFailed { .. }
        | Stage::LoginSucceeded => labels::Stage::Auth,
        Stage::Mail => labels::Stage::Mail,
        Stage::Rcpt { .. } => labels::Stage::Rcpt,
        Stage::Headers(_) => labels::Stage::Headers,
        Stage::End(_) => labels::Stage::Body,
        Stage::Route { .. } => labels::Stage::Route,
    }
}

/// What a rule said, or was only observed to say, as metrics name it.
pub(crate) fn said_labels(
    said: Said,
    enforcement: Enforcement,
) -> (labels::Verdict, labels::Enforcement) {
    let verdict = match said {
        Said::Defer(_) => labels::Verdict::Defer,
        Said::Reject(_) => labels::Verdict::Reject,
        Said::Pass | Said::Noted(_) | Said::Exempt | Said::Worsen(..) | Said::Unjudged => {
            labels::Verdict::Allow
        }
    };
    let enforcement = match enforcement {
        Enforcement::Enforce => labels::Enforcement::Enforce,
        Enforcement::Shadow | Enforcement::Off => labels::Enforcement::Shadow,
    };
    (verdict, enforcement)
}

/// The verdict as a whole, for events on which no rule spoke.
pub(crate) fn verdict_label(verdict: &Verdict) -> labels::Verdict {
    match verdict {
        Verdict::Allow => labels::Verdict::Allow,
        Verdict::Delay(_) => labels::Verdict::Delay,
        Verdict::Defer(_) => labels::Verdict::Defer,
        Verdict::Reject(_) => labels::Verdict::Reject,
    }
}
