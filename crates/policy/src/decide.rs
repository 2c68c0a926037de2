//! From the outcomes of counters to findings, class, records and verdict.

mod limit;

use std::borrow::Cow;

use crate::decision::{Class, Decision, Finding, Reason, Refusal, Said, Verdict};
use crate::event::{Checked, Network, Stage};
use crate::op::{Op, Outcome, Results, Unavailable};
use crate::plan::{Ask, Check, KnownGoodPass, LockStep, Plan, Turn, Voice};
use crate::reply;
use crate::route::Route;
use crate::rules::login;
use crate::ruleset::RuleView;
use crate::snapshot::Enforcement;
use crate::time::{Millis, Timestamp};

/// Every rule part's opinion, and the first enforced refusal.
pub(crate) fn decide(plan: &Plan<'_>, results: Result<&Results, &Unavailable>) -> Decision {
    let mut verdict = Deliberation::new(plan, results);
    for check in &plan.checks {
        verdict.hear(check);
    }
    verdict.refuse_by_class();
    verdict.close()
}

struct Deliberation<'p, 'a> {
    plan: &'p Plan<'a>,
    outcomes: Option<&'p [Outcome]>,
    /// Whose outcomes they are.
    counted: CountedBy,
    /// Whether the gates' costs were added.
    charged: bool,
    network: Network,
    class: Class,
    findings: Vec<Finding>,
    records: Vec<Op>,
    /// The first enforced refusal that needs no counter, and the first that counters lead to.
    by_itself: Option<Refusal>,
    by_counters: Option<Refusal>,
}

/// Who counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CountedBy {
    /// The counters that rules are about.
    All,
    /// This process for itself, because those do not answer.
    ThisAlone,
}

impl<'p, 'a> Deliberation<'p, 'a> {
    fn new(plan: &'p Plan<'a>, results: Result<&'p Results, &'p Unavailable>) -> Self {
        // Results that do not answer the plan's operations are as good as none.
        let (found, counted) = match results {
            Ok(results) => (Some(results), CountedBy::All),
            Err(unavailable) => (unavailable.alone.as_ref(), CountedBy::ThisAlone),
        };
        let outcomes = found
            .map(|results| results.0.as_slice())
            .filter(|outcomes| outcomes.len() == plan.ops.len());
        let mut this = Self {
            plan,
            outcomes,
            counted,
            charged: !outcomes
                .unwrap_or_default()
                .iter()
                .any(|outcome| matches!(outcome, Outcome::Full { .. })),
            network: Network::New,
            class: plan.class,
            findings: Vec::with_capacity(plan.checks.len()),
            records: plan.records.clone(),
            by_itself: None,
            by_counters: None,
        };
        this.network = this.network();
        this
    }

    fn network(&self) -> Network {
        match self.plan.good_days.map(|op| self.days(op)) {
            Some(Some(days)) if days >= self.plan.rules.learner().known_good.after_days => {
                Network::KnownGood
            }
            Some(_) => Network::New,
            None => self
                .plan
                .event
                .account
                .as_ref()
                .map(|account| account.network)
                .unwrap_or_default(),
        }
    }

    fn total(&self, op: usize) -> Option<u64> {
        match self.outcomes?.get(op)? {
            Outcome::Total(total) => Some(*total),
            _ => None,
        }
    }

    /// On how many days there was a login. A process that counts alone knows of no other days than those of the outage.
    fn days(&self, op: usize) -> Option<u64> {
        self.total(op).filter(|_| self.counted == CountedBy::All)
    }

    fn hear(&mut self, check: &Check<'_>) {
        let voice = &check.voice;
        match &check.ask {
            Ask::Judged { said, saw, refusal } => {
                if let (Some(refusal), Enforcement::Enforce) = (refusal, voice.rule.enforcement) {
                    self.by_itself.get_or_insert_with(|| (**refusal).clone());
                }
                self.find(voice, *said, saw.clone());
            }
            Ask::Limit {
                op,
                part,
                cost,
                effect,
                on_unavailable,
            } => {
                self.hear_limit(voice, *op, part, *cost, *effect, *on_unavailable);
            }
            Ask::Lock { op, reason, pass } => self.hear_lock(voice, *op, *reason, *pass),
            Ask::Tally {
                op,
                what,
                at,
                per,
                lock,
                turn,
            } => {
                let mark = Mark {
                    what,
                    at: *at,
                    per: *per,
                };
                self.hear_tally(voice, *op, &mark, lock, *turn);
            }
            Ask::GoodDays { op } => self.hear_good_days(voice, *op),
        }
    }

    fn find(&mut self, voice: &Voice<'_>, said: Said, saw: Cow<'static, str>) {
        let Voice { rule, part } = voice;
        let (object, part) = (rule.object.clone(), part.clone());
        self.findings.push(Finding {
            object,
            part,
            said,
            saw,
            enforcement: rule.enforcement,
        });
    }

    /// A refusal that counters led to.
    fn refuse(&mut self, voice: &Voice<'_>, refusal: Refusal, saw: Cow<'static, str>) {
        self.find(voice, refusal.said(), saw);
        if voice.rule.enforcement == Enforcement::Enforce {
            self.by_counters.get_or_insert(refusal);
        }
    }

    fn hear_lock(&mut self, voice: &Voice<'_>, op: usize, reason: Reason, pass: KnownGoodPass) {
        let at = self.plan.event.at;
        match self.outcomes.and_then(|outcomes| outcomes.get(op)) {
            Some(Outcome::Until(Some(until))) if *until > at => {
                let saw = format!("locked for another {}", whole_seconds(*until, at));
                match self.passes(reason, pass) {
                    Some(why) => self.find(voice, Said::Exempt, format!("{saw}, {why}").into()),
                    None => self.refuse(voice, reply::locked(reason, *until), saw.into()),
                }
            }
            Some(Outcome::Until(_)) => self.find(voice, Said::Pass, "not locked".into()),
            _ => self.find(voice, Said::Unjudged, "counters do not answer".into()),
        }
    }

    /// Why a lock lets the login pass, if it does. Who comes from a known-good network passes what others may have brought about; who
    /// has shown a trusted peer the right password is no guesser of this account, though he may be of others.
    fn passes(&self, reason: Reason, pass: KnownGoodPass) -> Option<&'static str> {
        let event = self.plan.event;
        match pass {
            KnownGoodPass::Stays => None,
            KnownGoodPass::Passes if self.network == Network::KnownGood => {
                Some("from a known-good network")
            }
            KnownGoodPass::Passes => (reason == Reason::AccountLocked
                && event.checked == Checked::ByPeer)
                .then_some("and a trusted peer has checked the password"),
        }
    }

    fn hear_tally(
        &mut self,
        voice: &Voice<'_>,
        op: usize,
        mark: &Mark<'_>,
        step: &LockStep,
        turn: Turn,
    ) {
        let Some(total) = self.total(op) else {
            return self.find(voice, Said::Unjudged, "counters do not answer".into());
        };
        let Mark { what, at, per } = mark;
        let (locks, is_late) = match turn {
            Turn::Shown => (false, total > *at),
            Turn::Failed => (total >= *at, total > *at),
            Turn::Proven => (false, total >= *at),
        };
        if locks {
            let saw = format!("{total} of {at} {what} in {per}, locked");
            self.find(voice, Said::Noted(step.reason), saw.into());
            self.lock(step);
        }
        if is_late {
            let saw = format!("{at} of {at} {what} in {per} failed or are under way");
            self.refuse_late(voice, step, saw.into());
        } else if !locks {
            let saw = format!("{total} of {at} {what} in {per}");
            self.find(voice, Said::Pass, saw.into());
        }
    }

    /// Two tallies can lead to the same lock at once: it is set once.
    fn lock(&mut self, step: &LockStep) {
        if !self.records.contains(&step.lock) {
            self.records.push(step.lock.clone());
            self.records
                .extend(step.clear.iter().map(|key| Op::Clear { key: key.clone() }));
        }
    }

    /// Answers what came too late as the lock does that stands by now, or will in a moment.
    fn refuse_late(&mut self, voice: &Voice<'_>, step: &LockStep, saw: Cow<'static, str>) {
        if step.pass == KnownGoodPass::Passes && self.network == Network::KnownGood {
            return self.find(voice, Said::Exempt, saw);
        }
        let until = Timestamp(self.plan.event.at.0.saturating_add(step.base.0));
        self.refuse(voice, reply::locked(step.reason, until), saw);
    }

    fn hear_good_days(&mut self, voice: &Voice<'_>, op: usize) {
        let known_good = self.plan.rules.learner().known_good;
        match self.days(op) {
            Some(days) => {
                let saw = format!(
                    "logins on {days} of {} days in {}",
                    known_good.after_days, known_good.keep
                );
                self.find(voice, Said::Pass, saw.into());
            }
            None => self.find(voice, Said::Unjudged, "counters do not answer".into()),
        }
    }

    /// A class that goes nowhere is refused as soon as it is asked where the message goes.
    fn refuse_by_class(&mut self) {
        let plan = self.plan;
        if !matches!(
            plan.event.stage,
            Stage::Rcpt { .. } | Stage::Headers(_) | Stage::End(_)
        ) {
            return;
        }
        if plan.rules.route(plan.event, self.class) != Route::Reject {
            return;
        }
        let Some((object, _)) = plan.rules.enforced_policy(plan.event) else {
            return;
        };
        let rule = RuleView {
            object,
            enforcement: Enforcement::Enforce,
        };
        let voice = Voice {
            rule,
            part: "spec.route".into(),
        };
        self.refuse(
            &voice,
            reply::class_refused(),
            format!("the class {:?} is refused", self.class).into(),
        );
    }

    fn close(mut self) -> Decision {
        let (by_counters, by_itself) = (self.by_counters.take(), self.by_itself.take());
        let refusal = match self.plan.event.stage {
            // A lock answers as if the password had not been looked at, or a burst of guesses would learn which was right.
            Stage::LoginFailed { .. } => by_counters.or(by_itself),
            // What an account has set must not show: what anybody is told comes first.
            Stage::Login { .. } if is_secret(by_itself.as_ref()) => by_counters.or(by_itself),
            _ => by_itself.or(by_counters),
        };
        if refusal.is_some() {
            let taken_back = login::taken_back(self.plan, |op| self.total(op));
            self.records.extend(taken_back);
        }
        let verdict = match refusal {
            None => Verdict::Allow,
            Some(refusal) if refusal.code < 500 => Verdict::Defer(refusal),
            Some(refusal) => Verdict::Reject(refusal),
        };
        Decision {
            verdict,
            class: self.class,
            findings: self.findings,
            records: self.records,
            network: self.network,
        }
    }
}

fn is_secret(refusal: Option<&Refusal>) -> bool {
    refusal.is_some_and(|refusal| refusal.reason == Reason::AbroadRefused)
}

/// The number of failures that locks.
struct Mark<'p> {
    what: &'p str,
    at: u64,
    per: Millis,
}

fn whole_seconds(until: Timestamp, at: Timestamp) -> Millis {
    Millis::from_secs(until.since(at).0.div_ceil(1000))
}
