//! To what rules apply, and why they do not: `match`, `when`, and `explain`.

use sekisho_policy::explain::{Applicability, Skip};
use sekisho_policy::expr::{Comparison, Expr, Field, MAX_NODES, TextTest, Value};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Ruleset};

use crate::support::*;

/// Whether a limit with this match applies to the event.
fn verdict(applies: Match, event: &At) -> Applicability {
    let mut limited = rule(
        "limit",
        RuleSpec::RateLimit(rate(
            &[KeyPart::Source],
            &[limit(Unit::Recipients, 1, Millis::HOUR)],
        )),
    );
    limited.applies = applies;
    let world = World::new(vec![limited]);
    let found = world.rules.explain(&event.0)[0].1;
    // What explain says is what plan does.
    assert_eq!(
        matches!(found, Applicability::Applies(_)),
        !world.rules.plan(&event.0).ops().is_empty()
    );
    found
}

fn when(expr: Expr, event: &At) -> Applicability {
    verdict(
        Match {
            when: Some(expr),
            ..Match::default()
        },
        event,
    )
}

const APPLIES: Applicability = Applicability::Applies(Enforcement::Enforce);
const FALSE: Applicability = Applicability::Skipped(Skip::When);
const UNKNOWN: Applicability = Applicability::Skipped(Skip::WhenUnknown);

#[test]
fn each_list_must_hold() {
    let event = rcpt("x@example.org");
    let accounts = |globs: &[&str]| Match {
        accounts: globs.iter().map(|&glob| glob.into()).collect(),
        ..Match::default()
    };
    let networks = |nets: &[&str]| Match {
        networks: nets.iter().map(|net| net.parse().unwrap()).collect(),
        ..Match::default()
    };
    let listeners = |names: &[&str]| Match {
        listeners: names.iter().map(|&name| name.into()).collect(),
        ..Match::default()
    };
    let countries = |codes: &[&str]| Match {
        countries: codes.iter().map(|code| country(code)).collect(),
        ..Match::default()
    };
    for (applies, expected) in [
        (Match::default(), APPLIES),
        (accounts(&["b@*", "a@example.jp"]), APPLIES),
        (
            accounts(&["*@example.com"]),
            Applicability::Skipped(Skip::Account),
        ),
        (networks(&["10.0.0.0/8", "203.0.113.0/24"]), APPLIES),
        (
            networks(&["203.0.112.0/24", "::/0"]),
            Applicability::Skipped(Skip::Network),
        ),
        (listeners(&["webmail", "submission"]), APPLIES),
        (
            listeners(&["webmail"]),
            Applicability::Skipped(Skip::Listener),
        ),
        (countries(&["KR", "JP"]), APPLIES),
        (countries(&["KR"]), Applicability::Skipped(Skip::Country)),
        (
            Match {
                accounts: vec!["*@example.com".into()],
                ..networks(&["203.0.113.0/24"])
            },
            Applicability::Skipped(Skip::Account),
        ),
    ] {
        assert_eq!(verdict(applies.clone(), &event), expected, "{applies:?}");
    }
    assert_eq!(
        verdict(countries(&["JP"]), &event.clone().from("")),
        Applicability::Skipped(Skip::Country),
        "unknown country"
    );
    assert_eq!(
        verdict(accounts(&["*"]), &event.anonymous()),
        Applicability::Skipped(Skip::Account),
        "nobody is nobody"
    );
}

fn compare(field: Field, comparison: Comparison, value: impl Into<V>) -> Expr {
    Expr::Compare(field, comparison, value.into().0)
}

struct V(Value);

impl core::convert::From<i64> for V {
    fn from(number: i64) -> Self {
        Self(Value::Int(number))
    }
}

impl core::convert::From<&str> for V {
    fn from(text: &str) -> Self {
        Self(Value::Text(text.into()))
    }
}

#[test]
fn every_field_has_its_value() {
    let event = rcpt("X@example.org").transaction(|transaction| {
        transaction.declared_size = Some(500);
        transaction.recipients = 3;
    });
    for (field, value) in [
        (Field::AccountName, V::from("a@example.jp")),
        (Field::AccountDomain, "example.jp".into()),
        (Field::AccountNetwork, "New".into()),
        (Field::SourceAddress, "203.0.113.9".into()),
        (Field::SourceCountry, "JP".into()),
        (Field::SourceAsn, 64500.into()),
        (Field::SourceListener, "submission".into()),
        (Field::SourceHelo, "client.example".into()),
        (Field::SourceHeloForm, "Good".into()),
        (Field::SourceBeforeGreeting, "Talked".into()),
        (Field::SourceTls, "On".into()),
        (Field::MessageSender, "a@example.jp".into()),
        (Field::MessageSenderDomain, "example.jp".into()),
        (Field::MessageRecipient, "X@example.org".into()),
        (Field::MessageRecipientDomain, "example.org".into()),
        (Field::MessageRecipients, 3.into()),
        (Field::MessageSize, 500.into()),
        (Field::MessageClass, "Unclassified".into()),
    ] {
        assert_eq!(
            when(
                Expr::Compare(field, Comparison::Eq, value.0.clone()),
                &event
            ),
            APPLIES,
            "{field:?}"
        );
        assert_eq!(
            when(
                Expr::Compare(field, Comparison::Ne, value.0.clone()),
                &event
            ),
            FALSE,
            "{field:?}"
        );
        assert_eq!(
            when(Expr::In(field, vec![value.0.clone()]), &event),
            APPLIES,
            "{field:?}"
        );
        assert_eq!(
            when(Expr::In(field, Vec::new()), &event),
            FALSE,
            "{field:?}"
        );
    }
    assert_eq!(
        when(
            compare(Field::MessageSender, Comparison::Eq, ""),
            &event.sender("")
        ),
        APPLIES,
        "the null sender is empty"
    );
    let v6 = rcpt("x@y").source("2001:db8::1");
    assert_eq!(
        when(
            compare(Field::SourceAddress, Comparison::Eq, "2001:db8::1"),
            &v6
        ),
        APPLIES
    );
}

#[test]
fn comparisons_and_tests_of_text() {
    let event = rcpt("x@example.org").transaction(|transaction| transaction.recipients = 3);
    use Comparison::*;
    for (comparison, expected) in [
        (Eq, [false, true, false]),
        (Ne, [true, false, true]),
        (Lt, [false, false, true]),
        (Le, [false, true, true]),
        (Gt, [true, false, false]),
        (Ge, [true, true, false]),
    ] {
        for (value, expected) in [2, 3, 4].into_iter().zip(expected) {
            let found = when(compare(Field::MessageRecipients, comparison, value), &event);
            assert_eq!(
                found,
                if expected { APPLIES } else { FALSE },
                "3 {comparison:?} {value}"
            );
        }
    }
    for (test, text, expected) in [
        (TextTest::StartsWith, "a@ex", APPLIES),
        (TextTest::StartsWith, "a@example.jpx", FALSE),
        (TextTest::EndsWith, "@example.jp", APPLIES),
        (TextTest::EndsWith, "b@example.jp", FALSE),
        (TextTest::Contains, "@e", APPLIES),
        (TextTest::Contains, "", APPLIES),
        (TextTest::Contains, "@@", FALSE),
    ] {
        assert_eq!(
            when(Expr::Text(Field::MessageSender, test, text.into()), &event),
            expected,
            "{test:?} {text}"
        );
        assert_eq!(
            when(Expr::Text(Field::AccountName, test, text.into()), &event),
            expected,
            "{test:?} {text}"
        );
    }
}

/// What is not known is neither true nor false, and neither is its opposite; what settles the matter still does.
#[test]
fn the_unknown_is_not_false() {
    let event = rcpt("x@example.org").from("");
    let unknown = || compare(Field::SourceCountry, Comparison::Eq, "JP");
    let (yes, no) = (|| Expr::Constant(true), || Expr::Constant(false));
    let not = |expr| Expr::Not(Box::new(expr));
    for (expr, expected) in [
        (unknown(), UNKNOWN),
        (not(unknown()), UNKNOWN),
        (compare(Field::SourceCountry, Comparison::Ne, "JP"), UNKNOWN),
        (
            Expr::In(Field::SourceCountry, vec![Value::Text("JP".into())]),
            UNKNOWN,
        ),
        (
            Expr::Text(Field::SourceCountry, TextTest::Contains, String::new()),
            UNKNOWN,
        ),
        (Expr::All(vec![unknown(), yes()]), UNKNOWN),
        (Expr::All(vec![unknown(), no()]), FALSE),
        (Expr::Any(vec![unknown(), yes()]), APPLIES),
        (Expr::Any(vec![unknown(), no()]), UNKNOWN),
        (not(Expr::All(vec![unknown(), no()])), APPLIES),
        (Expr::All(Vec::new()), APPLIES),
        (Expr::Any(Vec::new()), FALSE),
    ] {
        assert_eq!(when(expr.clone(), &event), expected, "{expr:?}");
    }
    assert_eq!(
        when(compare(Field::MessageSize, Comparison::Ge, 0), &event),
        UNKNOWN,
        "no size was declared"
    );
}

#[test]
fn expressions_that_cannot_be_put_in_force() {
    let load = |when| {
        let mut rule = rule("limit", RuleSpec::RateLimit(rate(&[KeyPart::Source], &[])));
        rule.applies.when = Some(when);
        Ruleset::load(&envelope(snapshot(vec![rule])))
    };
    assert!(load(Expr::All(vec![Expr::Constant(true); MAX_NODES - 1])).is_ok());
    for bad in [
        Expr::All(vec![Expr::Constant(true); MAX_NODES]),
        Expr::In(Field::SourceAsn, vec![Value::Int(1); MAX_NODES]),
        compare(Field::SourceAsn, Comparison::Eq, "64500"),
        compare(Field::SourceCountry, Comparison::Eq, 1),
        Expr::Text(Field::MessageSize, TextTest::Contains, "1".into()),
    ] {
        let error = load(bad).unwrap_err().to_string();
        assert!(
            error.starts_with("RateLimit/mail/limit: spec.match.when: "),
            "{error}"
        );
    }
}

#[test]
fn explain_names_each_rule_and_why() {
    let limit_of =
        |key| RuleSpec::RateLimit(rate(&[key], &[limit(Unit::Recipients, 1, Millis::HOUR)]));
    let mut off = rule("off", limit_of(KeyPart::Source));
    off.enforcement = Enforcement::Off;
    let mut shadow = rule("shadow", limit_of(KeyPart::Source));
    shadow.enforcement = Enforcement::Shadow;
    let foreign = CountryRule {
        recipients_per_message: Some(1),
        ..abroad()
    };
    let world = World::new(vec![
        off,
        shadow,
        rule("nobody", limit_of(KeyPart::Account)),
        rule("abroad", RuleSpec::CountryRule(foreign)),
        rule(
            "later",
            RuleSpec::RateLimit(rate(
                &[KeyPart::Source],
                &[limit(Unit::Bytes, 1, Millis::HOUR)],
            )),
        ),
    ]);
    let told: Vec<_> = world
        .rules
        .explain(&rcpt("x@example.org").anonymous().0)
        .into_iter()
        .map(|(object, applies)| format!("{}: {applies}", object.name))
        .collect();
    assert_eq!(
        told,
        [
            "off: does not apply: its enforcement is Off",
            "shadow: applies as Shadow: observed only",
            "nobody: does not apply: no Account to count by is known at this stage",
            "abroad: does not apply: from does not name the source's country",
            "later: does not apply: it asks nothing at this stage",
        ]
    );
}
