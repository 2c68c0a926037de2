//! The last turn: what restricts the account, and for how long.

use std::sync::Arc;

use super::{Asked, Claims, Upshot, Voice};
use crate::address::Account;
use crate::decision::{Finding, Reason, Said};
use crate::event::Event;
use crate::field_path::FieldPath;
use crate::op::{Op, Outcome, Results};
use crate::restriction::{Level, Origin, Restriction};
use crate::rules::penalty::Penalty;
use crate::signal::{Added, Award, Awards, Signal};
use crate::snapshot::{Enforcement, ObjectRef};
use crate::time::{Millis, Timestamp};
/// Steps of ladders that an account has reached, and on which it does not stand, and limits that it is over.
#[derive(Debug)]
pub struct Steps<'a> {
    event: &'a Event,
    findings: Vec<Finding>,
    ops: Vec<Op>,
    reached: Vec<Reached<'a>>,
}

/// What restricts the account.
#[derive(Debug)]
pub(super) struct Reached<'a> {
    pub(super) object: &'a Arc<ObjectRef>,
    pub(super) part: FieldPath,
    pub(super) enforcement: Enforcement,
    pub(super) penalty: &'a Penalty,
    pub(super) why: String,
    /// Where it is asked for how long.
    pub(super) op: Option<usize>,
}

/// The points of an account under one rule.
struct Heard<'r, 'a> {
    voice: Voice<'a>,
    before: &'r [Award],
    awards: &'r Awards,
}

impl<'a> Claims<'a> {
    /// What restricts the account, by the answers to [`Self::ops`].
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
        for reached in self.reached {
            steps.reach(reached, self.account);
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

    fn judge(&mut self, heard: &Heard<'_, 'a>, account: &Account) {
        let (voice, now) = (heard.voice, self.event.at);
        // Whoever climbs several at once stands on the highest.
        let Some(rung) = voice.abuse.step_on(&heard.awards.list, now) else {
            return;
        };
        let level = rung.penalty.wording.level;
        let stands = match voice.enforcement {
            Enforcement::Enforce => self.level_by(voice.object) >= Some(level),
            // Nothing is ever in force of a rule that only watches: it tells of each climb, and lengthens nothing.
            Enforcement::Shadow | Enforcement::Off => {
                let before = voice.abuse.step_on(heard.before, now);
                before.map(|before| before.penalty.wording.level) >= Some(level)
            }
        };
        if stands {
            return;
        }
        let reached = Reached {
            object: voice.object,
            part: rung.path.clone(),
            enforcement: voice.enforcement,
            penalty: &rung.penalty,
            why: why(heard.awards, voice.abuse.decay, now),
            op: None,
        };
        self.reach(reached, account);
    }

    /// The account is restricted, or would be: for how long is asked where it is.
    fn reach(&mut self, reached: Reached<'a>, account: &Account) {
        let term = reached.penalty.ask_term(account);
        let term = term.filter(|_| reached.enforcement == Enforcement::Enforce);
        let op = term.map(|term| {
            self.ops.push(term);
            self.ops.len() - 1
        });
        self.reached.push(Reached { op, ..reached });
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
                object,
                enforcement,
                why,
                op,
                ..
            } = reached;
            let wording = &reached.penalty.wording;
            let told = match op.and_then(|op| results.0.get(op)) {
                Some(Outcome::Until(until)) => *until,
                _ => None,
            };
            let until = wording.term.map(|term| told.unwrap_or(at.plus(term)));
            let length = match until {
                Some(until) => format!("for {}", Millis(until.since(at).0.div_ceil(1000) * 1000)),
                None => "until somebody releases it".to_owned(),
            };
            upshot.findings.push(Finding {
                object: object.clone(),
                part: reached.part,
                said: Said::Noted(Reason::Restricted),
                saw: format!("{:?} {length}: {why}", wording.level).into(),
                enforcement,
            });
            if enforcement == Enforcement::Enforce {
                upshot.restrictions.push(Restriction {
                    level: wording.level,
                    since: at,
                    until,
                    origin: Origin::Rule((**object).clone()),
                    why: why.into(),
                    decision: Some(self.event.id),
                    recipients_per_hour: wording.recipients_per_hour,
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
