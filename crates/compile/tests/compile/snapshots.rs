//! What objects become on the wire.

use sekisho_compile::{ObjectKey, compile};
use sekisho_policy::event::Country;
use sekisho_policy::expr::Expr;
use sekisho_policy::snapshot::{From, ListenerTls, Mechanism, OnExceed, Restrict, RuleSpec, Unit};
use sekisho_policy::{Class, Envelope, Level, Millis, Ruleset, Signal, Snapshot};

use super::load;

pub(crate) const OBJECTS: &str = include_str!("../../../../tests/cases/lint-clean/objects.yaml");

pub(crate) fn snapshot(text: &str) -> Snapshot {
    let loaded = load(text);
    assert_eq!(loaded.diagnostics, []);
    let compiled = compile(
        &loaded.objects,
        &ObjectKey::new("default", "outbound"),
        None,
    );
    compiled.snapshot.unwrap()
}

#[test]
fn every_field_reaches_the_wire() {
    let snapshot = snapshot(OBJECTS);
    let gateway = &snapshot.gateway;
    assert_eq!(gateway.listeners[0].tls, ListenerTls::StartTls);
    assert_eq!(gateway.listeners[0].certificates, ["mail-tls"]);
    assert_eq!(
        gateway.listeners[0].proxy_from.as_ref().unwrap()[0].to_string(),
        "192.0.2.0/28"
    );
    assert_eq!(gateway.listeners[1].proxy_from, None);
    assert_eq!(
        gateway.authentication.mechanisms,
        [Mechanism::Plain, Mechanism::Login]
    );
    assert_eq!(
        gateway.authentication.default_domain.as_deref(),
        Some("example.jp")
    );
    assert_eq!(
        gateway.upstream.endpoints[0].address.to_string(),
        "postfix.mail:25"
    );
    assert_eq!(gateway.home, [Country::parse(*b"JP").unwrap()]);
    assert_eq!(gateway.after_data.0, 45_000);
    assert_eq!(
        gateway.country_database.as_deref(),
        Some("geo/country.mmdb")
    );
    let kinds: Vec<String> = snapshot
        .rules
        .iter()
        .map(|rule| rule.object.to_string())
        .collect();
    assert_eq!(
        kinds,
        [
            "SubmissionPolicy/default/submission",
            "CountryRule/default/abroad",
            "LoginGuard/default/passwords",
            "RateLimit/default/per-account",
            "AbuseRule/default/stolen",
        ]
    );
    assert_eq!(
        snapshot.pools.keys().collect::<Vec<_>>(),
        ["clean-pool", "slow-pool", "spam-pool"]
    );
    assert_eq!(
        snapshot.pools["spam-pool"].members[0]
            .relay
            .as_ref()
            .unwrap()
            .address
            .to_string(),
        "postfix-spam.mail:25"
    );
}

#[test]
fn a_limit_that_restricts_is_lowered_and_can_be_put_in_force() {
    let restricts =
        "onExceed: Restrict\n  restrict: { level: Limit, for: 6h, recipientsPerHour: 5 }";
    let snapshot = snapshot(&OBJECTS.replacen("onExceed: Defer", restricts, 1));
    let mut limits = snapshot.rules.iter().filter_map(|rule| match &rule.spec {
        RuleSpec::RateLimit(limit) => Some(limit),
        _ => None,
    });
    let limit = limits.next().unwrap();
    assert_eq!(limit.on_exceed, OnExceed::Restrict);
    let expected = Restrict {
        level: Level::Limit,
        term: Some(Millis(6 * Millis::HOUR.0)),
        recipients_per_hour: Some(5),
        growth: 2,
        max_for: Millis(30 * Millis::DAY.0),
    };
    assert_eq!(limit.restrict, Some(expected));
    Ruleset::load(&Envelope::seal(1, snapshot.clone())).unwrap();
}

#[test]
fn names_are_canonical_and_abroad_is_lowered() {
    let snapshot = snapshot(OBJECTS);
    for rule in &snapshot.rules {
        match &rule.spec {
            RuleSpec::SubmissionPolicy(policy) => {
                assert_eq!(policy.aliases[0].account, "office@example.jp");
                assert_eq!(policy.classify.as_ref().unwrap().spam_at, 10_000);
                assert!(policy.route.contains_key(&Class::Unclassified));
                assert!(policy.blocked_extensions.is_sorted());
            }
            RuleSpec::CountryRule(rule) => {
                assert_eq!(
                    rule.from,
                    From::Except(vec![Country::parse(*b"JP").unwrap()])
                );
                assert_eq!(rule.exempt.reverse_names, [".google.com"]);
                assert_eq!(rule.exempt.accounts, ["director@example.jp"]);
            }
            RuleSpec::LoginGuard(guard) => {
                assert_eq!(
                    guard.decoys.as_ref().unwrap().accounts,
                    ["admin@example.jp"]
                );
            }
            RuleSpec::AbuseRule(abuse) => {
                assert_eq!(abuse.exempt.accounts, ["newsletter@example.jp"]);
                assert_eq!((abuse.decay, abuse.growth), (Millis::DAY, 2));
                let [limit, suspend] = &abuse.ladder[..] else {
                    panic!("two steps, the lower first");
                };
                assert_eq!((limit.at, limit.recipients_per_hour), (60, Some(10)));
                assert_eq!(limit.term, Some(Millis(6 * Millis::HOUR.0)));
                assert_eq!(suspend.requires, [Signal::SpamVerdicts]);
                assert_eq!(suspend.notify[0].url, "https://desk.example.jp/sekisho");
                assert_eq!(suspend.notify[0].secret, "desk");
            }
            RuleSpec::RateLimit(limit) => {
                assert_eq!(limit.limits[0].unit, Unit::Recipients);
                assert_eq!(
                    limit.overrides[0].applies.accounts,
                    ["newsletter@example.jp"]
                );
                assert!(matches!(rule.applies.when, Some(Expr::Compare(..))));
            }
        }
    }
}

#[test]
fn what_is_compiled_can_be_put_in_force() {
    let envelope = Envelope::seal(7, snapshot(OBJECTS));
    let read = Envelope::read(&serde_json::to_vec(&envelope).unwrap()).unwrap();
    assert_eq!(read, envelope);
    assert_eq!(Ruleset::load(&read).unwrap().objects().count(), 5);
}

#[test]
fn a_gateway_that_never_was_valid_has_no_snapshot() {
    let text = "apiVersion: sekisho.dev/v1alpha1\nkind: MailGateway\nmetadata: { name: outbound }\nspec: {}\n";
    let compiled = compile(
        &load(text).objects,
        &ObjectKey::new("default", "outbound"),
        None,
    );
    assert_eq!(compiled.snapshot, None);
}
