//! After an event was judged, and after the next hop answered: what it tells of abuse.
//!
//! In three turns, each an operation on counters of which the first is usually the last: signals are counted ([`Watch`]); one that
//! reaches its mark is awarded points ([`Claims`]); points that reach a step of the ladder restrict ([`Steps`]). All that is
//! remembered is in counters, so that proxies that share them act as one. Who counts and who awards may be different proxies.

use std::sync::Arc;

use crate::address::Account;
use crate::decision::{Decision, Finding, Reason, Said};
use crate::event::Event;
use crate::matching::account_of;
use crate::op::{Item, Op, Outcome, Results};
use crate::restriction::{Origin, Restriction};
use crate::rules::Stages;
use crate::rules::abuse::{Abuse, Counted, Facts, Mark, Rung};
use crate::ruleset::{Armed, Ruleset, Spec};
use crate::signal::{Added, Award, Awards, Signal};
use crate::snapshot::{Enforcement, ObjectRef};
use crate::time::{Millis, Timestamp};

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

/// Signals that reached their marks.
#[derive(Debug)]
pub struct Claims<'a> {
    event: &'a Event,
    account: &'a Account,
    ops: Vec<Op>,
    claimed: Vec<(Asked<'a>, u64)>,
}

/// Steps of ladders that an account stands on now.
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

    /// What forgets all that speaks against an account: to be applied when somebody releases it, or what it did before would restrict
    /// it again at once. What a repetition costs stays.
    #[must_use]
    pub fn pardon(&self, account: &Account) -> Vec<Op> {
        let pardons = self.abuse();
        pardons
            .flat_map(|(_, abuse)| abuse.pardon(account, &self.correspondents))
            .collect()
    }

    /// What reads the points of an account, one operation for each rule that counts, in the order of [`Self::scores`].
    #[must_use]
    pub fn ask_scores(&self, account: &Account) -> Vec<Op> {
        let ask = |abuse: &Abuse| Op::Points {
            key: abuse.points_of(account),
            keep: abuse.decay,
        };
        self.abuse().map(|(_, abuse)| ask(abuse)).collect()
    }

    /// The points of an account, by the answers to [`Self::ask_scores`].
    #[must_use]
    pub fn scores(&self, results: &Results, now: Timestamp) -> Vec<Score> {
        let of = |((rule, abuse), outcome): ((&Armed, &Abuse), &Outcome)| {
            let Outcome::Awards(awards) = outcome else {
                return None;
            };
            Some(Score {
                rule: (*rule.object).clone(),
                score: awards.score(abuse.decay, now),
                decay: abuse.decay,
                next: abuse
                    .ladder
                    .iter()
                    .map(|rung| rung.step.at)
                    .find(|&at| at > awards.score(abuse.decay, now)),
                awards: awards.list.clone(),
            })
        };
        self.abuse().zip(&results.0).filter_map(of).collect()
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

/// The points of an account under one rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// The rule.
    pub rule: ObjectRef,
    /// The sum of what is left now.
    pub score: u32,
    /// Points are gone so long after they were awarded.
    pub decay: Millis,
    /// The points of the next step of its ladder, if there is one above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// What was awarded when, oldest first.
    pub awards: Vec<Award>,
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

    /// Which signals reached their marks, by the answers to [`Self::ops`].
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

    /// Which steps are reached, by the answers to [`Self::ops`].
    #[must_use]
    pub fn steps(self, results: &Results) -> Steps<'a> {
        let mut steps = Steps {
            event: self.event,
            findings: Vec::new(),
            ops: Vec::new(),
            reached: Vec::new(),
        };
        for ((asked, total), outcome) in self.claimed.iter().zip(&results.0) {
            if let Outcome::Awards(awards) = outcome
                && awards.added == Added::Yes
            {
                steps.note(asked, *total, awards);
                steps.climb(asked.voice, self.account, awards);
            }
        }
        steps
    }
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

    fn climb(&mut self, voice: Voice<'a>, account: &Account, awards: &Awards) {
        let now = self.event.at;
        // Whoever climbs several at once stands on the last.
        let Some(rung) = voice.abuse.reached(awards.before(), &awards.list, now) else {
            return;
        };
        let why = why(awards, voice.abuse.decay, now);
        let same = |other: &Reached<'_>| other.voice.object == voice.object;
        self.reached.retain(|other| !same(other));
        // A rule that only watches lengthens nothing.
        let term = voice.abuse.term(rung, account);
        let term = term.filter(|_| voice.enforcement == Enforcement::Enforce);
        let op = term.map(|term| {
            self.ops.push(term);
            self.ops.len() - 1
        });
        self.reached.push(Reached {
            voice,
            rung,
            why,
            op,
        });
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
