//! What a snapshot must be to be put in force, and how an envelope is read.

use sekisho_policy::error::LoadError;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Ruleset};

use crate::support::*;

fn load(change: impl FnOnce(&mut Snapshot)) -> Result<Ruleset, LoadError> {
    let limits = rate(
        &[KeyPart::Account],
        &[limit(Unit::Messages, 1, Millis::HOUR)],
    );
    let mut snapshot = snapshot(vec![
        rule("policy", RuleSpec::SubmissionPolicy(policy())),
        rule("limit", RuleSpec::RateLimit(limits)),
        rule("abroad", RuleSpec::CountryRule(abroad())),
    ]);
    change(&mut snapshot);
    Ruleset::load(&envelope(snapshot))
}

fn policy_of(snapshot: &mut Snapshot) -> &mut SubmissionPolicy {
    let RuleSpec::SubmissionPolicy(policy) = &mut snapshot.rules[0].spec else {
        panic!("the first is the policy")
    };
    policy
}

fn limit_of(snapshot: &mut Snapshot) -> &mut RateLimit {
    let RuleSpec::RateLimit(rate) = &mut snapshot.rules[1].spec else {
        panic!("the second is the limit")
    };
    rate
}

fn pattern(matches: &str) -> Option<Classify> {
    let rule = ContentRule {
        name: "casino".into(),
        header: Some("Subject".into()),
        matches: matches.into(),
        score: 1,
    };
    Some(Classify {
        applies_to: AppliesTo::Everyone,
        engines: Vec::new(),
        rules: vec![rule],
        suspect_at: 1,
        spam_at: 2,
    })
}

#[test]
fn errors_name_the_object_and_the_place() {
    type Change = fn(&mut Snapshot);
    let cases: [(Change, &str); 16] = [
        (
            |snapshot| {
                let limit = limit_of(snapshot).limits[0];
                limit_of(snapshot).limits.push(Limit { count: 9, ..limit });
            },
            "RateLimit/mail/limit: spec.limits: Messages per 1h is there twice",
        ),
        (
            |snapshot| snapshot.schema = SCHEMA + 1,
            "schema 2 is not one",
        ),
        (|snapshot| snapshot.schema = 0, "schema 0 is not one"),
        (
            |snapshot| snapshot.rules.push(snapshot.rules[1].clone()),
            "RateLimit/mail/limit is there twice",
        ),
        (
            |snapshot| {
                snapshot
                    .rules
                    .push(rule("second", RuleSpec::SubmissionPolicy(policy())))
            },
            "SubmissionPolicy/mail/policy and SubmissionPolicy/mail/second: one SubmissionPolicy applies to a gateway",
        ),
        (
            |snapshot| snapshot.rules[1].object.kind = Kind::LoginGuard,
            "LoginGuard/mail/limit holds the rules of a RateLimit",
        ),
        (
            |snapshot| {
                drop(
                    policy_of(snapshot)
                        .route
                        .insert(Default::default(), RouteTo::Pool("gone".into())),
                )
            },
            "SubmissionPolicy/mail/policy: spec.route names the pool \"gone\"",
        ),
        (
            |snapshot| policy_of(snapshot).classify = pattern("(unclosed"),
            "SubmissionPolicy/mail/policy: spec.classify.rules[casino]: ",
        ),
        (
            |snapshot| policy_of(snapshot).classify = pattern(r"\w{1000}{1000}"),
            "SubmissionPolicy/mail/policy: spec.classify.rules[casino]: ",
        ),
        (
            |snapshot| policy_of(snapshot).classify = pattern(&"x".repeat(1025)),
            "SubmissionPolicy/mail/policy: spec.classify.rules[casino]: ",
        ),
        (
            |snapshot| {
                policy_of(snapshot).aliases = vec![Alias {
                    account: "a@x".into(),
                    addresses: vec!["nobody".into()],
                }]
            },
            "SubmissionPolicy/mail/policy: spec.sender.aliases: \"nobody\" is no address",
        ),
        (
            |snapshot| limit_of(snapshot).key.clear(),
            "RateLimit/mail/limit: spec.key: ",
        ),
        (
            |snapshot| limit_of(snapshot).limits[0].per = Millis(0),
            "RateLimit/mail/limit: spec.limits: ",
        ),
        (
            |snapshot| limit_of(snapshot).key = vec![KeyPart::RecipientDomain],
            "RateLimit/mail/limit: spec.limits: ",
        ),
        (
            |snapshot| snapshot.pools.get_mut("clean").unwrap().members.clear(),
            "EgressPool/mail/clean: spec.members: ",
        ),
        (
            |snapshot| {
                let RuleSpec::CountryRule(abroad) = &mut snapshot.rules[2].spec else {
                    return;
                };
                abroad.exempt.reverse_names = vec![".".into()];
            },
            "CountryRule/mail/abroad: spec.exempt.reverseNames: ",
        ),
    ];
    for (change, expected) in cases {
        let error = load(change).unwrap_err().to_string();
        assert!(
            error.starts_with(expected),
            "{error:?} does not begin with {expected:?}"
        );
    }
    let rules = load(|_| {}).unwrap();
    assert_eq!(rules.generation(), 1);
    assert_eq!(rules.objects().count(), 3);
    assert_eq!(rules.pools().count(), 3);
    assert_eq!(
        rules.brake(&object(Kind::RateLimit, "limit")),
        Some(Brake::Default)
    );
    assert_eq!(rules.brake(&object(Kind::RateLimit, "other")), None);
}

#[test]
fn an_envelope_is_read_as_it_was_sealed() {
    let sealed = envelope(snapshot(vec![rule(
        "policy",
        RuleSpec::SubmissionPolicy(policy()),
    )]));
    assert_eq!(sealed.digest.len(), 64);
    let json = serde_json::to_vec(&sealed).unwrap();
    assert_eq!(Envelope::read(&json).unwrap(), sealed);
    // Another order of keys and white space is the same body.
    let loose = serde_json::to_vec_pretty(&serde_json::to_value(&sealed).unwrap()).unwrap();
    assert_eq!(Envelope::read(&loose).unwrap(), sealed);
}

#[test]
fn a_newer_description_is_ignored_and_a_newer_rule_is_not() {
    let sealed = envelope(snapshot(vec![rule(
        "policy",
        RuleSpec::SubmissionPolicy(policy()),
    )]));
    let digest_of = |value: &serde_json::Value| match Envelope::read(value.to_string().as_bytes()) {
        Err(LoadError::Digest { actual, .. }) => actual,
        other => panic!("{other:?}"),
    };
    let mut newer = serde_json::to_value(&sealed).unwrap();
    newer["snapshot"]["rules"][0]["comment"] = "from tomorrow".into();
    newer["digest"] = digest_of(&newer).into();
    assert_eq!(
        Envelope::read(newer.to_string().as_bytes())
            .unwrap()
            .snapshot,
        sealed.snapshot
    );
    newer["snapshot"]["rules"][0]["rule"] = "Telepathy".into();
    newer["digest"] = digest_of(&newer).into();
    let error = Envelope::read(newer.to_string().as_bytes()).unwrap_err();
    assert!(
        matches!(&error, LoadError::Parse(why) if why.contains("Telepathy")),
        "{error}"
    );
}

#[test]
fn a_changed_body_is_refused() {
    let sealed = envelope(snapshot(Vec::new()));
    let json = serde_json::to_string(&sealed)
        .unwrap()
        .replace("\"postfix\"", "\"elsewhere\"");
    assert!(matches!(
        Envelope::read(json.as_bytes()),
        Err(LoadError::Digest { .. })
    ));
    assert!(matches!(Envelope::read(b"{"), Err(LoadError::Parse(_))));
}

/// Every rule kind survives its JSON, with all that is optional set.
#[test]
fn snapshots_survive_their_json() {
    let full = crate::properties::busy_snapshot();
    let json = serde_json::to_vec(&envelope(full.clone())).unwrap();
    assert_eq!(Envelope::read(&json).unwrap().snapshot, full);
}
