//! A rule that does not match allocates nothing, in planning and in deciding.
#![expect(clippy::unwrap_used, reason = "the builders of tests")]

#[path = "engine/support.rs"]
#[expect(dead_code, reason = "the builders of the other tests")]
mod support;

use allocation_counter::measure;
use sekisho_policy::event::Stage;
use sekisho_policy::expr::{Comparison, Expr, Field, TextTest, Value};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Event, Millis, Results};

use support::*;

/// Rules that fail to match each event below, each for another reason, again and again.
fn strangers() -> Vec<Rule> {
    let text = |value: &str| Value::Text(value.into());
    let when = |expr| Match {
        when: Some(expr),
        ..Match::default()
    };
    let matches = [
        Match {
            accounts: vec!["*@elsewhere.example".into(), "b@example.jp".into()],
            ..Match::default()
        },
        Match {
            networks: vec![
                "198.51.100.0/24".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            ..Match::default()
        },
        Match {
            countries: vec![country("KR")],
            ..Match::default()
        },
        Match {
            listeners: vec!["webmail".into()],
            ..Match::default()
        },
        when(Expr::Compare(
            Field::MessageSender,
            Comparison::Eq,
            text("b@example.jp"),
        )),
        when(Expr::Text(
            Field::SourceAddress,
            TextTest::StartsWith,
            "10.".into(),
        )),
        when(Expr::Text(
            Field::MessageSender,
            TextTest::Contains,
            "casino".into(),
        )),
        when(Expr::Not(Box::new(Expr::Compare(
            Field::MessageSize,
            Comparison::Gt,
            Value::Int(5),
        )))),
    ];
    let all = [
        Unit::Messages,
        Unit::Recipients,
        Unit::Bytes,
        Unit::Connections,
        Unit::Attempts,
    ];
    let limits = all.map(|unit| limit(unit, 10, Millis::HOUR));
    let stranger = |at: usize| {
        let mut stranger = rule(
            &format!("r{at}"),
            RuleSpec::RateLimit(rate(&[KeyPart::Source], &limits)),
        );
        stranger.applies = matches[at % matches.len()].clone();
        stranger
    };
    let mut rules: Vec<_> = (0..90).map(stranger).collect();
    rules.extend((90..100).map(|at| {
        let foreign = CountryRule {
            sender: SenderCheck::MustMatchAccount,
            limits: limits.to_vec(),
            ..abroad()
        };
        rule(&format!("c{at}"), RuleSpec::CountryRule(foreign))
    }));
    rules
}

fn events() -> Vec<Event> {
    [
        at(Stage::Connect),
        at(Stage::Mail),
        rcpt("x@example.org"),
        own_headers(),
        end(10),
    ]
    .map(|event| event.0)
    .into()
}

fn allocations(world: &World, event: &Event) -> u64 {
    let results = Results::default();
    let judge = || {
        let plan = world.rules.plan(event);
        std::hint::black_box(plan.decide(Ok(&results)));
    };
    measure(judge).count_total
}

#[test]
fn what_does_not_match_allocates_nothing() {
    let world = World::new(strangers());
    for event in events() {
        assert_eq!(allocations(&world, &event), 0, "{:?}", event.stage.name());
    }
}

#[test]
fn a_hundred_strangers_add_nothing_to_a_rule_that_matches() {
    let own = || {
        vec![rule(
            "own",
            RuleSpec::RateLimit(rate(
                &[KeyPart::Account],
                &[limit(Unit::Recipients, 10, Millis::HOUR)],
            )),
        )]
    };
    let alone = World::new(own());
    let among = World::new(own().into_iter().chain(strangers()).collect());
    let event = rcpt("x@example.org").0;
    let expected = allocations(&alone, &event);
    assert!(expected > 0, "the rule that matches has something to say");
    assert_eq!(allocations(&among, &event), expected);
}
