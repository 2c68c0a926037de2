//! After an event was judged, and after the next hop answered: what it tells of abuse.
//!
//! In three turns, each an operation on counters of which the first is usually the last: signals are counted ([`Watch`]); one that
//! is at its mark is awarded points, if it was not lately ([`Claims`]); points that reach a step of the ladder restrict ([`Steps`]).
//! A step is judged by what is in force, whenever a signal is at its mark: an account that its points put on a step on which it does
//! not stand is restricted, whoever awarded them and whatever became of the restriction before. So an answer that was lost, or a
//! process that ended between two turns, is made up for at the next event. All that is remembered is in counters and in the
//! account's standing, so that proxies that share them act as one. Who counts and who awards may be different proxies.

mod points;

use std::sync::Arc;

use crate::address::Account;
use crate::decision::{Decision, Finding, Reason, Said};
use crate::event::Event;
use crate::matching::account_of;
use crate::op::{Item, Op, Outcome, Results};
use crate::restriction::{Level, Origin, Restriction};
use crate::rules::Stages;
use crate::rules::abuse::{Abuse, Counted, Facts, Mark, Rung};
use crate::ruleset::{Armed, Ruleset, Spec};
use crate::signal::{Added, Award, Awards, Signal};
use crate::snapshot::{Enforcement, ObjectRef};
use crate::time::{Millis, Timestamp};

pub use points::Score;

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
}

/// Steps of ladders that an account has reached, and on which it does not stand.
#[derive(Debug)]
pub struct Steps<'a> {
    event: &'a Event,
    findings: Vec<Finding>,
    ops: Vec<Op>,
    reached: Vec<Reached<'a>>,
}

#[derive(Debug)]
struct Reached<'a> {
    voice: Voice<'a>,
    rung: &'a Rung,
    why: String,
    /// Where it is asked for how long.
    op: Option<usize>,
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

    /// What is to be counted of what happened at `event`. Without an [`crate::snapshot::AbuseRule`] nothing.
    #[must_use]
    pub fn watch<'a>(&'a self, event: &'a Event, seen: &Seen<'_>) -> Watch<'a> {
        let mut watch = Watch::default();
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

    /// What is to be counted, in one call. Empty: nothing, and nothing comes of it.
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
        (!claims.ops.is_empty()).then_some(claims)
    }
}

impl<'a> Claims<'a> {
    /// The awards, in one call.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Which steps the account has reached and does not stand on, by the answers to [`Self::ops`].
    #[must_use]
    pub fn steps(self, results: &Results) -> Steps<'a> {
        let mut steps = Steps {
            event: self.event,
            findings: Vec::new(),
            ops: Vec::new(),
            reached: Vec::new(),
        };
        let mut heard: Vec<Heard<'_, 'a>> = Vec::new();
        for ((asked, total), outcome) in self.claimed.iter().zip(&results.0) {
            let Outcome::Awards(awards) = outcome else {
                continue;
            };
            if awards.added == Added::Yes {
                steps.note(asked, *total, awards);
            }
            match heard.last_mut() {
                // Awards of one rule have one key: the last answer has them all.
                Some(heard) if heard.voice.object == asked.voice.object => heard.awards = awards,
                _ => heard.push(Heard {
                    voice: asked.voice,
                    before: awards.before(),
                    awards,
                }),
            }
        }
        for heard in heard {
            steps.judge(&heard, self.account);
        }
        steps
    }
}

/// The points of an account under one rule.
struct Heard<'r, 'a> {
    voice: Voice<'a>,
    before: &'r [Award],
    awards: &'r Awards,
}

impl<'a> Steps<'a> {
    fn note(&mut self, asked: &Asked<'a>, total: u64, awards: &Awards) {
        let Asked { voice, mark, .. } = asked;
        let spec = &mark.spec;
        let score = awards.score(voice.abuse.decay, self.event.at);
        self.findings.push(Finding {
            object: voice.object.clone(),
            part: mark.path.clone(),
            said: Said::Noted(Reason::AbuseSignal),
            saw: format!(
                "{total} of {} in {}: {} points, {score} in all",
                spec.count, spec.per, spec.points
            )
            .into(),
            enforcement: voice.enforcement,
        });
    }

    fn judge(&mut self, heard: &Heard<'_, 'a>, account: &Account) {
        let (voice, now) = (heard.voice, self.event.at);
        // Whoever climbs several at once stands on the highest.
        let Some(rung) = voice.abuse.step_on(&heard.awards.list, now) else {
            return;
        };
        let level = rung.step.level;
        let stands = match voice.enforcement {
            Enforcement::Enforce => self.level_by(voice.object) >= Some(level),
            // Nothing is ever in force of a rule that only watches: it tells of each climb, and lengthens nothing.
            Enforcement::Shadow | Enforcement::Off => {
                let before = voice.abuse.step_on(heard.before, now);
                before.map(|before| before.step.level) >= Some(level)
            }
        };
        if stands {
            return;
        }
        let term = voice.abuse.term(rung, account);
        let term = term.filter(|_| voice.enforcement == Enforcement::Enforce);
        let op = term.map(|term| {
            self.ops.push(term);
            self.ops.len() - 1
        });
        self.reached.push(Reached {
            voice,
            rung,
            why: why(heard.awards, voice.abuse.decay, now),
            op,
        });
    }

    /// How much the rule restricts the account at this moment.
    fn level_by(&self, rule: &ObjectRef) -> Option<Level> {
        let account = self.event.account.as_deref()?;
        account.standing.as_deref()?.level_by(rule)
    }

    /// For how long, in one call. May be empty: then nothing needs to be asked.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// What comes of it, by the answers to [`Self::ops`]. Without an answer each restriction is as long as a first one.
    #[must_use]
    pub fn upshot(self, results: &Results) -> Upshot {
        let mut upshot = Upshot {
            findings: self.findings,
            restrictions: Vec::new(),
        };
        let at = self.event.at;
        for reached in self.reached {
            let Reached {
                voice, rung, why, ..
            } = reached;
            let step = &rung.step;
            let told = match reached.op.and_then(|op| results.0.get(op)) {
                Some(Outcome::Until(until)) => *until,
                _ => None,
            };
            let until = step.term.map(|term| told.unwrap_or(at.plus(term)));
            let length = match until {
                Some(until) => format!("for {}", Millis(until.since(at).0.div_ceil(1000) * 1000)),
                None => "until somebody releases it".to_owned(),
            };
            upshot.findings.push(Finding {
                object: voice.object.clone(),
                part: rung.path.clone(),
                said: Said::Noted(Reason::Restricted),
                saw: format!("{:?} {length}: {why}", step.level).into(),
                enforcement: voice.enforcement,
            });
            if voice.enforcement == Enforcement::Enforce {
                upshot.restrictions.push(Restriction {
                    level: step.level,
                    since: at,
                    until,
                    origin: Origin::Rule((**voice.object).clone()),
                    why: why.into(),
                    decision: Some(self.event.id),
                    recipients_per_hour: step.recipients_per_hour,
                    then: None,
                });
            }
        }
        upshot
    }
}

/// `100 points: UnknownRecipients 60, SpamVerdicts 40`.
fn why(awards: &Awards, decay: Millis, now: Timestamp) -> String {
    let left = |signal: Signal| {
        let of = awards
            .list
            .iter()
            .filter(move |award| award.signal == signal);
        of.map(|award| award.left(decay, now)).sum::<u32>()
    };
    let parts: Vec<String> = Signal::ALL
        .into_iter()
        .filter(|&signal| left(signal) > 0)
        .map(|signal| format!("{signal} {}", left(signal)))
        .collect();
    format!("{} points: {}", awards.score(decay, now), parts.join(", "))
}
