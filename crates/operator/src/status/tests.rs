use std::collections::BTreeMap;
use std::sync::Arc;

use sekisho_compile::{Code, Diagnostic, FieldPath};
use sekisho_policy::Report;
use sekisho_policy::report::{Refused, Revision};

use super::*;

fn finding(code: Code, message: &str) -> Diagnostic {
    Diagnostic::error(code, message).at(FieldPath::parse("spec.match.when"))
}

fn of(
    findings: &[&Diagnostic],
    progress: Option<Progress>,
    pace: Pace,
) -> Vec<(String, String, String)> {
    let known = Known {
        generation: 3,
        findings,
        progress,
        pace,
        more: Vec::new(),
    };
    let status = status(&known, None, "2026-06-01T00:00:00Z");
    assert_eq!(status.observed_generation, Some(3));
    let said = |condition: Condition| {
        (
            condition.type_,
            format!("{:?}", condition.status),
            condition.reason,
        )
    };
    status.conditions.into_iter().map(said).collect()
}

fn is(type_: &str, status: &str, reason: &str) -> (String, String, String) {
    (type_.to_owned(), status.to_owned(), reason.to_owned())
}

fn so_many(enforcing: usize, connected: usize) -> Option<Progress> {
    Some(Progress {
        enforcing,
        connected,
        ..Progress::default()
    })
}

#[test]
fn what_is_accepted_is_reconciling_until_all_proxies_have_it() {
    let accepted = is("Accepted", "True", "Accepted");
    let rule = |progress| of(&[], progress, Pace::WaitsForNobody);
    assert_eq!(
        rule(so_many(2, 3)),
        [
            accepted.clone(),
            is("Programmed", "False", "Pending"),
            is("Reconciling", "True", "Pending")
        ]
    );
    assert_eq!(
        rule(so_many(3, 3)),
        [accepted.clone(), is("Programmed", "True", "Programmed")]
    );
    // A rule is done where nobody is there; a gateway whose pods are its own is not.
    let nobody = is("Programmed", "Unknown", "NoProxies");
    assert_eq!(rule(so_many(0, 0)), [accepted.clone(), nobody.clone()]);
    assert_eq!(
        of(&[], so_many(0, 0), Pace::WaitsFor(1)),
        [accepted, nobody, is("Reconciling", "True", "NoProxies")]
    );
}

#[test]
fn what_is_refused_is_stalled_and_says_what_became_of_the_rules_before() {
    let error = finding(Code::InvalidExpression, "no field shoe");
    let refused = is("Accepted", "False", "InvalidExpression");
    let stalled = is("Stalled", "True", "InvalidExpression");
    assert_eq!(
        of(&[&error], so_many(2, 2), Pace::WaitsForNobody),
        [
            refused.clone(),
            is("Programmed", "False", "KeptPrevious"),
            stalled.clone()
        ]
    );
    assert_eq!(
        of(&[&error], None, Pace::WaitsForNobody),
        [refused, is("Programmed", "False", "Invalid"), stalled]
    );
}

#[test]
fn warnings_are_conditions_of_their_own() {
    let warning = Diagnostic::warning(Code::LimitsLocal, "each of 2 replicas counts alone");
    let all = of(&[&warning], so_many(1, 1), Pace::WaitsForNobody);
    assert_eq!(all.last(), Some(&is("LimitsLocal", "True", "LimitsLocal")));
}

#[test]
fn times_change_with_the_status_alone() {
    let known = |progress| Known {
        generation: 1,
        findings: &[],
        progress,
        pace: Pace::WaitsForNobody,
        more: Vec::new(),
    };
    let first = status(&known(so_many(0, 1)), None, "2026-06-01T00:00:00Z");
    let second = status(&known(so_many(1, 1)), Some(&first), "2026-06-02T00:00:00Z");
    let third = status(&known(so_many(2, 2)), Some(&second), "2026-06-03T00:00:00Z");
    let time = |status: &Status, type_| {
        let found = status.conditions.iter().find(|each| each.type_ == type_);
        found.unwrap().last_transition_time.clone()
    };
    assert_eq!(time(&third, "Accepted"), "2026-06-01T00:00:00Z");
    assert_eq!(time(&third, "Programmed"), "2026-06-02T00:00:00Z");
    assert_eq!(third.programmed.as_deref(), Some("2/2"));
}

#[test]
fn progress_counts_those_who_have_it_or_something_later() {
    let has = |generation| Report {
        in_force: Some(revision(generation)),
        ..Report::default()
    };
    let refused = Report {
        refused: Some(Refused {
            revision: revision(8),
            why: "a port is taken".to_owned(),
        }),
        ..has(5)
    };
    let proxies: BTreeMap<String, Arc<Report>> = [
        ("a", has(7)),
        ("b", has(9)),
        ("c", refused),
        ("d", Report::default()),
    ]
    .into_iter()
    .map(|(name, report)| (name.to_owned(), Arc::new(report)))
    .collect();
    let at = |since| progress(since, None, Some(&proxies), Needs::Rule);
    assert_eq!(at(7).to_string(), "2/4");
    assert_eq!(
        at(8).refused.as_deref(),
        Some("the proxy c did not take it: a port is taken")
    );
    assert_eq!((at(5).to_string(), at(5).refused), ("3/4".to_owned(), None));
    assert_eq!(progress(1, None, None, Needs::Rule).to_string(), "0/0");
}

#[test]
fn a_gateway_waits_for_its_secrets_and_says_which() {
    let report = Report {
        in_force: Some(revision(7)),
        pending: vec!["mail-tls".to_owned()],
        ..Report::default()
    };
    let proxies = BTreeMap::from([("a".to_owned(), Arc::new(report))]);
    assert_eq!(
        progress(7, None, Some(&proxies), Needs::Rule).to_string(),
        "1/1"
    );
    let lacking = progress(7, None, Some(&proxies), Needs::RuleAndSecrets);
    assert_eq!(
        (lacking.to_string(), lacking.lacks.as_deref()),
        ("0/1".to_owned(), Some("mail-tls"))
    );
    assert_eq!(
        of(&[], Some(lacking), Pace::WaitsFor(1))[2],
        is("Reconciling", "True", "Pending")
    );
}

#[test]
fn what_cannot_be_written_is_not_ready_however_many_proxies_there_are() {
    let known = Known {
        generation: 1,
        findings: &[],
        progress: so_many(3, 3),
        pace: Pace::WaitsFor(3),
        more: vec![Aspect::fails("Programmed", "WriteFailed", "a quota")],
    };
    let status = status(&known, None, "2026-06-01T00:00:00Z");
    let reconciling = status
        .conditions
        .iter()
        .find(|each| each.type_ == "Reconciling")
        .unwrap();
    assert_eq!(
        (reconciling.reason.as_str(), reconciling.message.as_str()),
        ("WriteFailed", "a quota")
    );
}

fn revision(generation: u64) -> Revision {
    Revision {
        generation,
        digest: String::new(),
    }
}
