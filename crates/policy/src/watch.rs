//! After an event was judged, and after the next hop answered: what it tells of abuse.
//!
//! In three turns, each an operation on counters of which the first is usually the last: signals are counted ([`Watch`]); one that
//! is at its mark is awarded points, if it was not lately ([`Claims`]); points that reach a step of the ladder restrict ([`Steps`]).
//! A step is judged by what is in force, whenever a signal is at its mark: an account that its points put on a step on which it does
//! not stand is restricted, whoever awarded them and whatever became of the restriction before. So an answer that was lost, or a
//! process that ended between two turns, is made up for at the next event. All that is remembered is in counters and in the
//! account's standing, so that proxies that share them act as one. Who counts and who awards may be different proxies.
//!
//! What is over a limit that restricts was counted when the event was judged, and comes in at the last turn ([`excess`]).

mod excess;
mod points;
mod steps;

use std::sync::Arc;

use crate::address::Account;
use crate::decision::{Decision, Finding};
use crate::event::Event;
use crate::matching::account_of;
use crate::op::{Item, Op, Outcome, Results};
use crate::restriction::Restriction;
use crate::rules::Stages;
use crate::rules::abuse::{Abuse, Counted, Facts, Mark};
use crate::ruleset::{Armed, Ruleset, Spec};
use crate::signal::Signal;
use crate::snapshot::{Enforcement, ObjectRef};

pub use points::Score;
use steps::Reached;
pub use steps::Steps;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'e> {
    /// The event was judged.
    Judged(&'e Decision),
    /// The next hop does not know so many recipients.
    UnknownRecipients(u64),
    /// The next hop took a message to these recipients: keyed hashes of their addresses.
    Sent(&'e [Item]),
}

/// Which signals are to be counted.
#[derive(Debug, Default)]
pub struct Watch<'a> {
    event: Option<&'a Event>,
    ops: Vec<Op>,
    asked: Vec<Asked<'a>>,
    reached: Vec<Reached<'a>>,
}

/// A signal of a rule.
#[derive(Clone, Copy, Debug)]
struct Asked<'a> {
    voice: Voice<'a>,
    mark: &'a Mark,
    op: usize,
}

#[derive(Clone, Copy, Debug)]
struct Voice<'a> {
    object: &'a Arc<ObjectRef>,
    abuse: &'a Abuse,
    enforcement: Enforcement,
}

/// Signals that are at their marks.
#[derive(Debug)]
pub struct Claims<'a> {
    event: &'a Event,
    account: &'a Account,
    ops: Vec<Op>,
    claimed: Vec<(Asked<'a>, u64)>,
    reached: Vec<Reached<'a>>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upshot {
    /// What rules saw, and what they did or would have done.
    pub findings: Vec<Finding>,
    /// What the account may not do any more: the worst of each rule that is enforced.
    pub restrictions: Vec<Restriction>,
}

impl Ruleset {
    /// Whether some rule counts this signal.
    #[must_use]
    pub fn counts(&self, signal: Signal) -> bool {
        self.abuse().any(|(_, abuse)| abuse.counts(signal))
    }

    /// What is to be counted of what happened at `event`, which without an [`crate::snapshot::AbuseRule`] is nothing; limits that
    /// restrict come in beside it.
    #[must_use]
    pub fn watch<'a>(&'a self, event: &'a Event, seen: &Seen<'_>) -> Watch<'a> {
        let mut watch = match seen {
            Seen::Judged(decision) => self.watch_limits(event, decision),
            Seen::UnknownRecipients(_) | Seen::Sent(_) => Watch::default(),
        };
        let stage = Stages::of(&event.stage);
        for (rule, abuse) in self.abuse() {
            let looks = match seen {
                Seen::Judged(_) => rule.stages.contains(stage),
                Seen::UnknownRecipients(_) => abuse.counts(Signal::UnknownRecipients),
                Seen::Sent(_) => abuse.counts(Signal::FirstTimeRecipients),
            };
            if !looks {
                continue;
            }
            let Ok(enforcement) = rule.standing_at_any_stage(self, event) else {
                continue;
            };
            if account_of(event).is_some_and(|account| abuse.spares(account)) {
                continue;
            }
            let voice = Voice {
                object: &rule.object,
                abuse,
                enforcement,
            };
            watch.event = Some(event);
            watch.ask(self, voice, event, seen);
        }
        watch
    }

    /// The same without signals: what is over limits that restrict, which a decision says whole.
    #[must_use]
    pub fn watch_limits<'a>(&'a self, event: &'a Event, decision: &Decision) -> Watch<'a> {
        let mut watch = Watch::default();
        watch.exceeded(self, event, decision);
        watch
    }

    fn abuse(&self) -> impl Iterator<Item = (&Armed, &Abuse)> {
        self.abuse.iter().filter_map(|&at| match &self.rules[at] {
            rule @ Armed {
                spec: Spec::Abuse(abuse),
                ..
            } => Some((rule, &**abuse)),
            _ => None,
        })
    }

    /// Whether the LoginGuard calls the account a decoy.
    fn is_decoy(&self, account: &Account) -> bool {
        self.rules.iter().any(|rule| match &rule.spec {
            Spec::Login(guard) => rule.enforcement != Enforcement::Off && guard.is_decoy(account),
            _ => false,
        })
    }
}

impl<'a> Watch<'a> {
    fn ask(&mut self, rules: &'a Ruleset, voice: Voice<'a>, event: &'a Event, seen: &Seen<'_>) {
        let facts = Facts {
            correspondents: &rules.correspondents,
            is_decoy: &|account| rules.is_decoy(account),
        };
        for mark in &voice.abuse.marks {
            let op = self.ops.len();
            match voice.abuse.count(mark, event, seen, &facts) {
                None => {}
                Some(Counted::Noted(noted)) => self.ops.push(noted),
                Some(Counted::Weighed(weighed)) => {
                    self.ops.push(weighed);
                    self.asked.push(Asked { voice, mark, op });
                }
            }
        }
    }

    /// Whether there is nothing to count, and nothing comes of it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.reached.is_empty()
    }

    /// What is to be counted, in one call.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Which signals are at their marks, by the answers to [`Self::ops`].
    #[must_use]
    pub fn claims(self, results: &Results) -> Option<Claims<'a>> {
        let event = self.event?;
        let mut claims = Claims {
            event,
            account: account_of(event)?,
            ops: Vec::new(),
            claimed: Vec::new(),
            reached: self.reached,
        };
        for asked in self.asked {
            let Some(&Outcome::Total(total)) = results.0.get(asked.op) else {
                continue;
            };
            if total >= asked.mark.spec.count {
                let award = asked.voice.abuse.award(asked.mark, claims.account);
                claims.ops.push(award);
                claims.claimed.push((asked, total));
            }
        }
        (!claims.ops.is_empty() || !claims.reached.is_empty()).then_some(claims)
    }
}

impl<'a> Claims<'a> {
    /// The awards, in one call.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }
}
