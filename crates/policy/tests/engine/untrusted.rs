//! A source whose address is not the client's own: no rule goes by it, and each says so.

use sekisho_policy::Millis;
use sekisho_policy::decision::Said;
use sekisho_policy::event::*;
use sekisho_policy::explain::{Applicability, Skip};
use sekisho_policy::expr::{Comparison, Expr, Field, Value};
use sekisho_policy::snapshot::*;

use crate::support::*;

const WHY: &str = "not judged: source untrusted";

fn untrusted(at: At) -> At {
    at.session(|session| session.source.trust = SourceTrust::Untrusted)
}

fn limit(key: &[KeyPart], unit: Unit) -> RateLimit {
    RateLimit {
        key: key.to_vec(),
        limits: vec![Limit {
            unit,
            count: 1,
            per: Millis::HOUR,
        }],
        overrides: Vec::new(),
        own_limits: OwnLimits::default(),
        on_exceed: OnExceed::Defer,
        restrict: None,
        on_unavailable: OnCountersUnavailable::LocalOnly,
    }
}

fn one(spec: RuleSpec, applies: Match) -> World {
    World::new(vec![Rule {
        applies,
        ..rule("r", spec)
    }])
}

/// What is limited to one refuses the second; the key says whether the address has a part in it.
#[test]
fn keys_that_follow_from_the_address_do_not_count() {
    for (key, acts) in [
        (vec![KeyPart::Account], true),
        (vec![KeyPart::SenderDomain], true),
        (vec![KeyPart::Gateway], true),
        (vec![KeyPart::Source], false),
        (vec![KeyPart::SourcePrefix], false),
        (vec![KeyPart::Asn], false),
        (vec![KeyPart::Country], false),
        (vec![KeyPart::Account, KeyPart::Source], false),
    ] {
        for trusted in [true, false] {
            let world = one(
                RuleSpec::RateLimit(limit(&key, Unit::Recipients)),
                Match::default(),
            );
            let event = if trusted {
                rcpt("b@example.net")
            } else {
                untrusted(rcpt("b@example.net"))
            };
            world.judge(&event.0);
            let second = world.judge(&event.0);
            let refuses = acts || trusted;
            assert_eq!(code(&second) != "ok", refuses, "{key:?} {trusted}");
            if !refuses {
                let found = finding(&second, "spec.key");
                assert_eq!((found.said, &*found.saw), (Said::Unjudged, WHY), "{key:?}");
                let explained = world.rules.explain(&event.0);
                assert_eq!(
                    explained[0].1,
                    Applicability::Skipped(Skip::SourceUntrusted)
                );
            }
        }
    }
}

#[test]
fn matches_by_address_do_not_hold_and_are_not_missed_either() {
    let by_network = Match {
        networks: vec!["0.0.0.0/0".parse().unwrap()],
        ..Match::default()
    };
    let by_country = Match {
        countries: vec![country("JP")],
        ..Match::default()
    };
    for (applies, part) in [(by_network, "spec.match"), (by_country, "spec.match")] {
        let spec = RuleSpec::RateLimit(limit(&[KeyPart::Account], Unit::Recipients));
        let world = one(spec, applies.clone());
        let event = untrusted(rcpt("b@example.net"));
        world.judge(&event.0);
        let second = world.judge(&event.0);
        assert_eq!(code(&second), "ok");
        assert_eq!(&*finding(&second, part).saw, WHY);
        // What else speaks against the rule comes first: it would not have applied anyway.
        let spec = RuleSpec::RateLimit(limit(&[KeyPart::Account], Unit::Recipients));
        let other = Match {
            accounts: vec!["somebody@example.jp".into()],
            ..applies
        };
        let world = one(spec, other);
        assert_eq!(world.judge(&event.0).findings, []);
    }
}

#[test]
fn an_expression_does_not_know_the_address() {
    let is_not = |field, value: &str| {
        let whose = Expr::Compare(field, Comparison::Eq, Value::Text(value.into()));
        Match {
            when: Some(Expr::Not(Box::new(whose))),
            ..Match::default()
        }
    };
    for applies in [
        is_not(Field::SourceCountry, "BR"),
        is_not(Field::SourceAddress, "192.0.2.1"),
    ] {
        let spec = RuleSpec::RateLimit(limit(&[KeyPart::Account], Unit::Recipients));
        let world = one(spec, applies);
        let known = rcpt("b@example.net");
        let explain = |at: &At| world.rules.explain(&at.0)[0].1;
        assert_eq!(
            explain(&known),
            Applicability::Applies(Enforcement::Enforce)
        );
        assert_eq!(
            explain(&untrusted(known)),
            Applicability::Skipped(Skip::WhenUnknown)
        );
    }
}

#[test]
fn countries_refuse_nobody() {
    for from in [
        From::Unknown,
        From::Except(vec![country("JP")]),
        From::Countries(vec![country("BR")]),
    ] {
        let mut spec = abroad();
        spec.from = from;
        spec.login = LoginFrom::Refuse;
        let world = one(RuleSpec::CountryRule(spec), Match::default());
        for code_ in ["BR", ""] {
            let decision = world.judge(&untrusted(login("a@example.jp").from(code_)).0);
            assert_eq!(code(&decision), "ok", "{code_}");
            let found = finding(&decision, "spec.from");
            assert_eq!((found.said, &*found.saw), (Said::Unjudged, WHY));
        }
    }
}

fn guard() -> LoginGuard {
    LoginGuard {
        per_account: Some(PerAccount {
            distinct_passwords: 3,
            per: Millis::HOUR,
            lock: Millis::HOUR,
        }),
        per_source: Some(PerSource {
            distinct_accounts: Some(2),
            failed_pairs: None,
            per: Millis::HOUR,
            lock: Millis::HOUR,
            ipv4_prefix: 32,
            ipv6_prefix: 64,
        }),
        per_account_and_source: Some(PerPair {
            failures: 1,
            per: Millis::HOUR,
            lock: Millis::HOUR,
        }),
        lock_growth: 1,
        max_lock: Millis::HOUR,
        known_good: KnownGood::default(),
        decoys: Some(Decoys {
            accounts: vec!["admin@example.jp".into()],
            action: DecoyAction::LockSource,
        }),
    }
}

/// One guesser behind a load balancer does not lock out everybody behind it; the account's own lock still works.
#[test]
fn a_shared_address_is_not_locked() {
    let world = one(RuleSpec::LoginGuard(guard()), Match::default());
    world.judge(&untrusted(login("admin@example.jp")).0);
    for name in ["v@example.jp", "w@example.jp", "x@example.jp"] {
        world.judge(&untrusted(failed(name, Some(1))).0);
    }
    let decision = world.judge(&untrusted(login("a@example.jp")).0);
    assert_eq!(code(&decision), "ok");
    for part in ["spec.perSource", "spec.perAccountAndSource"] {
        let found = finding(&decision, part);
        assert_eq!((found.said, &*found.saw), (Said::Unjudged, WHY), "{part}");
    }
    // The same with an address that is believed locks.
    world.judge(&login("admin@example.jp").0);
    assert_ne!(code(&world.judge(&login("a@example.jp").0)), "ok");

    let world = one(RuleSpec::LoginGuard(guard()), Match::default());
    for password in 1..=3 {
        world.judge(&untrusted(failed("b@example.jp", Some(password))).0);
    }
    assert_ne!(
        code(&world.judge(&untrusted(login("b@example.jp")).0)),
        "ok"
    );
}

#[test]
fn no_network_becomes_known_good() {
    let mut spec = guard();
    spec.known_good.after_days = 1;
    let world = one(RuleSpec::LoginGuard(spec), Match::default());
    let day = |days: u64| Millis(days * 24 * Millis::HOUR.0);
    let succeeded = |days: u64| at(Stage::LoginSucceeded).after(day(days));
    for days in 0..3 {
        let decision = world.judge(&untrusted(succeeded(days)).0);
        assert_eq!(decision.network, Network::New);
    }
    // Nothing was learned of it, even once it is believed again.
    let asks = |days: u64| login("a@example.jp").after(day(days));
    assert_eq!(world.judge(&asks(3).0).network, Network::New);
    world.judge(&succeeded(3).0);
    assert_eq!(world.judge(&asks(4).0).network, Network::KnownGood);
    assert_eq!(world.judge(&untrusted(asks(4)).0).network, Network::New);
}

/// A replay has the fact, and what was recorded before there was such a fact reads as it did.
#[test]
fn trust_is_part_of_the_event() {
    let trusted = serde_json::to_value(&rcpt("b@example.net").0).unwrap();
    assert_eq!(trusted["session"]["source"].get("trust"), None);
    let event = untrusted(rcpt("b@example.net")).0;
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(json["session"]["source"]["trust"], "Untrusted");
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
}
