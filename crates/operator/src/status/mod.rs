//! What an object's status is to say, from what was found and what the proxies report. Pure: no clock, no cluster.
//!
//! Conditions and reasons are those of Gateway API's policy attachment (GEP-713). `Reconciling` and `Stalled` are there only
//! while they hold, as kstatus asks, so that Helm and Argo CD wait for the right thing.

mod progress;

use sekisho_compile::{Code, Diagnostic};
use sekisho_crd::{Condition, ConditionStatus, Status};

pub(crate) use progress::{Needs, Progress, Since, progress};

/// The schema takes no more conditions.
const MOST: usize = 16;
/// So many findings stand in one message.
const SHOWN: usize = 8;
/// No message is longer, in octets; the schema allows 32 KiB.
const LONGEST: usize = 4096;

/// What is known of one object.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// `metadata.generation`.
    pub(crate) generation: i64,
    /// What is wrong with it.
    pub(crate) findings: &'a [&'a Diagnostic],
    /// How far the proxies are; none if it is in no snapshot.
    pub(crate) progress: Option<Progress>,
    /// Whether it is still on its way while no proxy is connected.
    pub(crate) pace: Pace,
    /// What only this object can say; it goes before what is said of every object.
    pub(crate) more: Vec<Aspect>,
}

/// Whether an object waits for proxies to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A gateway with so many pods of its own is not ready before they are.
    WaitsFor(usize),
    /// A rule is done where nobody is there to enforce it.
    WaitsForNobody,
}

/// A condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aspect {
    pub(crate) type_: &'static str,
    pub(crate) status: ConditionStatus,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Aspect {
    pub(crate) fn holds(
        type_: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            type_,
            status: ConditionStatus::True,
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn fails(
        type_: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status: ConditionStatus::False,
            ..Self::holds(type_, reason, message)
        }
    }
}

/// The status of an object; `before` gives the times of what did not change, `now` (RFC 3339) those of what did.
pub(crate) fn status(known: &Known<'_>, before: Option<&Status>, now: &str) -> Status {
    let aspects = aspects(known);
    let conditions = aspects
        .into_iter()
        .map(|aspect| dated(aspect, known.generation, before, now));
    Status {
        observed_generation: Some(known.generation),
        conditions: conditions.collect(),
        programmed: known.progress.as_ref().map(|progress| progress.to_string()),
    }
}

/// Takes the progress back to what it was if fewer proxies are connected than were: right after this replica began to write, it
/// has not heard of all of them.
pub(crate) fn hold_progress(before: &Status, wanted: &mut Status) {
    let connected = |status: &Status| -> Option<usize> {
        let (_, connected) = status.programmed.as_deref()?.split_once('/')?;
        connected.parse().ok()
    };
    let is_trouble = wanted.conditions.iter().any(|condition| {
        condition.type_ == "Stalled"
            || matches!(condition.reason.as_str(), "Rejected" | "WriteFailed")
    });
    if is_trouble
        || before.observed_generation != wanted.observed_generation
        || connected(before) <= connected(wanted)
    {
        return;
    }
    let is_progress =
        |condition: &Condition| matches!(condition.type_.as_str(), "Programmed" | "Reconciling");
    wanted.programmed.clone_from(&before.programmed);
    wanted
        .conditions
        .retain(|condition| !is_progress(condition));
    let held = before
        .conditions
        .iter()
        .filter(|condition| is_progress(condition));
    wanted.conditions.extend(held.cloned());
    wanted
        .conditions
        .sort_by(|a, b| (rank(&a.type_), &a.type_).cmp(&(rank(&b.type_), &b.type_)));
}

fn aspects(known: &Known<'_>) -> Vec<Aspect> {
    let accepted = accepted(known.findings);
    let own = |type_: &str| known.more.iter().find(|aspect| aspect.type_ == type_);
    // What cannot be written is worse than what proxies have not taken yet.
    let programmed = own("Programmed")
        .cloned()
        .unwrap_or_else(|| programmed(known, &accepted));
    let mut aspects: Vec<Aspect> = known
        .more
        .iter()
        .filter(|aspect| aspect.type_ != "Programmed")
        .cloned()
        .collect();
    let unresolved = own("ResolvedRefs").filter(|refs| refs.status == ConditionStatus::False);
    let is_accepted = accepted.status == ConditionStatus::True;
    if !is_accepted {
        let message = "the object has errors and does not take effect as it is; see Accepted";
        aspects.push(Aspect::holds("Stalled", accepted.reason, message));
    } else if let Some(because) = reconciling(known, &programmed).or(unresolved) {
        aspects.push(Aspect::holds(
            "Reconciling",
            because.reason,
            because.message.clone(),
        ));
    }
    aspects.extend([accepted, programmed]);
    aspects.extend(warnings(known.findings));
    aspects.sort_by_key(|aspect| (rank(aspect.type_), aspect.type_));
    aspects.dedup_by_key(|aspect| aspect.type_);
    aspects.truncate(MOST);
    aspects
}

/// What is still on its way, if anything is.
fn reconciling<'a>(known: &Known<'_>, programmed: &'a Aspect) -> Option<&'a Aspect> {
    let connected = known
        .progress
        .as_ref()
        .map_or(0, |progress| progress.connected);
    let is_awaited = matches!(known.pace, Pace::WaitsFor(pods) if connected < pods);
    let is_on_its_way =
        programmed.status != ConditionStatus::True && programmed.reason != "NoProxies";
    (is_awaited || is_on_its_way).then_some(programmed)
}

/// Those that everybody looks for come first.
fn rank(type_: &str) -> u8 {
    match type_ {
        "Accepted" => 0,
        "Programmed" => 1,
        "Reconciling" | "Stalled" => 2,
        _ => 3,
    }
}

fn accepted(findings: &[&Diagnostic]) -> Aspect {
    let errors: Vec<&Diagnostic> = findings
        .iter()
        .copied()
        .filter(|finding| finding.is_error())
        .collect();
    match errors.first() {
        None => Aspect::holds("Accepted", "Accepted", "the object is valid"),
        Some(first) => Aspect::fails("Accepted", first.code.as_str(), told(&errors)),
    }
}

fn programmed(known: &Known<'_>, accepted: &Aspect) -> Aspect {
    let is_accepted = accepted.status == ConditionStatus::True;
    match &known.progress {
        None if is_accepted => {
            Aspect::fails("Programmed", "Pending", "it is not in a snapshot yet")
        }
        None => Aspect::fails(
            "Programmed",
            "Invalid",
            "there are no earlier rules to go on with",
        ),
        Some(progress) if let Some(refusal) = &progress.refused => {
            Aspect::fails("Programmed", "Rejected", refusal.clone())
        }
        Some(progress) if !is_accepted => Aspect::fails(
            "Programmed",
            "KeptPrevious",
            format!("the rules of the last valid version stay in force, at {progress} proxies"),
        ),
        Some(progress) if progress.connected == 0 => Aspect {
            status: ConditionStatus::Unknown,
            ..Aspect::fails(
                "Programmed",
                "NoProxies",
                "no proxy of the gateway is connected",
            )
        },
        Some(progress) if progress.enforcing < progress.connected => {
            let mut message = format!("{progress} of the connected proxies enforce it");
            if let Some(secret) = &progress.lacks {
                message.push_str(&format!(
                    "; the Secret {secret} is not there or does not serve"
                ));
            }
            Aspect::fails("Programmed", "Pending", message)
        }
        Some(progress) => Aspect::holds(
            "Programmed",
            "Programmed",
            format!("enforced by {} of the connected proxies", progress),
        ),
    }
}

/// Each kind of warning is a condition of its own, there only while it holds.
fn warnings(findings: &[&Diagnostic]) -> Vec<Aspect> {
    let mut codes: Vec<Code> = Vec::new();
    for finding in findings.iter().filter(|finding| !finding.is_error()) {
        // What is kept is said by Programmed.
        if finding.code != Code::KeptPrevious && !codes.contains(&finding.code) {
            codes.push(finding.code);
        }
    }
    let about = |code: Code| {
        let same: Vec<&Diagnostic> = findings
            .iter()
            .copied()
            .filter(|finding| finding.code == code && !finding.is_error())
            .collect();
        Aspect::holds(code.as_str(), code.as_str(), told(&same))
    };
    codes.into_iter().map(about).collect()
}

/// Findings in words, as `sekisho lint` prints them, without the object's own name.
pub(crate) fn told(findings: &[&Diagnostic]) -> String {
    let mut text = String::new();
    for finding in findings.iter().take(SHOWN) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        if !finding.field.is_root() {
            text.push_str(&format!("{}: ", finding.field));
        }
        text.push_str(&finding.message);
        if !finding.remedy.is_empty() {
            text.push_str(&format!(" ({})", finding.remedy));
        }
    }
    if findings.len() > SHOWN {
        text.push_str(&format!("; and {} more", findings.len() - SHOWN));
    }
    cut(text)
}

fn cut(mut text: String) -> String {
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn dated(aspect: Aspect, generation: i64, before: Option<&Status>, now: &str) -> Condition {
    let same = before
        .into_iter()
        .flat_map(|status| &status.conditions)
        .find(|condition| condition.type_ == aspect.type_ && condition.status == aspect.status);
    Condition {
        type_: aspect.type_.to_owned(),
        status: aspect.status,
        reason: aspect.reason.to_owned(),
        message: cut(aspect.message),
        observed_generation: Some(generation),
        last_transition_time: same
            .map_or_else(|| now.to_owned(), |same| same.last_transition_time.clone()),
    }
}

#[cfg(test)]
mod tests;
