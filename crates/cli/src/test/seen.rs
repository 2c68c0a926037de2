//! What became of one thing that happened, in the words of an expectation.

use std::collections::BTreeSet;

use sekisho_compile::files::ExpectedVerdict;
use sekisho_policy::decision::Said;
use sekisho_policy::event::{Event, StageName};
use sekisho_policy::record::Step;
use sekisho_policy::snapshot::{Enforcement, Pool, Selection};
use sekisho_policy::{Class, Finding, Route, Ruleset, route};

use super::bench::{UPSTREAM, short};
use crate::explain::layout::reply_text;

/// What is compared.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) verdict: ExpectedVerdict,
    pub(super) refusal: Option<Refused>,
    /// Who refused it, or else made its class what it is.
    pub(super) voices: Vec<Voice>,
    pub(super) class: Class,
    /// How many recipients were taken.
    pub(super) recipients: u32,
    /// Where it goes, if it goes on.
    pub(super) pool: Option<String>,
    /// Who of the pool can take it.
    pub(super) members: Vec<String>,
    /// Rules that would have refused or made the class worse.
    pub(super) shadow: BTreeSet<String>,
}

/// A rule, and which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Voice {
    pub(super) rule: String,
    pub(super) part: String,
}

/// A refusal, and where it was.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) reply: String,
    pub(super) stage: StageName,
}

/// How it ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Connected or logged in, as it wanted, or it did not get so far.
    Session,
    /// The message went on.
    Sent,
    /// It did not.
    NotSent,
    /// The password was looked at, and wrong.
    WrongPassword,
    /// The session itself asks for a login before MAIL.
    LoginRequired,
}

impl Seen {
    pub(super) fn of(rules: &Ruleset, steps: &[Step], ending: Ending) -> Self {
        let refusing = refusing(steps, ending);
        let refusal = match ending {
            Ending::LoginRequired => Some(Refused {
                reply: "530 5.7.0 Authentication required".to_owned(),
                stage: StageName::Mail,
            }),
            _ => refusing
                .and_then(refused)
                .or_else(|| wrong_password(ending)),
        };
        let class = steps
            .iter()
            .map(|step| step.decision.class)
            .max()
            .unwrap_or_default();
        let voices = match (refusing, &refusal) {
            (Some(step), _) => refusers(step),
            (None, Some(_)) => Vec::new(),
            (None, None) => worseners(steps, class),
        };
        let verdict = match &refusal {
            Some(_) if ending == Ending::Sent => ExpectedVerdict::Allow,
            Some(refused) if refused.reply.starts_with('4') => ExpectedVerdict::Defer,
            Some(_) => ExpectedVerdict::Reject,
            None => ExpectedVerdict::Allow,
        };
        let (pool, members) = match steps.last() {
            Some(last) if ending == Ending::Sent => {
                way(rules, &last.event, first_domain(steps), class)
            }
            _ => (None, Vec::new()),
        };
        let taken = steps
            .iter()
            .filter(|step| is_recipient(step) && step.decision.verdict.refusal().is_none());
        let recipients = u32::try_from(taken.count()).unwrap_or(u32::MAX);
        Self {
            verdict,
            refusal,
            voices,
            class,
            recipients,
            pool,
            members,
            shadow: shadowed(steps),
        }
    }
}

/// The step whose refusal counts: the one that ended it or, of a message that went on, the first recipient that was refused.
fn refusing(steps: &[Step], ending: Ending) -> Option<&Step> {
    let mut refusals = steps
        .iter()
        .filter(|step| step.decision.verdict.refusal().is_some());
    if ending == Ending::Sent {
        refusals.next()
    } else {
        refusals.next_back()
    }
}

fn refused(step: &Step) -> Option<Refused> {
    let mut refusal = step.decision.verdict.refusal()?.clone();
    let stage = step.event.stage.name();
    if stage == StageName::Connect && !matches!(refusal.code, 421 | 554) {
        // A greeting has no other (RFC 5321 section 4.3.2).
        refusal.code = if refusal.code < 500 { 421 } else { 554 };
    }
    Some(Refused {
        reply: reply_text(&refusal),
        stage,
    })
}

/// What a session says where no rule has anything to add.
fn wrong_password(ending: Ending) -> Option<Refused> {
    (ending == Ending::WrongPassword).then(|| Refused {
        reply: "535 5.7.8 Authentication credentials invalid".to_owned(),
        stage: StageName::Auth,
    })
}

/// Who refused: the first that is enforced and gives the reason of the refusal.
fn refusers(step: &Step) -> Vec<Voice> {
    let Some(refusal) = step.decision.verdict.refusal() else {
        return Vec::new();
    };
    let gives = |finding: &&Finding| match finding.said {
        Said::Defer(reason) | Said::Reject(reason) => {
            finding.enforcement == Enforcement::Enforce && reason == refusal.reason
        }
        _ => false,
    };
    step.decision
        .findings
        .iter()
        .find(gives)
        .map(voice)
        .into_iter()
        .collect()
}

/// Who made the class what it is.
fn worseners(steps: &[Step], class: Class) -> Vec<Voice> {
    let findings = steps.iter().flat_map(|step| &step.decision.findings);
    let mut voices: Vec<_> = findings
        .filter(|finding| {
            let worsens = matches!(finding.said, Said::Worsen(to, _) if to == class);
            worsens && finding.enforcement == Enforcement::Enforce
        })
        .map(voice)
        .collect();
    voices.dedup();
    voices
}

fn shadowed(steps: &[Step]) -> BTreeSet<String> {
    let findings = steps.iter().flat_map(|step| &step.decision.findings);
    let spoke = findings.filter(|finding| {
        let acts = matches!(
            finding.said,
            Said::Defer(_) | Said::Reject(_) | Said::Worsen(..)
        );
        acts && finding.enforcement != Enforcement::Enforce
    });
    spoke.map(|finding| short(&finding.object)).collect()
}

fn voice(finding: &Finding) -> Voice {
    Voice {
        rule: short(&finding.object),
        part: finding.part.to_string(),
    }
}

fn is_recipient(step: &Step) -> bool {
    step.event.stage.name() == StageName::Rcpt
}

/// The domain of the first recipient that was taken.
fn first_domain(steps: &[Step]) -> Option<&str> {
    steps.iter().find_map(|step| match &step.event.stage {
        sekisho_policy::event::Stage::Rcpt { recipient, .. }
            if step.decision.verdict.refusal().is_none() =>
        {
            Some(recipient.domain())
        }
        _ => None,
    })
}

fn way(
    rules: &Ruleset,
    event: &Event,
    domain: Option<&str>,
    class: Class,
) -> (Option<String>, Vec<String>) {
    match rules.route(event, class) {
        Route::Reject => (None, Vec::new()),
        Route::Upstream => (Some(UPSTREAM.to_owned()), Vec::new()),
        Route::Pool { name, pool } => (Some(name.to_string()), members(pool, event, domain)),
    }
}

/// Who can take it while all of the pool are healthy: chance decides unless the pool is sticky.
fn members(pool: &Pool, event: &Event, domain: Option<&str>) -> Vec<String> {
    let account = event.account.as_deref().map(|account| &account.name);
    let is_sticky = match pool.selection {
        Selection::Weighted => false,
        Selection::StickyByAccount => account.is_some(),
        Selection::StickyByRecipientDomain => domain.is_some(),
    };
    let name = |at: usize| pool.members[at].name.clone();
    if is_sticky {
        let chosen = route::choose(pool, 0, account, domain, |_| true);
        return chosen.map(name).into_iter().collect();
    }
    let weighty = (0..pool.members.len()).filter(|at| pool.members[*at].weight > 0);
    weighty.map(name).collect()
}
