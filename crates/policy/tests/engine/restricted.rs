//! What a restricted account may still do, at each stage and whatever the rules say.

use std::sync::Arc;

use sekisho_policy::decision::{Class, Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::restriction::LIMITED;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Event, Level, Millis, Origin, Restriction, Standing};

use crate::support::*;

const RCPT: &str = "x@example.org";

fn restriction(level: Level) -> Restriction {
    Restriction {
        level,
        since: START,
        until: Some(START.plus(Millis::HOUR)),
        origin: Origin::Rule(object(Kind::LoginGuard, "guard")),
        why: "120 points".into(),
        decision: None,
        recipients_per_hour: None,
        then: None,
    }
}

fn under(restrictions: &[Restriction], mut event: Event) -> Event {
    let account = Arc::make_mut(event.account.as_mut().unwrap());
    account.standing = Standing::of(restrictions, event.at).map(Box::new);
    event
}

fn message_stages() -> [At; 4] {
    let from = FromHeader::One(address("a@example.jp"));
    [
        at(Stage::Mail),
        rcpt(RCPT),
        headers(from),
        at(Stage::End(EndFacts::default())),
    ]
}

/// A policy that sends each class by a pool.
fn routes(unclassified: &str, spam: RouteTo) -> Rule {
    let mut spec = policy();
    let unclassified = RouteTo::Pool(unclassified.into());
    spec.route = [(Class::Unclassified, unclassified), (Class::Spam, spam)].into();
    rule("policy", RuleSpec::SubmissionPolicy(spec))
}

#[test]
fn the_suspended_log_in_and_send_nothing_at_any_stage() {
    // No match, shadow or exemption of a rule is in the way.
    let mut shadow = routes("clean", RouteTo::Pool("spam".into()));
    shadow.enforcement = Enforcement::Shadow;
    for rules in [vec![], vec![shadow]] {
        let world = World::new(rules);
        let suspended = [restriction(Level::Suspend)];
        for stage in message_stages() {
            let decision = world.judge(&under(&suspended, stage.0));
            assert_eq!(code(&decision), "550 5.7.1");
            let refusal = decision.verdict.refusal().unwrap();
            assert_eq!(refusal.reason, Reason::Restricted);
            assert_eq!(
                finding(&decision, "restriction").saw,
                "Suspend by LoginGuard/mail/guard for another 1h: 120 points"
            );
        }
        let login = world.judge(&under(&suspended, at(Stage::LoginSucceeded).0));
        assert_eq!(code(&login), "ok");
    }
}

#[test]
fn what_is_over_restricts_nobody() {
    let world = World::new(vec![]);
    let suspended = [restriction(Level::Suspend)];
    let later = at(Stage::Mail).after(Millis::HOUR).0;
    assert_eq!(code(&world.judge(&under(&suspended, later))), "ok");
    let last = at(Stage::Mail).after(Millis(Millis::HOUR.0 - 1)).0;
    assert_eq!(code(&world.judge(&under(&suspended, last))), "550 5.7.1");
}

#[test]
fn the_quarantined_leave_by_the_pool_for_spam_alone() {
    let world = World::new(vec![routes("clean", RouteTo::Pool("spam".into()))]);
    for stage in message_stages() {
        let decision = world.judge(&under(&[restriction(Level::Quarantine)], stage.0));
        assert_eq!(
            (code(&decision).as_str(), decision.class),
            ("ok", Class::Spam)
        );
        let worsens = Said::Worsen(Class::Spam, Reason::Restricted);
        assert_eq!(said(&decision, "restriction"), worsens);
    }
}

#[test]
fn the_quarantined_have_no_way_where_spam_has_none_of_its_own() {
    let reject = || routes("clean", RouteTo::Reject);
    let worlds = [
        ("no policy", vec![], Reason::Restricted),
        (
            "the same pool",
            vec![routes("spam", RouteTo::Pool("spam".into()))],
            Reason::Restricted,
        ),
        ("spam is refused", vec![reject()], Reason::ClassRefused),
    ];
    for (name, rules, reason) in worlds {
        let world = World::new(rules);
        for (n, stage) in message_stages().into_iter().enumerate() {
            let decision = world.judge(&under(&[restriction(Level::Quarantine)], stage.0));
            // Which policy applies may depend on what is not known at MAIL.
            let expected = if n == 0 { "ok" } else { "550 5.7.1" };
            assert_eq!(code(&decision), expected, "{name}, stage {n}");
            if n > 0 {
                assert_eq!(decision.verdict.refusal().unwrap().reason, reason, "{name}");
            }
        }
    }
}

#[test]
fn a_policy_that_only_watches_opens_no_way() {
    let mut shadow = routes("clean", RouteTo::Pool("spam".into()));
    shadow.enforcement = Enforcement::Shadow;
    let decision =
        World::new(vec![shadow]).judge(&under(&[restriction(Level::Quarantine)], rcpt(RCPT).0));
    assert_eq!(code(&decision), "550 5.7.1");
}

#[test]
fn the_limited_send_so_many_in_an_hour() {
    for (count, level) in [
        (None, Level::Limit),
        (Some(3), Level::Limit),
        (Some(3), Level::Watch),
    ] {
        let world = World::new(vec![]);
        let limit = Restriction {
            recipients_per_hour: count,
            until: None,
            ..restriction(Level::Limit)
        };
        // A lesser one beside it changes nothing.
        let all = [limit, restriction(level)];
        let most = count.unwrap_or(LIMITED);
        for n in 0..most {
            let decision = world.judge(&under(&all, rcpt(RCPT).0));
            assert_eq!(code(&decision), "ok", "{n}");
        }
        let full = world.judge(&under(&all, rcpt(RCPT).0));
        assert_eq!(code(&full), "450 4.7.1");
        let refusal = full.verdict.refusal().unwrap();
        assert_eq!(refusal.reason, Reason::RateExceeded);
        assert!(
            refusal.text.ends_with("try again in 60 minutes"),
            "{}",
            refusal.text
        );
        assert_eq!(
            finding(&full, "restriction[Recipients per 1h]").saw,
            format!("{most} of {most} in 1h")
        );
        // Nobody else is meant, and an hour later it is over.
        assert_eq!(
            code(&world.judge(&rcpt(RCPT).account("b@example.jp").0)),
            "ok"
        );
        let later = under(&all, rcpt(RCPT).after(Millis::HOUR).0);
        assert_eq!(code(&world.judge(&later)), "ok");
    }
}

#[test]
fn a_worse_restriction_does_not_lift_a_limit() {
    let world = World::new(vec![routes("clean", RouteTo::Pool("spam".into()))]);
    let limit = Restriction {
        recipients_per_hour: Some(1),
        ..restriction(Level::Limit)
    };
    let all = [limit, restriction(Level::Quarantine)];
    assert_eq!(code(&world.judge(&under(&all, rcpt(RCPT).0))), "ok");
    assert_eq!(code(&world.judge(&under(&all, rcpt(RCPT).0))), "450 4.7.1");
}

#[test]
fn the_watched_are_noted_and_nothing_else() {
    let world = World::new(vec![]);
    let watched = [restriction(Level::Watch)];
    let mail = world.judge(&under(&watched, at(Stage::Mail).0));
    assert_eq!(code(&mail), "ok");
    assert_eq!(said(&mail, "restriction"), Said::Noted(Reason::Restricted));
    let rcpt = world.judge(&under(&watched, rcpt(RCPT).0));
    assert_eq!((code(&rcpt).as_str(), rcpt.findings.len()), ("ok", 0));
}

#[test]
fn a_limit_holds_alone_while_counters_are_away() {
    let world = World::new(vec![]);
    let limit = Restriction {
        recipients_per_hour: Some(1),
        ..restriction(Level::Limit)
    };
    let event = under(&[limit], rcpt(RCPT).0);
    assert_eq!(code(&world.judge_alone(&event)), "ok");
    assert_eq!(code(&world.judge_alone(&event)), "450 4.7.1");
}

#[test]
fn an_event_without_a_standing_is_read_as_before() {
    let event = under(&[restriction(Level::Suspend)], at(Stage::Mail).0);
    let written = serde_json::to_value(&event).unwrap();
    assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
    let plain = serde_json::to_value(at(Stage::Mail).0).unwrap();
    assert!(plain["account"].get("standing").is_none(), "{plain}");
}
