//! CountryRule: what a source country changes, and whom it spares.

use sekisho_policy::decision::{Class, Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Need};

use crate::support::*;

fn world(change: impl FnOnce(&mut CountryRule)) -> World {
    let mut spec = abroad();
    change(&mut spec);
    World::new(vec![rule("abroad", RuleSpec::CountryRule(spec))])
}

fn refusing(exempt: Exempt) -> World {
    world(|spec| {
        spec.login = LoginFrom::Refuse;
        spec.exempt = exempt;
    })
}

#[test]
fn which_sources_it_is_about() {
    let list = || vec![country("JP"), country("KR")];
    for (from, home, other, unknown) in [
        (From::Countries(list()), "535 5.7.8", "ok", "ok"),
        (From::Except(list()), "ok", "535 5.7.8", "ok"),
        (From::Unknown, "ok", "ok", "535 5.7.8"),
    ] {
        let world = world(|spec| {
            spec.from = from.clone();
            spec.login = LoginFrom::Refuse;
        });
        for (code_, expected) in [("KR", home), ("BR", other), ("", unknown)] {
            assert_eq!(
                code(&world.judge(&login("a@example.jp").from(code_).0)),
                expected,
                "{from:?} {code_}"
            );
        }
    }
}

/// Refused without looking at the password, in the very words of a wrong one.
#[test]
fn a_refused_login_is_no_oracle() {
    let world = refusing(Exempt::default());
    let refused = world.judge(&login("a@example.jp").from("BR").0);
    let wrong = world.judge(&failed("a@example.jp", Some(1)).from("BR").0);
    let (refused, wrong) = (
        refused.verdict.refusal().unwrap(),
        wrong.verdict.refusal().unwrap(),
    );
    assert_eq!(
        (refused.code, refused.enhanced, &refused.text),
        (wrong.code, wrong.enhanced, &wrong.text)
    );
    assert_eq!(
        (refused.reason, wrong.reason),
        (Reason::CountryRefused, Reason::WrongPassword)
    );
}

#[test]
fn exemptions() {
    let world = refusing(Exempt {
        networks: vec!["198.51.100.0/24".parse().unwrap()],
        asns: vec![64501],
        reverse_names: vec![".google.com".into()],
        accounts: vec!["*@travel.example.jp".into()],
    });
    let names = |names: &[&str]| {
        Fact::Known(
            names
                .iter()
                .map(|&name| name.into())
                .collect::<Vec<Box<str>>>(),
        )
    };
    let there = || login("a@example.jp").from("BR");
    let named =
        |fact: Fact<Vec<Box<str>>>| there().session(|session| session.source.reverse_names = fact);
    for (what, event, expected) in [
        ("nobody", there(), "535 5.7.8"),
        ("network", there().source("198.51.100.77"), "ok"),
        (
            "asn",
            there().session(|session| session.source.asn = Some(64501)),
            "ok",
        ),
        ("account", login("b@travel.example.jp").from("BR"), "ok"),
        ("name", named(names(&["mail-x.google.com"])), "ok"),
        ("the suffix itself", named(names(&["google.com"])), "ok"),
        (
            "case and final dot",
            named(names(&["MAIL.Google.COM."])),
            "ok",
        ),
        (
            "second name",
            named(names(&["x.example", "a.google.com"])),
            "ok",
        ),
        (
            "no label boundary",
            named(names(&["evilgoogle.com"])),
            "535 5.7.8",
        ),
        (
            "below another",
            named(names(&["google.com.evil.test"])),
            "535 5.7.8",
        ),
        ("no name", named(names(&[])), "535 5.7.8"),
        ("DNS failed", named(Fact::Unavailable), "535 5.7.8"),
    ] {
        let decision = world.judge(&event.0);
        assert_eq!(code(&decision), expected, "{what}");
        if expected == "ok" {
            assert_eq!(said(&decision, "spec.exempt"), Said::Exempt, "{what}");
        }
    }
}

#[test]
fn reverse_names_are_asked_only_where_they_could_spare() {
    let suffixes = Exempt {
        reverse_names: vec![".google.com".into()],
        networks: vec!["198.51.100.0/24".parse().unwrap()],
        ..Exempt::default()
    };
    let world = refusing(suffixes.clone());
    let asked = |event: &At| world.rules.needs(&event.0).contains(Need::ReverseNames);
    let there = login("a@example.jp").from("BR");
    assert!(asked(&there));
    assert!(!asked(&login("a@example.jp")), "home");
    assert!(
        !asked(&there.clone().source("198.51.100.1")),
        "exempt already"
    );
    assert!(
        !asked(&there.session(|session| session.source.reverse_names = Fact::Unavailable)),
        "asked already"
    );
    assert!(
        !asked(&at(Stage::Mail).from("BR")),
        "nothing to spare from at MAIL"
    );
    let mut off = rule(
        "abroad",
        RuleSpec::CountryRule(CountryRule {
            login: LoginFrom::Refuse,
            exempt: suffixes,
            ..abroad()
        }),
    );
    off.enforcement = Enforcement::Off;
    assert!(
        World::new(vec![off])
            .rules
            .needs(&login("a@example.jp").from("BR").0)
            .is_empty()
    );
}

#[test]
fn senders_and_recipients_from_there() {
    let world = world(|spec| {
        spec.sender = SenderCheck::MustMatchAccount;
        spec.recipients_per_message = Some(5);
        spec.class_at_least = Some(Class::Suspect);
        spec.exempt.accounts = vec!["free@example.jp".into()];
    });
    let full = || rcpt("x@example.org").transaction(|transaction| transaction.recipients = 5);
    let forged = || headers(FromHeader::One(address("b@example.jp")));
    for (what, event, there) in [
        (
            "envelope",
            at(Stage::Mail).sender("b@example.jp"),
            "550 5.7.1",
        ),
        ("own envelope", at(Stage::Mail), "ok"),
        ("header", forged(), "550 5.7.1"),
        ("own header", own_headers(), "ok"),
        (
            "fifth",
            rcpt("x@example.org").transaction(|transaction| transaction.recipients = 4),
            "ok",
        ),
        ("sixth", full(), "452 4.5.3"),
        (
            "null sender, second",
            rcpt("x@example.org")
                .sender("")
                .transaction(|transaction| transaction.recipients = 1),
            "452 4.5.3",
        ),
    ] {
        assert_eq!(
            code(&world.judge(&event.clone().from("BR").0)),
            there,
            "{what}"
        );
        assert_eq!(
            code(&world.judge(&event.clone().from("JP").0)),
            "ok",
            "{what} at home"
        );
        assert_eq!(
            code(&world.judge(&event.account("free@example.jp").from("BR").0)),
            "ok",
            "{what}, exempt"
        );
    }
    for event in [at(Stage::Mail), own_headers()] {
        assert_eq!(
            world.judge(&event.clone().from("BR").0).class,
            Class::Suspect
        );
        assert_eq!(
            world.judge(&event.clone().from("JP").0).class,
            Class::Unclassified
        );
        assert_eq!(
            world
                .judge(&event.account("free@example.jp").from("BR").0)
                .class,
            Class::Unclassified
        );
    }
}

/// The aliases of the SubmissionPolicy belong to the account for this rule too.
#[test]
fn aliases_count_abroad() {
    let mut spec = policy();
    spec.aliases = vec![Alias {
        account: "a@example.jp".into(),
        addresses: vec!["info@example.jp".into()],
    }];
    let strict = CountryRule {
        sender: SenderCheck::MustMatchAccount,
        ..abroad()
    };
    let world = World::new(vec![
        rule("p", RuleSpec::SubmissionPolicy(spec)),
        rule("abroad", RuleSpec::CountryRule(strict)),
    ]);
    assert_eq!(
        code(&world.judge(&at(Stage::Mail).sender("info@example.jp").from("BR").0)),
        "ok"
    );
    assert_eq!(
        code(&world.judge(&at(Stage::Mail).sender("other@example.jp").from("BR").0)),
        "550 5.7.1"
    );
}

#[test]
fn limits_from_there_are_by_account_and_spare_nobody() {
    let world = world(|spec| {
        spec.limits = vec![limit(Unit::Recipients, 2, Millis::DAY)];
        spec.exempt.accounts = vec!["*".into()];
    });
    let there =
        |account: &str| code(&world.judge(&rcpt("x@example.org").account(account).from("BR").0));
    assert_eq!(there("a@example.jp"), "ok");
    assert_eq!(there("a@example.jp"), "ok");
    assert_eq!(there("a@example.jp"), "450 4.7.1");
    assert_eq!(there("b@example.jp"), "ok", "another account");
    assert_eq!(
        code(&world.judge(&rcpt("x@example.org").from("JP").0)),
        "ok",
        "at home"
    );
    // Nobody is logged in: by source.
    let anonymous =
        |ip: &str| code(&world.judge(&rcpt("x@example.org").anonymous().from("BR").source(ip).0));
    let codes = ["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(anonymous);
    assert_eq!(codes, ["ok", "ok", "450 4.7.1", "ok"]);
}

#[test]
fn a_tripped_rule_only_observes() {
    let mut event = login("a@example.jp").from("BR").0;
    event.tripped = vec![object(Kind::CountryRule, "abroad")];
    let decision = refusing(Exempt::default()).judge(&event);
    assert_eq!(code(&decision), "ok");
    let seen = finding(&decision, "spec.then.login");
    assert_eq!(
        (seen.said, seen.enforcement),
        (Said::Reject(Reason::CountryRefused), Enforcement::Shadow)
    );
    // `brake: Off` keeps it from tripping.
    let mut stubborn = rule(
        "abroad",
        RuleSpec::CountryRule(CountryRule {
            login: LoginFrom::Refuse,
            ..abroad()
        }),
    );
    stubborn.brake = Brake::Off;
    assert_eq!(code(&World::new(vec![stubborn]).judge(&event)), "535 5.7.8");
}
