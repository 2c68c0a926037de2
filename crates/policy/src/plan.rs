//! Seam 2: from an event to the counter operations it needs, and from their results to a decision.

mod ask;

use std::borrow::Cow;

use crate::decide::decide;
use crate::decision::{Class, Decision, Reason, Refusal, Said};
use crate::event::{ConfigState, Event, Stage};
use crate::explain::{Skip, UNTRUSTED};
use crate::field_path::FieldPath;
use crate::key::{Subjects, Tally};
use crate::op::{Op, Results, Unavailable};
use crate::reply;
use crate::rules::restricted;
use crate::ruleset::{RuleView, Ruleset};
use crate::snapshot::{Enforcement, OnConfigUnavailable, OnCountersUnavailable, Unit};

pub(crate) use ask::{Ask, Check, Effect, KnownGoodPass, LockStep, Part, Sanction, Turn, Voice};

/// What the rules ask of counters for one event, and what remains to be decided. `Send + Sync`.
///
/// Rules are asked in evaluation order. What can be judged from the event alone is judged at once; limits are asked only of what
/// nothing else refuses, so that nothing is charged for what is refused anyway (their gates become reads; login attempts are
/// still charged). The verdict is the first enforced refusal from the event alone, else the first that counters lead to.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(crate) rules: &'a Ruleset,
    pub(crate) event: &'a Event,
    pub(crate) ops: Vec<Op>,
    pub(crate) checks: Vec<Check<'a>>,
    /// What is recorded whatever counters say.
    pub(crate) records: Vec<Op>,
    /// The best class that the message can have, before what counters say.
    pub(crate) class: Class,
    /// Where the known-good days were asked.
    pub(crate) good_days: Option<usize>,
}

impl Ruleset {
    /// What the rules ask of counters for `event`, which has the facts that [`Ruleset::needs`] named.
    #[must_use]
    pub fn plan<'a>(&'a self, event: &'a Event) -> Plan<'a> {
        let class = event
            .transaction
            .as_ref()
            .map(|transaction| transaction.class)
            .unwrap_or_default();
        let mut plan = Plan {
            rules: self,
            event,
            ops: Vec::new(),
            checks: Vec::new(),
            records: Vec::new(),
            class,
            good_days: None,
        };
        plan.ask_gateway();
        restricted::ask(&mut plan);
        for rule in self.rules_at(event) {
            let view = |enforcement| RuleView {
                object: &rule.object,
                enforcement,
            };
            match rule.standing(self, event) {
                Ok(enforcement) => rule.ask(view(enforcement), &mut plan),
                Err(Skip::SourceUntrusted) => {
                    let part = rule.part_by_address();
                    plan.say(view(rule.enforcement), part, Said::Unjudged, UNTRUSTED);
                }
                Err(_) => {}
            }
        }
        plan.ask_pool();
        plan.spare_gates();
        plan
    }
}

impl<'a> Plan<'a> {
    /// The operations to run, all in one call. May be empty: then nothing needs to be called.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operations to run on counters of this process instead, because the shared ones do not answer: as many, in the same
    /// order. Limits that are not `LocalOnly` are only read, and so is what would be charged for an event that one of them refuses.
    #[must_use]
    pub fn ops_alone(&self) -> Vec<Op> {
        let mut ops = self.ops.clone();
        let refused = self.checks.iter().any(Check::refuses_without_counters);
        for check in &self.checks {
            let Ask::Limit {
                op,
                ref part,
                on_unavailable,
                ..
            } = check.ask
            else {
                continue;
            };
            let spared = refused && Tally::from(part.limit.unit) != Tally::Attempts;
            if on_unavailable != OnCountersUnavailable::LocalOnly || spared {
                spare(&mut ops[op]);
            }
        }
        ops
    }

    /// Decides. `results` answer [`Plan::ops`] in their order.
    ///
    /// Where the decision refuses although all gates passed, the caller gives the receipt back if
    /// [`crate::event::Stage::gives_back`] says so. [`Decision::records`] are applied whatever the verdict.
    #[must_use]
    pub fn decide(&self, results: Result<&Results, &Unavailable>) -> Decision {
        decide(self, results)
    }

    /// Adds an operation and says where its outcome will be.
    pub(crate) fn run(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.ops.len() - 1
    }

    /// Has an operation applied after the decision.
    pub(crate) fn record(&mut self, op: Op) {
        self.records.push(op);
    }

    pub(crate) fn check(&mut self, rule: RuleView<'a>, part: FieldPath, ask: Ask<'a>) {
        if self.checks.is_empty() {
            self.checks.reserve(16);
        }
        self.checks.push(Check {
            voice: Voice { rule, part },
            ask,
        });
    }

    pub(crate) fn say(
        &mut self,
        rule: RuleView<'a>,
        part: &'static str,
        said: Said,
        saw: impl Into<Cow<'static, str>>,
    ) {
        if let (Said::Worsen(class, _), Enforcement::Enforce) = (said, rule.enforcement) {
            self.class = self.class.max(class);
        }
        self.check(
            rule,
            part.into(),
            Ask::Judged {
                said,
                saw: saw.into(),
                refusal: None,
            },
        );
    }

    pub(crate) fn refuse(
        &mut self,
        rule: RuleView<'a>,
        part: &'static str,
        refusal: Refusal,
        saw: impl Into<Cow<'static, str>>,
    ) {
        let said = refusal.said();
        self.check(
            rule,
            part.into(),
            Ask::Judged {
                said,
                saw: saw.into(),
                refusal: Some(Box::new(refusal)),
            },
        );
    }

    /// Asks one limit. An enforced limit that refuses is a gate; the others only measure and can never void a hard limit.
    pub(crate) fn ask_limit(
        &mut self,
        rule: RuleView<'a>,
        part: Part<'a>,
        subjects: &Subjects,
        cost: u64,
        effect: Effect,
        on_unavailable: OnCountersUnavailable,
    ) {
        let key = part.scope.key(subjects);
        let window = part.limit.per;
        let op = if effect.refuses() && rule.enforcement == Enforcement::Enforce {
            Op::Gate {
                key,
                cost,
                limit: part.limit.count,
                window,
            }
        } else {
            Op::Meter { key, cost, window }
        };
        let op = self.run(op);
        let path = part.path.clone();
        self.check(
            rule,
            path,
            Ask::Limit {
                op,
                part,
                cost,
                effect,
                on_unavailable,
            },
        );
    }

    pub(crate) fn gateway_view(&self) -> RuleView<'a> {
        RuleView {
            object: self.rules.gateway_ref(),
            enforcement: Enforcement::Enforce,
        }
    }

    /// What does not belong to one rule: stale configuration, the backend's no, the known-good days.
    fn ask_gateway(&mut self) {
        let gateway = self.gateway_view();
        match &self.event.stage {
            Stage::Mail if self.event.config == ConfigState::Unavailable => {
                let part = "spec.onUnavailable.config";
                let saw = "the configuration can no longer be read";
                match self.rules.gateway().on_unavailable.config {
                    OnConfigUnavailable::Refuse => {
                        self.refuse(gateway, part, reply::dependency_failed(), saw)
                    }
                    OnConfigUnavailable::Keep | OnConfigUnavailable::Shadow => {
                        self.say(gateway, part, Said::Unjudged, saw)
                    }
                }
            }
            Stage::LoginFailed { .. } => {
                let refusal = reply::bad_credentials(Reason::WrongPassword);
                self.refuse(
                    gateway,
                    "spec.authentication",
                    refusal,
                    "the backend refused the password",
                );
                self.rules.learner().ask(self);
            }
            Stage::Login { .. } | Stage::LoginShown { .. } | Stage::LoginSucceeded => {
                self.rules.learner().ask(self);
            }
            _ => {}
        }
    }

    /// The rate of the pool that the message leaves by.
    fn ask_pool(&mut self) {
        let Stage::Route { bytes } = self.event.stage else {
            return;
        };
        let Some((object, rate)) = self.rules.pool_rate(self.event, self.class) else {
            return;
        };
        let cost = if rate.limit.unit == Unit::Bytes {
            bytes
        } else {
            1
        };
        let pool = RuleView {
            object,
            enforcement: Enforcement::Enforce,
        };
        self.ask_limit(
            pool,
            Part::Rule(rate),
            &Subjects::default(),
            cost,
            Effect::Congestion,
            OnCountersUnavailable::LocalOnly,
        );
    }

    /// Charges nothing for what is refused without counters, but login attempts.
    fn spare_gates(&mut self) {
        if !self.checks.iter().any(Check::refuses_alone) {
            return;
        }
        for check in &self.checks {
            let Ask::Limit { op, ref part, .. } = check.ask else {
                continue;
            };
            if Tally::from(part.limit.unit) == Tally::Attempts {
                continue;
            }
            if matches!(self.ops[op], Op::Gate { .. }) {
                spare(&mut self.ops[op]);
            }
        }
    }
}

/// Turns what adds into what reads.
fn spare(op: &mut Op) {
    if let Op::Gate { key, window, .. } | Op::Meter { key, window, .. } = op {
        *op = Op::Read {
            key: key.clone(),
            window: *window,
        };
    }
}
