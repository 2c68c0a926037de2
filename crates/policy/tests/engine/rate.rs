//! RateLimit: never more than `count` in any `per`, counted apart by key, charged where and when it is due.

use sekisho_policy::decision::{Class, Reason, Said, Verdict};
use sekisho_policy::event::*;
use sekisho_policy::op::Op;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Results};

use crate::support::*;

fn world(change: impl FnOnce(&mut RateLimit)) -> World {
    let mut spec = rate(
        &[KeyPart::Account],
        &[limit(Unit::Recipients, 2, Millis::HOUR)],
    );
    change(&mut spec);
    World::new(vec![rule("limit", RuleSpec::RateLimit(spec))])
}

#[test]
fn defers_and_says_when() {
    let world = world(|_| {});
    let event = rcpt("x@example.org").0;
    assert_eq!(code(&world.judge(&event)), "ok");
    assert_eq!(code(&world.judge(&event)), "ok");
    let decision = world.judge(&rcpt("x@example.org").after(Millis(48 * 60_000)).0);
    assert_eq!(code(&decision), "450 4.7.1");
    let refusal = decision.verdict.refusal().unwrap();
    assert_eq!(refusal.reason, Reason::RateExceeded);
    assert!(refusal.retry_at.unwrap() >= START.plus(Millis::HOUR));
    let minutes = refusal
        .text
        .strip_prefix("Too many recipients sent to, try again in ")
        .unwrap();
    assert!(
        ["12 minutes", "13 minutes", "14 minutes"].contains(&minutes),
        "{minutes}"
    );
    assert_eq!(
        finding(&decision, "spec.limits[Recipients per 1h]").saw,
        "2 of 2 in 1h"
    );
    // When it said, it passes.
    let later = refusal.retry_at.unwrap().since(START);
    assert_eq!(
        code(&world.judge(&rcpt("x@example.org").after(later).0)),
        "ok"
    );
}

#[test]
fn each_unit_is_due_at_its_stage() {
    let stages = || {
        [
            at(Stage::Connect),
            login("a@example.jp"),
            at(Stage::Mail),
            rcpt("x@example.org"),
            own_headers(),
            end(600),
        ]
    };
    for (unit, at_stage, over) in [
        (Unit::Connections, 0, "421 4.7.1"),
        (Unit::Attempts, 1, "450 4.7.1"),
        (Unit::Recipients, 3, "450 4.7.1"),
        (Unit::Messages, 5, "450 4.7.1"),
        (Unit::Bytes, 5, "450 4.7.1"),
    ] {
        let count = if unit == Unit::Bytes { 1000 } else { 1 };
        let world =
            world(|spec| *spec = rate(&[KeyPart::Source], &[limit(unit, count, Millis::HOUR)]));
        for (index, event) in stages().into_iter().enumerate() {
            assert_eq!(code(&world.judge(&event.0)), "ok", "{unit:?} {index}");
            let expected = if index == at_stage { over } else { "ok" };
            assert_eq!(code(&world.judge(&event.0)), expected, "{unit:?} {index}");
        }
    }
}

#[test]
fn reject_and_what_never_fits() {
    let world = world(|spec| spec.on_exceed = OnExceed::Reject);
    let event = rcpt("x@example.org").0;
    let codes = [(); 3].map(|()| code(&world.judge(&event)));
    assert_eq!(codes, ["ok", "ok", "550 5.7.1"]);
    // However long one waits, 2000 octets do not fit into 1000.
    let bytes = self::world(|spec| spec.limits = vec![limit(Unit::Bytes, 1000, Millis::HOUR)]);
    assert_eq!(code(&bytes.judge(&end(2000).0)), "552 5.3.4");
    assert_eq!(
        code(&bytes.judge(&end(1000).0)),
        "ok",
        "nothing was charged"
    );
    let greeting = self::world(|spec| {
        *spec = rate(
            &[KeyPart::Source],
            &[limit(Unit::Connections, 1, Millis::HOUR)],
        );
        spec.on_exceed = OnExceed::Reject;
    });
    greeting.judge(&at(Stage::Connect).0);
    assert_eq!(code(&greeting.judge(&at(Stage::Connect).0)), "554 5.7.1");
}

#[test]
fn keys_count_apart() {
    let base = || rcpt("x@example.org").source("192.0.2.1");
    for (part, other, same) in [
        (
            KeyPart::Account,
            base().account("b@example.jp"),
            base().source("198.51.100.1"),
        ),
        (
            KeyPart::Source,
            base().source("192.0.2.2"),
            base().account("b@example.jp"),
        ),
        (
            KeyPart::SourcePrefix,
            base().source("192.0.3.1"),
            base().source("192.0.2.200"),
        ),
        (
            KeyPart::Asn,
            base().session(|session| session.source.asn = None),
            base().source("198.51.100.1"),
        ),
        (
            KeyPart::Country,
            base().from(""),
            base().source("198.51.100.1"),
        ),
        (
            KeyPart::SenderDomain,
            base().sender("x@other.example"),
            base().sender("b@example.jp"),
        ),
        (
            KeyPart::SenderDomain,
            base().sender(""),
            base().sender("b@example.jp"),
        ),
        (
            KeyPart::RecipientDomain,
            rcpt("x@example.net").source("192.0.2.1"),
            rcpt("y@example.org"),
        ),
    ] {
        let world =
            world(|spec| *spec = rate(&[part], &[limit(Unit::Recipients, 1, Millis::HOUR)]));
        assert_eq!(code(&world.judge(&base().0)), "ok", "{part:?}");
        assert_eq!(
            code(&world.judge(&same.0)),
            "450 4.7.1",
            "{part:?}: one tally"
        );
        assert_eq!(
            code(&world.judge(&other.0)),
            "ok",
            "{part:?}: another tally"
        );
    }
    let world = world(|spec| {
        *spec = rate(
            &[KeyPart::Gateway],
            &[limit(Unit::Recipients, 1, Millis::HOUR)],
        )
    });
    world.judge(&base().0);
    let anybody = rcpt("x@example.net")
        .account("b@example.jp")
        .from("BR")
        .source("2001:db8::1")
        .0;
    assert_eq!(code(&world.judge(&anybody)), "450 4.7.1");
}

#[test]
fn several_parts_make_a_tuple_in_any_order() {
    let tuple = |key: &[KeyPart]| {
        let world = world(|spec| *spec = rate(key, &[limit(Unit::Recipients, 1, Millis::HOUR)]));
        let plan_key = |event: &At| format!("{:?}", world.rules.plan(&event.0).ops());
        let base = rcpt("x@example.org").source("192.0.2.1");
        assert_ne!(plan_key(&base), plan_key(&base.clone().source("192.0.2.2")));
        assert_ne!(
            plan_key(&base),
            plan_key(&base.clone().account("b@example.jp"))
        );
        plan_key(&base)
    };
    assert_eq!(
        tuple(&[KeyPart::Account, KeyPart::Source]),
        tuple(&[KeyPart::Source, KeyPart::Account, KeyPart::Source])
    );
}

#[test]
fn without_a_subject_it_does_not_apply() {
    let world = world(|_| {});
    let event = rcpt("x@example.org").anonymous().0;
    assert!(world.rules.plan(&event).ops().is_empty());
    assert!(world.judge(&event).findings.is_empty());
}

#[test]
fn an_override_replaces_limits_and_shares_the_tally() {
    let applies = Match {
        accounts: vec!["news*@example.jp".into()],
        ..Match::default()
    };
    let special = Override {
        name: "news".into(),
        applies,
        limits: vec![limit(Unit::Recipients, 4, Millis::HOUR)],
    };
    let second = Override {
        name: "all".into(),
        applies: Match::default(),
        limits: vec![limit(Unit::Recipients, 0, Millis::HOUR)],
    };
    let world = world(|spec| spec.overrides = vec![special.clone()]);
    let judge = |account: &str| code(&world.judge(&rcpt("x@example.org").account(account).0));
    assert_eq!(
        [(); 3].map(|()| judge("a@example.jp")),
        ["ok", "ok", "450 4.7.1"]
    );
    assert_eq!(
        [(); 5].map(|()| judge("news1@example.jp")),
        ["ok", "ok", "ok", "ok", "450 4.7.1"]
    );
    // Raising a limit forgives nobody: the key knows neither the number nor the override.
    let keys = |world: &World, account: &str| match world
        .rules
        .plan(&rcpt("x@example.org").account(account).0)
        .ops()
    {
        [Op::Gate { key, limit, .. }] => (key.clone(), *limit),
        other => panic!("{other:?}"),
    };
    let plain = self::world(|_| {});
    assert_eq!(
        keys(&world, "news1@example.jp").0,
        keys(&plain, "news1@example.jp").0
    );
    assert_eq!(
        (
            keys(&world, "news1@example.jp").1,
            keys(&plain, "news1@example.jp").1
        ),
        (4, 2)
    );
    // The first that holds wins.
    let both = self::world(|spec| spec.overrides = vec![special, second]);
    assert_eq!(keys(&both, "news1@example.jp").1, 4);
    assert_eq!(keys(&both, "a@example.jp").1, 0);
}

#[test]
fn rerouting_at_recipients_only_measures() {
    for (on_exceed, class) in [
        (OnExceed::RouteSuspect, Class::Suspect),
        (OnExceed::RouteSpam, Class::Spam),
    ] {
        let world = world(|spec| spec.on_exceed = on_exceed);
        let event = rcpt("x@example.org").0;
        let classes = [(); 4].map(|()| world.judge(&event).class);
        assert_eq!(
            classes,
            [Class::Unclassified, Class::Unclassified, class, class],
            "{on_exceed:?}"
        );
        let decision = world.judge(&event);
        assert_eq!(code(&decision), "ok");
        assert_eq!(
            said(&decision, "spec.limits[Recipients per 1h]"),
            Said::Worsen(class, Reason::RateExceeded)
        );
    }
}

#[test]
fn rerouting_by_messages_and_octets_is_decided_at_the_end() {
    let world = world(|spec| {
        spec.limits = vec![
            limit(Unit::Messages, 3, Millis::HOUR),
            limit(Unit::Bytes, 1000, Millis::HOUR),
        ];
        spec.on_exceed = OnExceed::RouteSpam;
    });
    assert!(
        world.rules.content(&at(Stage::Mail).0).hold(),
        "or it would be on its way already"
    );
    assert!(world.rules.plan(&own_headers().0).ops().is_empty());
    let class = |bytes| world.judge(&end(bytes).0).class;
    assert_eq!(class(600), Class::Unclassified);
    assert_eq!(class(400), Class::Unclassified, "the last that fits");
    assert_eq!(class(1), Class::Spam, "one octet too many");
    let decision = world.judge(&end(0).after(Millis(2 * Millis::HOUR.0)).0);
    assert_eq!(decision.class, Class::Unclassified, "a new window");
    let alone = world.judge(&end(1001).after(Millis(4 * Millis::HOUR.0)).0);
    assert_eq!(alone.class, Class::Spam, "this message alone");
    assert_eq!(code(&alone), "ok");
    assert_eq!(
        finding(&alone, "spec.limits[Messages per 1h]").saw,
        "1 of 3 in 1h"
    );
}

#[test]
fn what_reroutes_by_recipients_or_refuses_lets_messages_stream() {
    let by_recipients = world(|spec| spec.on_exceed = OnExceed::RouteSpam);
    let refusing = world(|spec| spec.limits = vec![limit(Unit::Messages, 3, Millis::HOUR)]);
    for world in [by_recipients, refusing] {
        assert!(!world.rules.content(&at(Stage::Mail).0).hold());
    }
}

/// Nothing is charged for what is refused anyway; another full gate voids the charge of all.
#[test]
fn refusals_charge_nothing() {
    let mut policy = policy();
    policy.max_recipients = Some(1);
    let small = rate(
        &[KeyPart::Account],
        &[limit(Unit::Recipients, 1, Millis::HOUR)],
    );
    let large = rate(
        &[KeyPart::Gateway],
        &[limit(Unit::Recipients, 100, Millis::HOUR)],
    );
    let mut shadow = rule(
        "shadow",
        RuleSpec::RateLimit(rate(
            &[KeyPart::Country],
            &[limit(Unit::Recipients, 100, Millis::HOUR)],
        )),
    );
    shadow.enforcement = Enforcement::Shadow;
    let world = World::new(vec![
        rule("large", RuleSpec::RateLimit(large)),
        rule("small", RuleSpec::RateLimit(small)),
        rule("policy", RuleSpec::SubmissionPolicy(policy)),
        shadow,
    ]);
    let full = rcpt("x@example.org")
        .transaction(|transaction| transaction.recipients = 1)
        .0;
    let decision = world.judge(&full);
    assert_eq!(
        code(&decision),
        "452 4.5.3",
        "limits come first in order, yet what needs no counter decides"
    );
    assert!(
        !world
            .rules
            .plan(&full)
            .ops()
            .iter()
            .any(|op| matches!(op, Op::Gate { .. }))
    );
    assert!(
        world
            .rules
            .plan(&full)
            .ops()
            .iter()
            .any(|op| matches!(op, Op::Meter { .. })),
        "the shadow still observes"
    );
    assert_eq!(
        code(&world.judge(&rcpt("x@example.org").0)),
        "ok",
        "the one recipient was left"
    );
    assert_eq!(
        code(&world.judge(&full)),
        "452 4.5.3",
        "the used-up limit, first in order, does not hide it"
    );
    let decision = world.judge(&rcpt("x@example.org").0);
    assert_eq!(code(&decision), "450 4.7.1");
    let gateway = decision
        .findings
        .iter()
        .find(|finding| finding.object.name == "large")
        .unwrap();
    assert_eq!(
        (gateway.said, &*gateway.saw),
        (Said::Pass, "2 of 100 in 1h, not charged")
    );
    let other = world.judge(&rcpt("x@example.org").account("b@example.jp").0);
    assert_eq!(
        other
            .findings
            .iter()
            .find(|finding| finding.object.name == "large")
            .unwrap()
            .saw,
        "2 of 100 in 1h"
    );
}

/// Login attempts never come back, not even where a rule refuses the login: probing is not free.
#[test]
fn attempts_are_charged_whatever_else_refuses() {
    let attempts = rate(
        &[KeyPart::Source],
        &[limit(Unit::Attempts, 2, Millis::HOUR)],
    );
    let refuse = CountryRule {
        login: LoginFrom::Refuse,
        ..abroad()
    };
    let world = World::new(vec![
        rule("abroad", RuleSpec::CountryRule(refuse)),
        rule("attempts", RuleSpec::RateLimit(attempts)),
    ]);
    for _ in 0..2 {
        assert_eq!(
            code(&world.judge(&login("a@example.jp").from("BR").0)),
            "535 5.7.8"
        );
    }
    assert_eq!(
        code(&world.judge(&login("a@example.jp").from("JP").0)),
        "450 4.7.1"
    );
}

#[test]
fn shadow_counts_and_lets_pass() {
    let mut shadow = rule(
        "limit",
        RuleSpec::RateLimit(rate(
            &[KeyPart::Account],
            &[limit(Unit::Recipients, 1, Millis::HOUR)],
        )),
    );
    shadow.enforcement = Enforcement::Shadow;
    let world = World::new(vec![shadow]);
    let event = rcpt("x@example.org").0;
    world.judge(&event);
    let decision = world.judge(&event);
    assert_eq!(decision.verdict, Verdict::Allow);
    let seen = finding(&decision, "spec.limits[Recipients per 1h]");
    assert_eq!(
        (seen.said, &*seen.saw),
        (Said::Defer(Reason::RateExceeded), "2 of 1 in 1h")
    );
}

#[test]
fn counters_that_do_not_answer() {
    for (on_unavailable, expected) in [
        (OnCountersUnavailable::LocalOnly, "ok"),
        (OnCountersUnavailable::Allow, "ok"),
        (OnCountersUnavailable::Defer, "451 4.3.0"),
    ] {
        let world = world(|spec| spec.on_unavailable = on_unavailable);
        let event = rcpt("x@example.org").0;
        let decision = world.judge_without_counters(&event);
        assert_eq!(code(&decision), expected, "{on_unavailable:?}");
        if expected == "ok" {
            assert_eq!(
                said(&decision, "spec.limits[Recipients per 1h]"),
                Said::Unjudged
            );
        }
        // Results that do not answer what was asked are as good as none.
        let odd = world.rules.plan(&event).decide(Ok(&Results(Vec::new())));
        assert_eq!(odd, decision);
    }
}

/// Shared counters are out: what is `LocalOnly` is counted by this proxy, and nothing else of the event is.
#[test]
fn a_proxy_that_counts_alone() {
    let event = rcpt("x@example.org").0;
    let lone = world(|spec| {
        spec.on_unavailable = OnCountersUnavailable::LocalOnly;
        spec.limits = vec![limit(Unit::Recipients, 1, Millis::HOUR)];
    });
    assert_eq!(code(&lone.judge_alone(&event)), "ok");
    let seen = finding(&lone.judge_alone(&event), "spec.limits[Recipients per 1h]").clone();
    assert_eq!(
        (seen.said, &*seen.saw),
        (
            Said::Defer(Reason::RateExceeded),
            "1 of 1 in 1h, counted by this proxy alone"
        )
    );
    let both = |other, enforcement| {
        let limits = &[limit(Unit::Recipients, 1, Millis::HOUR)];
        let mut second = rate(&[KeyPart::Gateway], limits);
        second.on_unavailable = other;
        let mut first = rate(&[KeyPart::Account], limits);
        first.on_unavailable = OnCountersUnavailable::LocalOnly;
        let mut second = rule("second", RuleSpec::RateLimit(second));
        second.enforcement = enforcement;
        World::new(vec![rule("first", RuleSpec::RateLimit(first)), second])
    };
    let counted = |world: &World| {
        let ops = world.rules.plan(&event).ops_alone();
        ops.iter()
            .filter(|op| !matches!(op, Op::Read { .. }))
            .count()
    };
    // A rule that lets pass is not counted, and holds nobody back however often it is asked.
    let world = both(OnCountersUnavailable::Allow, Enforcement::Enforce);
    assert_eq!(counted(&world), 1);
    assert_eq!(code(&world.judge_alone(&event)), "ok");
    assert_eq!(code(&world.judge_alone(&event)), "450 4.7.1");
    // What one rule refuses anyway is charged by none.
    let world = both(OnCountersUnavailable::Defer, Enforcement::Enforce);
    assert_eq!(counted(&world), 0);
    assert_eq!(code(&world.judge_alone(&event)), "451 4.3.0");
    let world = both(OnCountersUnavailable::Defer, Enforcement::Shadow);
    assert_eq!(counted(&world), 1);
    assert_eq!(code(&world.judge_alone(&event)), "ok");
}

#[test]
fn a_pools_own_rate() {
    let mut spec = policy();
    spec.route = [(Class::Unclassified, RouteTo::Pool("clean".into()))].into();
    let mut snapshot = snapshot(vec![rule("policy", RuleSpec::SubmissionPolicy(spec))]);
    snapshot.pools.get_mut("clean").unwrap().rate = Some(limit(Unit::Messages, 1, Millis::HOUR));
    let world = World::of(snapshot);
    let event = route(10).0;
    assert!(world.rules.asks_route(&event, Class::Unclassified));
    assert_eq!(code(&world.judge(&event)), "ok");
    let decision = world.judge(&event);
    assert_eq!(code(&decision), "451 4.4.5");
    assert_eq!(decision.findings[0].object.kind, Kind::EgressPool);
    // Another class leaves by another way, and what reroutes at the end has its say before.
    assert!(!world.rules.asks_route(&event, Class::Spam));
    let other = route(10)
        .transaction(|transaction| transaction.class = Class::Spam)
        .0;
    assert_eq!(code(&world.judge(&other)), "ok");
    assert!(world.rules.plan(&end(10).0).ops().is_empty());
}

/// The first enforced refusal in evaluation order tells the peer.
#[test]
fn order_decides() {
    let by_key = |name: &str, key, on_exceed| {
        let mut spec = rate(&[key], &[limit(Unit::Recipients, 1, Millis::HOUR)]);
        spec.on_exceed = on_exceed;
        rule(name, RuleSpec::RateLimit(spec))
    };
    // One names its account: those are found by another way, and keep their place all the same.
    let mut permanent = by_key("permanent", KeyPart::Source, OnExceed::Reject);
    permanent.applies.accounts = vec!["A@example.jp".into()];
    let temporary = by_key("temporary", KeyPart::Account, OnExceed::Defer);
    let mut gone = by_key("gone", KeyPart::Gateway, OnExceed::Reject);
    gone.enforcement = Enforcement::Off;
    for (rules, expected) in [
        (
            vec![gone.clone(), permanent.clone(), temporary.clone()],
            "550 5.7.1",
        ),
        (vec![gone, temporary, permanent], "450 4.7.1"),
    ] {
        let names: Vec<_> = rules[1..]
            .iter()
            .map(|rule| rule.object.name.clone())
            .collect();
        let world = World::new(rules);
        world.judge(&rcpt("x@example.org").0);
        let decision = world.judge(&rcpt("x@example.org").0);
        assert_eq!(code(&decision), expected);
        assert!(
            decision
                .findings
                .iter()
                .map(|finding| &finding.object.name)
                .eq(&names),
            "all speak, in order; Off does not"
        );
    }
}
