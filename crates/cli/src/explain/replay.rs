//! Asks the rules again about events that were judged: which rules applied, which did not and why, and whether the answer
//! is still the same.

use std::sync::Arc;

use sekisho_policy::decision::{Reason, Said};
use sekisho_policy::explain::{Applicability, Skip};
use sekisho_policy::op::Results;
use sekisho_policy::record::Step;
use sekisho_policy::{Finding, ObjectRef, Ruleset};
use serde::{Serialize, Serializer};

/// What one rule said of one event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleView<'a> {
    pub(super) object: Arc<ObjectRef>,
    /// Why it did not apply; absent if it did.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "in_words")]
    pub(super) skipped: Option<Skip>,
    /// What its parts saw and said; none where it applied and had nothing to say.
    pub(super) findings: Vec<&'a Finding>,
}

fn in_words<S: Serializer>(skipped: &Option<Skip>, serializer: S) -> Result<S::Ok, S::Error> {
    match skipped {
        Some(skip) => serializer.collect_str(skip),
        None => serializer.serialize_none(),
    }
}

/// Whether the same event, the same counts and the stored rules give the stored decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Agreement {
    Agrees,
    Differs,
}

/// Each rule in the order in which it was asked. Without the rules, only those that said something are known.
pub(super) fn rules<'a>(rules: Option<&Ruleset>, step: &'a Step) -> Vec<RuleView<'a>> {
    let findings = &step.decision.findings;
    let Some(rules) = rules else {
        return by_object(findings);
    };
    let mut views: Vec<RuleView<'a>> = rules
        .explain(&step.event)
        .into_iter()
        .map(|(object, applicability)| RuleView {
            skipped: match applicability {
                Applicability::Applies(_) => None,
                Applicability::Skipped(skip) => Some(skip),
            },
            findings: findings
                .iter()
                .filter(|finding| finding.object == object)
                .collect(),
            object,
        })
        .collect();
    // The gateway itself and the pools are no rules, and can have something to say.
    views.extend(
        by_object(findings)
            .into_iter()
            .filter(|view| rules.objects().all(|object| *object != view.object)),
    );
    views
}

fn by_object(findings: &[Finding]) -> Vec<RuleView<'_>> {
    let mut views: Vec<RuleView<'_>> = Vec::new();
    for finding in findings {
        match views.iter_mut().find(|view| view.object == finding.object) {
            Some(view) => view.findings.push(finding),
            None => {
                views.push(RuleView {
                    object: finding.object.clone(),
                    skipped: None,
                    findings: vec![finding],
                });
            }
        }
    }
    views
}

/// Decides again.
pub(super) fn agreement(rules: &Ruleset, step: &Step) -> Agreement {
    let plan = rules.plan(&step.event);
    let results = step.answers.clone().map(Results);
    // A hashed recipient can be counted under another key; what is asked must be alike, and what is decided the same.
    if plan.ops().len() != step.ops.len() {
        return Agreement::Differs;
    }
    let decision = plan.decide(results.as_ref());
    let same = decision.verdict == step.decision.verdict && decision.class == step.decision.class;
    let findings = step.decision.findings.strip_prefix(&*decision.findings);
    if same && findings.is_some_and(|rest| rest.iter().all(came_after)) {
        Agreement::Agrees
    } else {
        Agreement::Differs
    }
}

/// Whether it is what an event led to once it was judged: points and restrictions are no part of the decision.
fn came_after(finding: &Finding) -> bool {
    matches!(
        finding.said,
        Said::Noted(Reason::AbuseSignal | Reason::Restricted)
    )
}
