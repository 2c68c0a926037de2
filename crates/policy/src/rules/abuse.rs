//! AbuseRule: signals of one account that add up to points, and points to restrictions.
//!
//! It refuses nothing by itself: it is asked after an event was judged, and after the next hop answered ([`crate::watch`]). What it
//! counts is the account's own doing as far as that can be told: failed logins are anybody's.

mod check;

use crate::decision::{Decision, Reason, Said};
use crate::event::{Event, Stage};
use crate::field_path::FieldPath;
use crate::key::{Scope, Subject, Subjects, Tally};
use crate::matching::{Exemption, account_of, prefix, site};
use crate::op::{Item, Key, Op};
use crate::rules::failure;
use crate::rules::penalty::{Penalty, Wording};
use crate::rules::{Defect, Stages};
use crate::signal::{Award, Signal, score};
use crate::snapshot::{AbuseRule, LadderStep, ObjectRef, SignalMark};
use crate::time::{Millis, Timestamp};
use crate::watch::Seen;
use crate::{Account, Class};

/// An [`AbuseRule`] made ready.
#[derive(Clone, Debug)]
pub(crate) struct Abuse {
    exempt: Exemption,
    pub(crate) marks: Vec<Mark>,
    points: Scope,
    pub(crate) decay: Millis,
    /// The lowest first.
    pub(crate) ladder: Vec<Rung>,
}

/// From where on a signal is worth points.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) spec: SignalMark,
    scope: Scope,
    pub(crate) path: FieldPath,
}

/// A step of the ladder.
#[derive(Clone, Debug)]
pub(crate) struct Rung {
    /// From how many points on.
    pub(crate) at: u32,
    /// Signals that must be among what gave them.
    pub(crate) requires: Vec<Signal>,
    pub(crate) penalty: Penalty,
    pub(crate) path: FieldPath,
}

/// How a signal is counted at one event.
pub(crate) enum Counted {
    /// The answer is the account's sum.
    Weighed(Op),
    /// Nobody's yet: an account that logs in from there later has it.
    Noted(Op),
}

impl Abuse {
    /// Makes the rule ready, or names the field that cannot be put in force.
    pub(crate) fn new(object: &ObjectRef, spec: &AbuseRule) -> Result<Self, Defect> {
        check::check(spec)?;
        let mark = |&spec: &SignalMark| Mark {
            spec,
            scope: Scope::new(object, tally_of(spec.signal), spec.per),
            path: format!("spec.signals[{}]", spec.signal).into(),
        };
        let rung = |step: &LadderStep| Rung {
            at: step.at,
            requires: step.requires.clone(),
            penalty: Penalty::new(
                object,
                Wording {
                    level: step.level,
                    term: step.term,
                    recipients_per_hour: step.recipients_per_hour,
                    growth: spec.growth,
                    max_for: spec.max_for,
                },
            ),
            path: format!("spec.ladder[{}]", step.at).into(),
        };
        Ok(Self {
            exempt: Exemption::new(&spec.exempt),
            marks: spec.signals.iter().map(mark).collect(),
            // No decay in the key: one that is changed forgives nobody.
            points: Scope::new(object, Tally::Points, Millis(0)),
            decay: spec.decay,
            ladder: spec.ladder.iter().map(rung).collect(),
        })
    }

    /// Where events are looked at once they are judged.
    pub(crate) fn stages(&self) -> Stages {
        let of = |mark: &Mark| match mark.spec.signal {
            Signal::UnknownRecipients | Signal::FirstTimeRecipients => Stages::default(),
            Signal::DistinctCountries | Signal::DistinctSources | Signal::DistinctAsns => {
                Stages::LOGIN_SUCCEEDED
            }
            Signal::DecoyTouched => Stages::LOGIN.and(Stages::LOGIN_SUCCEEDED),
            Signal::AuthFailures => Stages::LOGIN_FAILED.and(Stages::LOGIN_SUCCEEDED),
            Signal::SpamVerdicts => Stages::HEADERS.and(Stages::END),
            Signal::SenderMismatch => Stages::MAIL.and(Stages::HEADERS),
        };
        self.marks
            .iter()
            .map(of)
            .fold(Stages::default(), Stages::and)
    }

    /// Whether its answer could depend on reverse names that nobody looked up yet.
    pub(crate) fn asks_reverse_names(&self, event: &Event) -> bool {
        matches!(event.stage, Stage::LoginSucceeded) && self.exempt.asks_reverse_names(event)
    }

    pub(crate) fn counts(&self, signal: Signal) -> bool {
        self.marks.iter().any(|mark| mark.spec.signal == signal)
    }

    /// Whether nothing that the account does is counted.
    pub(crate) fn spares(&self, account: &Account) -> bool {
        self.exempt.names(account)
    }

    /// What the event adds to a signal, if it is one of it.
    pub(crate) fn count(
        &self,
        mark: &Mark,
        event: &Event,
        seen: &Seen<'_>,
        facts: &Facts<'_>,
    ) -> Option<Counted> {
        let window = mark.spec.per;
        let account = account_of(event);
        let key = |account: &Account| mark.scope.key(&of_account(account));
        let meter = |cost| {
            let key = key(account?);
            Some(Counted::Weighed(Op::Meter { key, cost, window }))
        };
        let distinct = |item| {
            let key = key(account?);
            Some(Counted::Weighed(Op::Distinct { key, item, window }))
        };
        match (mark.spec.signal, seen) {
            (Signal::UnknownRecipients, Seen::UnknownRecipients(_)) if is_of_nobody(event) => None,
            (Signal::UnknownRecipients, Seen::UnknownRecipients(count)) => meter(*count),
            (Signal::FirstTimeRecipients, Seen::Sent(recipients)) => {
                Some(Counted::Weighed(Op::Correspond {
                    key: facts.correspondents.key(&of_account(account?)),
                    items: recipients.to_vec(),
                    window,
                    learn: LEARN,
                    keep: REMEMBER,
                }))
            }
            (Signal::SpamVerdicts, Seen::Judged(decision)) if is_spam(event, decision) => meter(1),
            (Signal::SenderMismatch, Seen::Judged(decision)) if is_mismatch(event, decision) => {
                meter(1)
            }
            (Signal::AuthFailures, Seen::Judged(_)) => count_failure(event, key(account?), window),
            (Signal::DecoyTouched, Seen::Judged(decision)) => {
                self.count_decoy(mark, event, decision, facts)
            }
            (signal, Seen::Judged(_)) if matches!(event.stage, Stage::LoginSucceeded) => {
                if self.exempt.exempts(event).is_some() {
                    return None;
                }
                distinct(whence(signal, event)?)
            }
            _ => None,
        }
    }

    /// A decoy is touched from somewhere; whoever then logs in from there with a good password is under suspicion. Not who has long
    /// been coming from there: many share an address (NAT, CGN), and what others do behind it says nothing of them.
    fn count_decoy(
        &self,
        mark: &Mark,
        event: &Event,
        decision: &Decision,
        facts: &Facts<'_>,
    ) -> Option<Counted> {
        let ip = event.session.source.own_ip()?;
        let source = Subject::Prefix(prefix(ip, 32, 64));
        let key = mark.scope.key(&Subjects::of(&[source]));
        let window = mark.spec.per;
        match &event.stage {
            Stage::Login {
                account: Some(claimed),
            } if (facts.is_decoy)(claimed) => Some(Counted::Noted(Op::Meter {
                key,
                cost: 1,
                window,
            })),
            Stage::LoginSucceeded
                if decision.network.is_new() && self.exempt.exempts(event).is_none() =>
            {
                Some(Counted::Weighed(Op::Read { key, window }))
            }
            _ => None,
        }
    }

    pub(crate) fn award(&self, mark: &Mark, account: &Account) -> Op {
        Op::Award {
            key: self.points_of(account),
            signal: mark.spec.signal,
            points: mark.spec.points,
            hold: mark.spec.per,
            keep: self.decay,
        }
    }

    pub(crate) fn points_of(&self, account: &Account) -> Key {
        self.points.key(&of_account(account))
    }

    /// The highest step that these points reach, with all that it requires.
    pub(crate) fn step_on(&self, awards: &[Award], now: Timestamp) -> Option<&Rung> {
        let mut from_above = self.ladder.iter().rev();
        from_above.find(|rung| self.stands(rung, awards, now))
    }

    fn stands(&self, rung: &Rung, awards: &[Award], now: Timestamp) -> bool {
        let lives = |signal: &Signal| {
            let mut of = awards.iter().filter(|award| award.signal == *signal);
            of.any(|award| award.left(self.decay, now) > 0)
        };
        score(awards, self.decay, now) >= rung.at && rung.requires.iter().all(lives)
    }

    /// What forgets all that speaks against an account and is from `before` or earlier. A step that it is brought to later lasts
    /// longer, and from then on.
    pub(crate) fn pardon(
        &self,
        account: &Account,
        before: Timestamp,
        correspondents: &Scope,
    ) -> Vec<Op> {
        let subjects = of_account(account);
        let of_mark = |mark: &Mark| match mark.spec.signal {
            // These are of a source, and of everybody who comes from there.
            Signal::DecoyTouched => None,
            Signal::FirstTimeRecipients => Some(correspondents.key(&subjects)),
            _ => Some(mark.scope.key(&subjects)),
        };
        let keys = self.marks.iter().filter_map(of_mark);
        let keys = keys.chain(std::iter::once(self.points_of(account)));
        let mut ops: Vec<Op> = keys.map(|key| Op::Forgive { key, before }).collect();
        let rungs = self.ladder.iter();
        ops.extend(rungs.filter_map(|rung| rung.penalty.pardon(account, before)));
        // An award that is worth nothing holds off the next: until then the touches that were known of have left the window.
        let decoys = |mark: &&Mark| mark.spec.signal == Signal::DecoyTouched;
        ops.extend(self.marks.iter().find(decoys).map(|mark| Op::Award {
            key: self.points_of(account),
            signal: Signal::DecoyTouched,
            points: 0,
            hold: mark.spec.per,
            keep: self.decay,
        }));
        ops
    }
}

/// For how long an account is only observed, from its first message on.
pub(crate) const LEARN: Millis = Millis(14 * Millis::DAY.0);
/// For how long a correspondent is remembered, from the last message on.
pub(crate) const REMEMBER: Millis = Millis(180 * Millis::DAY.0);

/// What a rule has to know of the others.
pub(crate) struct Facts<'a> {
    pub(crate) correspondents: &'a Scope,
    pub(crate) is_decoy: &'a dyn Fn(&Account) -> bool,
}

fn of_account(account: &Account) -> Subjects {
    Subjects::of(&[Subject::Account(account.as_str())])
}

/// Whoever guesses says nothing of the account; that one of the guesses may have been right does. So points are awarded at a login
/// that succeeds, and nobody is restricted who cannot log in.
fn count_failure(event: &Event, key: Key, window: Millis) -> Option<Counted> {
    match &event.stage {
        Stage::LoginFailed { account, password } => {
            let source = Subject::Prefix(site(event.session.source.ip));
            // Where the password is hidden nobody can tell one that is stale from a guess: a network is one of them, however long
            // it tries.
            let item = password.unwrap_or_else(|| failure::hidden_from(account.as_ref(), source));
            Some(Counted::Noted(Op::Distinct { key, item, window }))
        }
        Stage::LoginSucceeded => Some(Counted::Weighed(Op::Count { key, window })),
        _ => None,
    }
}

/// Where a login comes from, as a member of a set. What is not known is nowhere.
fn whence(signal: Signal, event: &Event) -> Option<Item> {
    let source = &event.session.source;
    let ip = source.own_ip()?;
    let mut item = Item::default();
    let mut put = |octets: &[u8]| item[..octets.len()].copy_from_slice(octets);
    match signal {
        Signal::DistinctCountries => put(source.country?.as_str().as_bytes()),
        Signal::DistinctAsns => put(&source.asn?.to_be_bytes()),
        Signal::DistinctSources => match site(ip).network() {
            std::net::IpAddr::V4(net) => put(&net.octets()[..3]),
            std::net::IpAddr::V6(net) => put(&net.octets()[..8]),
        },
        _ => return None,
    }
    Some(item)
}

/// Whether this event is the first at which content made the message spam: one message is one verdict, whoever else condemns it, and
/// whatever class its account gave it.
fn is_spam(event: &Event, decision: &Decision) -> bool {
    let at = matches!(event.stage, Stage::Headers(_) | Stage::End(_));
    let before = event.transaction.as_ref().map(|facts| facts.content);
    at && before < Some(Class::Spam) && decision.content() == Class::Spam
}

/// Whether it has no sender that could be answered: what answers forged mail by itself writes to whoever that named (RFC 3834).
fn is_of_nobody(event: &Event) -> bool {
    let facts = event.transaction.as_ref();
    facts.is_some_and(|facts| facts.sender.is_none())
}

fn is_mismatch(event: &Event, decision: &Decision) -> bool {
    let at = matches!(event.stage, Stage::Mail | Stage::Headers(_));
    let mismatch = |said| {
        matches!(
            said,
            Said::Reject(Reason::SenderMismatch | Reason::HeaderFromMismatch)
        )
    };
    at && decision
        .findings
        .iter()
        .any(|finding| mismatch(finding.said))
}

const fn tally_of(signal: Signal) -> Tally {
    match signal {
        Signal::UnknownRecipients => Tally::UnknownRecipients,
        Signal::FirstTimeRecipients => Tally::Correspondents,
        Signal::DistinctCountries => Tally::Countries,
        Signal::DistinctSources => Tally::Sources,
        Signal::DistinctAsns => Tally::Asns,
        Signal::SpamVerdicts => Tally::SpamVerdicts,
        Signal::AuthFailures => Tally::AuthFailures,
        Signal::SenderMismatch => Tally::SenderMismatches,
        Signal::DecoyTouched => Tally::DecoyTouches,
    }
}
