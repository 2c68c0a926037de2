//! What a plan asks: each part of each rule, judged from the event alone or waiting for counters.

use std::borrow::Cow;

use crate::decision::{Class, Reason, Refusal, Said};
use crate::field_path::FieldPath;
use crate::op::{Key, Op};
use crate::restriction::Level;
use crate::rules::limit::LimitPart;
use crate::ruleset::RuleView;
use crate::snapshot::{Enforcement, OnCountersUnavailable};
use crate::time::Millis;
/// One part of one rule, judged or waiting for counters.
#[derive(Debug)]
pub(crate) struct Check<'a> {
    pub(crate) voice: Voice<'a>,
    pub(crate) ask: Ask<'a>,
}

/// Who speaks: a part of a rule, as it is judged at this event.
#[derive(Debug)]
pub(crate) struct Voice<'a> {
    pub(crate) rule: RuleView<'a>,
    pub(crate) part: FieldPath,
}

#[derive(Debug)]
pub(crate) enum Ask<'a> {
    /// Needs no counter.
    Judged {
        said: Said,
        saw: Cow<'static, str>,
        refusal: Option<Box<Refusal>>,
    },
    /// Is the sum over a limit? `cost` is this event's part in it.
    Limit {
        op: usize,
        part: Part<'a>,
        cost: u64,
        effect: Effect,
        on_unavailable: OnCountersUnavailable,
    },
    /// Is it locked?
    Lock {
        op: usize,
        reason: Reason,
        pass: KnownGoodPass,
    },
    /// Have failures reached the number that locks?
    Tally {
        op: usize,
        what: &'static str,
        at: u64,
        per: Millis,
        lock: Box<LockStep>,
        turn: Turn,
    },
    /// On how many days did the account log in from this network?
    GoodDays { op: usize },
}

/// The limit that is asked about.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// One that a rule has made ready.
    Rule(&'a LimitPart),
    /// One of this account's own.
    Account(Box<LimitPart>),
}

impl std::ops::Deref for Part<'_> {
    type Target = LimitPart;

    fn deref(&self) -> &LimitPart {
        match self {
            Self::Rule(part) => part,
            Self::Account(part) => part,
        }
    }
}

/// What being over a limit does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The client is told when to try again.
    Defer,
    /// It is refused for good.
    Reject,
    /// It goes on, in that class at least.
    Worsen(Class),
    /// It is refused, and the account restricted.
    Restrict(Sanction),
    /// A pool's own rate: defers, and the fault is not the sender's.
    Congestion,
}

impl Effect {
    /// Whether nothing that is over the limit passes.
    pub(super) const fn refuses(self) -> bool {
        match self {
            Self::Defer | Self::Reject | Self::Restrict(_) | Self::Congestion => true,
            Self::Worsen(_) => false,
        }
    }
}

/// What the account is restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sanction {
    pub(crate) level: Level,
    /// Where it was asked whether the account was let off lately, if that has to be asked.
    pub(crate) mercy: Option<usize>,
}

/// Whether a known-good network passes a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownGoodPass {
    Passes,
    Stays,
}

/// At which turn of a login failures are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Before a backend is asked. What is under way counts, and no more than the number that locks are let in.
    Shown,
    /// A backend said no. The failure that reaches the number locks; one beyond it was under way meanwhile, and hears what all hear
    /// from then on.
    Failed,
    /// A backend said yes. Where others reached the number meanwhile, the lock may be on its way: it holds already.
    Proven,
}

/// What is recorded when failures reach the number that locks.
#[derive(Debug)]
pub(crate) struct LockStep {
    pub(crate) reason: Reason,
    pub(crate) pass: KnownGoodPass,
    pub(crate) lock: Op,
    /// How long the lock lasts at least.
    pub(crate) base: Millis,
    /// The tallies that led to it.
    pub(crate) clear: Vec<Key>,
}

impl Check<'_> {
    /// Whether this is an enforced limit that refuses while counters do not answer.
    pub(super) const fn refuses_without_counters(&self) -> bool {
        matches!(
            (&self.ask, self.voice.rule.enforcement),
            (
                Ask::Limit {
                    on_unavailable: OnCountersUnavailable::Defer,
                    ..
                },
                Enforcement::Enforce
            )
        )
    }

    /// Whether this is an enforced refusal that needs no counter.
    pub(crate) const fn refuses_alone(&self) -> bool {
        matches!(
            (&self.ask, self.voice.rule.enforcement),
            (
                Ask::Judged {
                    refusal: Some(_),
                    ..
                },
                Enforcement::Enforce
            )
        )
    }
}
