//! RateLimit: never more than `count` in any `per`.

mod sanction;

use crate::address::Account;
use crate::decision::Said;
use crate::event::{Event, Stage};
use crate::explain::{Skip, UNTRUSTED};
use crate::field_path::FieldPath;
use crate::key::{Subject, Subjects};
use crate::matching::{Matcher, account_of, site};
use crate::op::Op;
use crate::plan::{Effect, Part, Plan, Sanction};
use crate::rules::limit::{LimitPart, cost, stages_of};
use crate::rules::penalty::Penalty;
use crate::rules::{Defect, Stages};
use crate::ruleset::RuleView;
use crate::snapshot::{
    Enforcement, Gateway, KeyPart, Limit, ObjectRef, OnCountersUnavailable, OwnLimits, RateLimit,
    Unit,
};
use crate::time::Timestamp;
use sanction::Restricting;

/// A [`RateLimit`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    key: Vec<KeyPart>,
    limits: Vec<LimitPart>,
    overrides: Vec<(Matcher, Vec<LimitPart>)>,
    /// What counts of accounts mean here; `Ignore` where accounts are not counted apart.
    own_limits: OwnLimits,
    name: Box<str>,
    exceed: Exceed,
    on_unavailable: OnCountersUnavailable,
}

/// What being over a limit means.
#[derive(Clone, Debug)]
enum Exceed {
    /// To this event alone.
    Event(Effect),
    /// To the account.
    Account(Box<Restricting>),
}

impl Rate {
    /// Makes the rule ready, or names the field that cannot be put in force.
    pub(crate) fn new(object: &ObjectRef, spec: &RateLimit) -> Result<Self, Defect> {
        let mut key = spec.key.clone();
        key.sort_unstable();
        key.dedup();
        if key.is_empty() {
            return Err(Defect::new("spec.key", "names nothing to count by"));
        }
        let ready = |list: &str, limits: &[Limit]| {
            limits
                .iter()
                .try_for_each(|&limit| check_key(&key, limit))
                .map_err(|why| Defect::new(list, why))?;
            LimitPart::list(object, list, limits)
        };
        let limits = ready("spec.limits", &spec.limits)?;
        let mut overrides = Vec::with_capacity(spec.overrides.len());
        for each in &spec.overrides {
            let path = format!("spec.overrides[{}].limits", each.name);
            overrides.push((Matcher::new(&each.applies), ready(&path, &each.limits)?));
        }
        let exceed = Exceed::new(object, spec, &key)?;
        let by_account = key.contains(&KeyPart::Account);
        Ok(Self {
            own_limits: if by_account {
                spec.own_limits
            } else {
                OwnLimits::Ignore
            },
            name: object.name.as_str().into(),
            key,
            limits,
            overrides,
            exceed,
            on_unavailable: spec.on_unavailable,
        })
    }

    pub(crate) fn stages(&self) -> Stages {
        self.all_limits().fold(Stages::default(), |stages, part| {
            stages.and(stages_of(part.limit.unit))
        })
    }

    /// Whether a message's end can choose another way for it.
    pub(crate) fn routes_at_end(&self) -> bool {
        matches!(self.exceed, Exceed::Event(Effect::Worsen(_)))
            && self
                .all_limits()
                .any(|part| stages_of(part.limit.unit).contains(Stages::END))
    }

    fn all_limits(&self) -> impl Iterator<Item = &LimitPart> {
        self.limits
            .iter()
            .chain(self.overrides.iter().flat_map(|(_, limits)| limits))
    }

    /// Whether there is something to count by, and something to count.
    pub(crate) fn standing(&self, gateway: &Gateway, event: &Event) -> Result<(), Skip> {
        if !self.counts(event) {
            return Err(Skip::Stage);
        }
        self.subjects(gateway, event).map(drop)
    }

    pub(crate) fn ask<'a>(&'a self, rule: RuleView<'a>, plan: &mut Plan<'a>) {
        let event = plan.event;
        let subjects = match self.subjects(plan.rules.gateway(), event) {
            Ok(subjects) => subjects,
            Err(Skip::SourceUntrusted) if self.counts(event) => {
                return plan.say(rule, "spec.key", Said::Unjudged, UNTRUSTED);
            }
            Err(_) => return,
        };
        let effect = self.effect(rule, plan);
        for part in self.limits_for(event) {
            let Some(cost) = cost(part.limit.unit, event) else {
                continue;
            };
            let part = self.own(part, event);
            plan.ask_limit(rule, part, &subjects, cost, effect, self.on_unavailable);
        }
    }

    /// What being over a limit does at this event.
    fn effect(&self, rule: RuleView<'_>, plan: &mut Plan<'_>) -> Effect {
        let by = match &self.exceed {
            Exceed::Event(effect) => return *effect,
            Exceed::Account(by) => by,
        };
        let asks = rule.enforcement == Enforcement::Enforce && self.counts(plan.event);
        let account = account_of(plan.event).filter(|_| asks);
        let mercy = account.and_then(|account| by.ask_mercy(account));
        Effect::Restrict(Sanction {
            level: by.penalty.wording.level,
            mercy: mercy.map(|op| plan.run(op)),
        })
    }

    /// What restricts the account, if that is what being over a limit does.
    pub(crate) fn restricts(&self) -> Option<&Penalty> {
        match &self.exceed {
            Exceed::Event(_) => None,
            Exceed::Account(by) => Some(&by.penalty),
        }
    }

    /// What is counted where findings name this part.
    pub(crate) fn unit_of(&self, part: &FieldPath) -> Option<Unit> {
        let mut limits = self.all_limits();
        let found = limits.find(|limit| limit.path == *part);
        found.map(|found| found.limit.unit)
    }

    /// What forgets what of an account's use is from the first of two times or earlier, where being over a limit restricts it. The other
    /// is now.
    pub(crate) fn pardon(&self, account: &Account, times: (Timestamp, Timestamp)) -> Vec<Op> {
        match &self.exceed {
            Exceed::Event(_) => Vec::new(),
            Exceed::Account(by) => by.pardon(account, times, self.all_limits()),
        }
    }

    /// The limit with the account's own count in place of the rule's, where it has one that may be.
    fn own<'a>(&'a self, part: &'a LimitPart, event: &Event) -> Part<'a> {
        let own = event.settings.own().filter(|own| !own.limits.is_empty());
        let count = own.and_then(|own| own.limit_of(&self.name, &part.limit));
        let Some(count) = count.filter(|_| self.own_limits != OwnLimits::Ignore) else {
            return Part::Rule(part);
        };
        Part::Account(Box::new(
            if self.own_limits == OwnLimits::Lower && count > part.limit.count {
                part.noting(format!(", its own {count} is more and does not count"))
            } else {
                part.counting_to(count, ", its own limit")
            },
        ))
    }

    /// Whether there is something to count.
    fn counts(&self, event: &Event) -> bool {
        let mut limits = self.limits_for(event).iter();
        limits.any(|part| cost(part.limit.unit, event).is_some())
    }

    /// The limits of the first override whose match holds, else the rule's own.
    fn limits_for(&self, event: &Event) -> &[LimitPart] {
        let special = self
            .overrides
            .iter()
            .find(|(applies, _)| applies.check(event).is_ok());
        special.map_or(&self.limits, |(_, limits)| limits)
    }

    /// What is counted apart, or why that is not known at this stage.
    fn subjects(&self, gateway: &Gateway, event: &Event) -> Result<Subjects, Skip> {
        let mut subjects = Subjects::default();
        for &part in &self.key {
            if by_address(part) && !event.session.source.trust.is_trusted() {
                return Err(Skip::SourceUntrusted);
            }
            subjects.push(subject(part, gateway, event).ok_or(Skip::Subject(part))?);
        }
        Ok(subjects)
    }
}

/// Whether what is counted apart follows from the source's address.
const fn by_address(part: KeyPart) -> bool {
    match part {
        KeyPart::Source | KeyPart::SourcePrefix | KeyPart::Asn | KeyPart::Country => true,
        KeyPart::Account | KeyPart::SenderDomain | KeyPart::RecipientDomain | KeyPart::Gateway => {
            false
        }
    }
}

fn subject<'a>(part: KeyPart, gateway: &'a Gateway, event: &'a Event) -> Option<Subject<'a>> {
    let source = &event.session.source;
    Some(match part {
        KeyPart::Account => Subject::Account(account_of(event)?.as_str()),
        KeyPart::Source => Subject::Source(source.ip),
        KeyPart::SourcePrefix => Subject::Prefix(site(source.ip)),
        KeyPart::Asn => Subject::Asn(source.asn),
        KeyPart::Country => Subject::Country(source.country),
        KeyPart::SenderDomain => {
            let sender = &event.transaction.as_ref()?.sender;
            Subject::SenderDomain(sender.as_ref().map_or("", |sender| sender.domain()))
        }
        KeyPart::RecipientDomain => match &event.stage {
            Stage::Rcpt { recipient, .. } => Subject::RecipientDomain(recipient.domain()),
            _ => return None,
        },
        KeyPart::Gateway => Subject::Gateway(&gateway.object.namespace, &gateway.object.name),
    })
}

fn check_key(key: &[KeyPart], limit: Limit) -> Result<(), String> {
    if key.contains(&KeyPart::RecipientDomain) && limit.unit != Unit::Recipients {
        return Err(format!(
            "{:?} have no one recipient domain to count by",
            limit.unit
        ));
    }
    Ok(())
}
