//! An invalid object keeps the rules that it had; deleting it removes them.

use sekisho_compile::{Code, Compiled, ObjectKey, compile};
use sekisho_policy::Snapshot;

use super::load;
use super::snapshots::{OBJECTS, snapshot};

fn again(text: &str, previous: &Snapshot) -> Compiled {
    compile(
        &load(text).objects,
        &ObjectKey::new("default", "outbound"),
        Some(previous),
    )
}

fn rules(snapshot: &Snapshot) -> Vec<&str> {
    snapshot
        .rules
        .iter()
        .map(|rule| rule.object.name.as_str())
        .collect()
}

fn kept(compiled: &Compiled) -> Vec<String> {
    let kept = compiled
        .diagnostics
        .iter()
        .filter(|d| d.code == Code::KeptPrevious);
    kept.map(|d| d.object.as_ref().unwrap().to_string())
        .collect()
}

/// The documents of the sample, without those whose text holds `marker`.
fn without(marker: &str) -> String {
    let documents: Vec<&str> = OBJECTS
        .split("---\n")
        .filter(|document| !document.contains(marker))
        .collect();
    documents.join("---\n")
}

#[test]
fn nothing_changes_when_nothing_changes() {
    let before = snapshot(OBJECTS);
    let compiled = again(OBJECTS, &before);
    assert_eq!(compiled.snapshot.unwrap().canonical(), before.canonical());
}

#[test]
fn an_invalid_object_keeps_its_rules() {
    let before = snapshot(OBJECTS);
    for (right, wrong, object) in [
        ("count: 200,", "count: many,", "RateLimit/per-account"),
        (
            "unit: Recipients, count: 200",
            "unit: Recipient, count: 200",
            "RateLimit/per-account",
        ),
        (
            "onExceed: Defer",
            "onExceed: Restrict",
            "RateLimit/per-account",
        ),
        (
            "message.size > 10",
            "message.size >",
            "RateLimit/per-account",
        ),
        (
            "kind: RateLimit\n",
            "kind: RateLimt\n",
            "RateLimit/per-account",
        ),
        ("kind: RateLimit\n", "kind: [\n", "RateLimit/per-account"),
        (
            "metadata: { name: per-account }",
            "metadata: { name: Per_Account }",
            "RateLimit/per-account",
        ),
        ("after: 45s", "after: 45", "MailGateway/outbound"),
        (
            "pool: slow-pool",
            "pool: show-pool",
            "SubmissionPolicy/submission",
        ),
        ("(?i)casino", "(?i)casino(", "SubmissionPolicy/submission"),
        ("lock: 30m", "lock: 25h", "LoginGuard/passwords"),
    ] {
        let right = if right.starts_with("after:") {
            "afterData: 45s"
        } else {
            right
        };
        let wrong = if wrong.starts_with("after:") {
            "afterData: 45"
        } else {
            wrong
        };
        assert!(OBJECTS.contains(right), "{right}");
        let compiled = again(&OBJECTS.replacen(right, wrong, 1), &before);
        let after = compiled
            .snapshot
            .as_ref()
            .unwrap_or_else(|| panic!("{wrong} has no snapshot"));
        assert_eq!(after.canonical(), before.canonical(), "{wrong}");
        assert_eq!(kept(&compiled), [object], "{wrong}");
    }
}

#[test]
fn the_rest_goes_on_changing() {
    let before = snapshot(OBJECTS);
    let text = OBJECTS
        .replace("count: 200,", "count: many,")
        .replace("recipientsPerMessage: 5", "recipientsPerMessage: 4");
    let after = again(&text, &before).snapshot.unwrap();
    assert_eq!(rules(&after), rules(&before));
    assert_ne!(after.canonical(), before.canonical());
}

#[test]
fn a_deleted_object_is_gone() {
    let before = snapshot(OBJECTS);
    let after = again(&without("kind: RateLimit\n"), &before)
        .snapshot
        .unwrap();
    assert_eq!(
        rules(&after),
        ["submission", "abroad", "passwords", "stolen"]
    );
}

#[test]
fn an_object_of_which_there_are_two_keeps_its_rules() {
    let before = snapshot(OBJECTS);
    let limit = OBJECTS
        .split("---\n")
        .find(|document| document.contains("kind: RateLimit\n"))
        .unwrap();
    let text = format!(
        "{OBJECTS}---\n{}",
        limit.replace("count: 200,", "count: 999999,")
    );
    let compiled = again(&text, &before);
    assert_eq!(compiled.snapshot.unwrap().canonical(), before.canonical());
}

#[test]
fn a_typo_in_the_name_of_a_gateway_takes_nothing_away() {
    let before = snapshot(OBJECTS);
    for (kind, object) in [
        ("RateLimit", "RateLimit/per-account"),
        ("SubmissionPolicy", "SubmissionPolicy/submission"),
        ("CountryRule", "CountryRule/abroad"),
        ("LoginGuard", "LoginGuard/passwords"),
    ] {
        let kind = format!("kind: {kind}\n");
        let document = OBJECTS
            .split("---\n")
            .find(|text| text.contains(&kind))
            .unwrap();
        let mistyped = document.replacen("outbound", "outbuond", 1);
        assert_ne!(mistyped, document);
        // What else it says now is not in force here either.
        let mistyped = mistyped.replace("count: 200,", "count: 999999,");
        let compiled = again(&OBJECTS.replace(document, &mistyped), &before);
        let after = compiled.snapshot.as_ref().unwrap();
        assert_eq!(after.canonical(), before.canonical(), "{object}");
        assert_eq!(kept(&compiled), [object]);
        assert!(
            compiled
                .diagnostics
                .iter()
                .any(|d| d.code == Code::TargetNotFound)
        );
    }
}

#[test]
fn a_pool_that_a_policy_needs_stays() {
    let before = snapshot(OBJECTS);
    let compiled = again(&without("name: spam-pool }"), &before);
    let after = compiled.snapshot.as_ref().unwrap();
    assert_eq!(after.canonical(), before.canonical());
    assert_eq!(
        kept(&compiled),
        ["SubmissionPolicy/submission", "EgressPool/spam-pool"]
    );
}

#[test]
fn without_a_past_an_invalid_object_gives_nothing() {
    let text = OBJECTS.replace("count: 200,", "count: many,");
    let compiled = compile(
        &load(&text).objects,
        &ObjectKey::new("default", "outbound"),
        None,
    );
    assert_eq!(
        rules(&compiled.snapshot.unwrap()),
        ["submission", "abroad", "passwords", "stolen"]
    );
}

#[test]
fn the_oldest_policy_applies() {
    let policy = |name: &str, created: &str| {
        format!(
            "---\napiVersion: sekisho.dev/v1alpha1\nkind: SubmissionPolicy\nmetadata: {{ name: {name}{created} }}\n\
             spec: {{ targetRefs: [{{ name: outbound }}] }}\n"
        )
    };
    let base = without("kind: SubmissionPolicy");
    let winner = |texts: &[String]| {
        let loaded = load(&format!("{base}{}", texts.concat()));
        assert_eq!(loaded.diagnostics, []);
        let compiled = compile(
            &loaded.objects,
            &ObjectKey::new("default", "outbound"),
            None,
        );
        let conflicts = compiled
            .diagnostics
            .iter()
            .filter(|d| d.code == Code::Conflicted)
            .count();
        assert_eq!(conflicts, texts.len() - 1);
        compiled.snapshot.unwrap().rules[0].object.name.clone()
    };
    let (b, a) = (policy("b", ""), policy("a", ""));
    assert_eq!(winner(&[b.clone(), a.clone()]), "a");
    let old = policy("c", ", creationTimestamp: \"2024-01-01T00:00:00Z\"");
    let new = policy("d", ", creationTimestamp: \"2025-01-01T00:00:00Z\"");
    assert_eq!(winner(&[new.clone(), old, a]), "c");
    assert_eq!(winner(&[b, new]), "d");
}
