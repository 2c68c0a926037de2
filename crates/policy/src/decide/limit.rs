//! What is said of a sum that a limit bounds.

use std::borrow::Cow;

use super::{CountedBy, Deliberation};
use crate::decision::{Class, Reason, Said};
use crate::op::{Op, Outcome};
use crate::plan::{Effect, Sanction, Voice};
use crate::reply::{self, Exceeded};
use crate::rules::limit::LimitPart;
use crate::saw;
use crate::snapshot::{Enforcement, OnCountersUnavailable};

impl Deliberation<'_, '_> {
    pub(super) fn hear_limit(
        &mut self,
        voice: &Voice<'_>,
        op: usize,
        part: &LimitPart,
        cost: u64,
        effect: Effect,
        on_unavailable: OnCountersUnavailable,
    ) {
        let judges =
            self.counted == CountedBy::All || on_unavailable == OnCountersUnavailable::LocalOnly;
        let outcomes = self.outcomes.filter(|_| judges);
        let Some(outcome) = outcomes.and_then(|outcomes| outcomes.get(op)) else {
            return self.unavailable(voice, on_unavailable);
        };
        // A read answers without this event's cost, a meter with it.
        let pending = if matches!(self.plan.ops[op], Op::Read { .. }) {
            cost
        } else {
            0
        };
        let (total, over, retry_at) = match *outcome {
            Outcome::Passed { total } => (total, None, None),
            Outcome::Full { total, retry_at } => (total, Some(retry_at.is_none()), retry_at),
            Outcome::Total(total) => {
                let over = total.saturating_add(pending) > part.limit.count;
                (total, over.then_some(false), None)
            }
            Outcome::Until(_) | Outcome::Awards(_) | Outcome::Done => {
                return self.unavailable(voice, on_unavailable);
            }
        };
        let saw = self.saw_limit(part, outcome, total);
        let Some(hopeless) = over else {
            return self.find(voice, Said::Pass, saw);
        };
        let exceeded = Exceeded {
            unit: part.limit.unit,
            at: self.plan.event.at,
            retry_at,
        };
        match effect {
            Effect::Worsen(class) => self.worsen(voice, class, saw),
            Effect::Defer | Effect::Reject | Effect::Restrict(_) if hopeless => {
                self.refuse(voice, exceeded.never(), saw)
            }
            Effect::Defer => self.refuse(voice, exceeded.defer(), saw),
            Effect::Reject => self.refuse(voice, exceeded.reject(), saw),
            // Whatever is refused by something else, and only read, is not over anything.
            Effect::Restrict(_) if matches!(self.plan.ops[op], Op::Read { .. }) => {
                self.refuse(voice, exceeded.defer(), saw)
            }
            Effect::Restrict(sanction) => self.restrict(voice, sanction, exceeded, saw),
            Effect::Congestion => self.refuse(voice, exceeded.congested(), saw),
        }
    }

    /// `12 of 200 in 1h`, and whether this event is among them.
    fn saw_limit(&self, part: &LimitPart, outcome: &Outcome, total: u64) -> Cow<'static, str> {
        let charged = self.charged || !matches!(outcome, Outcome::Passed { .. });
        let counted = match (self.counted, charged) {
            (CountedBy::All, true) => "",
            (CountedBy::All, false) => ", not charged",
            (CountedBy::ThisAlone, true) => ", counted by this proxy alone",
            (CountedBy::ThisAlone, false) => ", by this proxy alone, not charged",
        };
        saw::number(total, &part.bound, counted)
    }

    /// What is over a limit that restricts. It stays a limit: nothing passes, whatever the account may do from now on. Who was
    /// let off lately, or is restricted by the rule already, hears of the limit alone.
    fn restrict(
        &mut self,
        voice: &Voice<'_>,
        sanction: Sanction,
        exceeded: Exceeded,
        mut saw: Cow<'static, str>,
    ) {
        let Sanction { level, mercy } = sanction;
        let account = self.plan.event.account.as_deref();
        let standing = account.and_then(|account| account.standing.as_deref());
        if standing.and_then(|standing| standing.level_by(voice.rule.object)) >= Some(level) {
            return self.refuse(voice, exceeded.defer(), saw);
        }
        if mercy.is_some_and(|op| self.is_locked(op)) {
            saw.to_mut().push_str(", released lately");
            return self.refuse(voice, exceeded.defer(), saw);
        }
        if voice.rule.enforcement != Enforcement::Enforce {
            saw.to_mut().push_str(&format!(", would lead to {level}"));
        }
        self.refuse(voice, exceeded.restrict(level), saw);
    }

    fn is_locked(&self, op: usize) -> bool {
        let at = self.plan.event.at;
        matches!(
            self.outcomes.and_then(|outcomes| outcomes.get(op)),
            Some(Outcome::Until(Some(until))) if *until > at
        )
    }

    fn worsen(&mut self, voice: &Voice<'_>, class: Class, saw: Cow<'static, str>) {
        if voice.rule.enforcement == Enforcement::Enforce {
            self.class = self.class.max(class);
        }
        self.find(voice, Said::Worsen(class, Reason::RateExceeded), saw);
    }

    fn unavailable(&mut self, voice: &Voice<'_>, on_unavailable: OnCountersUnavailable) {
        let saw = "counters do not answer".into();
        match on_unavailable {
            OnCountersUnavailable::Defer => self.refuse(voice, reply::dependency_failed(), saw),
            OnCountersUnavailable::LocalOnly | OnCountersUnavailable::Allow => {
                self.find(voice, Said::Unjudged, saw)
            }
        }
    }
}
