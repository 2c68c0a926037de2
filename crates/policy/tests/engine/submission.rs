//! SubmissionPolicy: what every message must keep to.

use sekisho_policy::decision::{Class, Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::snapshot::*;

use crate::support::*;

fn world(change: impl FnOnce(&mut SubmissionPolicy)) -> World {
    let mut spec = policy();
    change(&mut spec);
    World::new(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))])
}

fn own_senders() -> World {
    world(|spec| {
        spec.envelope_sender = SenderCheck::MustMatchAccount;
        spec.header_sender = SenderCheck::MustMatchAccount;
        spec.aliases = vec![Alias {
            account: "a@example.jp".into(),
            addresses: vec!["info@example.jp".into(), "*@shop.example.jp".into()],
        }];
    })
}

#[test]
fn the_envelope_sender_must_be_the_accounts() {
    let world = own_senders();
    for (sender, expected) in [
        ("a@example.jp", "ok"),
        ("A@EXAMPLE.JP", "ok"),
        ("info@example.jp", "ok"),
        ("x@shop.example.jp", "ok"),
        ("", "ok"),
        ("b@example.jp", "550 5.7.1"),
        ("a+tag@example.jp", "550 5.7.1"),
        ("info@shop.example.jp.evil.test", "550 5.7.1"),
    ] {
        assert_eq!(
            code(&world.judge(&at(Stage::Mail).sender(sender).0)),
            expected,
            "{sender}"
        );
    }
    for sender in ["a@example.jp", ""] {
        let decision = world.judge(&at(Stage::Mail).anonymous().sender(sender).0);
        assert_eq!(code(&decision), "550 5.7.1", "without a login, {sender:?}");
        assert_eq!(
            decision.verdict.refusal().unwrap().reason,
            Reason::SenderMismatch
        );
    }
}

#[test]
fn the_header_from_must_be_one_address_of_the_account() {
    let world = own_senders();
    for (from, expected) in [
        (FromHeader::One(address("a@example.jp")), "ok"),
        (FromHeader::One(address("info@example.jp")), "ok"),
        (FromHeader::One(address("b@example.jp")), "550 5.7.1"),
        (FromHeader::Missing, "550 5.7.1"),
        (FromHeader::Several, "550 5.7.1"),
        (FromHeader::Malformed, "550 5.7.1"),
    ] {
        let decision = world.judge(&headers(from.clone()).0);
        assert_eq!(code(&decision), expected, "{from:?}");
        if let Some(refusal) = decision.verdict.refusal() {
            assert_eq!(refusal.reason, Reason::HeaderFromMismatch);
        }
    }
    assert_eq!(
        code(&world.judge(&own_headers().anonymous().0)),
        "550 5.7.1"
    );
}

/// Read receipts: one recipient, and From aligned even where the policy asks that of nothing else.
#[test]
fn the_null_sender_has_its_price() {
    let world = world(|spec| spec.envelope_sender = SenderCheck::MustMatchAccount);
    let second = |sender| {
        rcpt("x@example.org")
            .sender(sender)
            .transaction(|transaction| transaction.recipients = 1)
            .0
    };
    assert_eq!(
        code(&world.judge(&rcpt("x@example.org").sender("").0)),
        "ok"
    );
    assert_eq!(code(&world.judge(&second(""))), "452 4.5.3");
    assert_eq!(code(&world.judge(&second("a@example.jp"))), "ok");
    let forged = headers(FromHeader::One(address("boss@example.jp")));
    assert_eq!(
        code(&world.judge(&forged.clone().sender("").0)),
        "550 5.7.1"
    );
    assert_eq!(
        code(&world.judge(&forged.sender("a@example.jp").0)),
        "ok",
        "header From is free otherwise"
    );
    assert_eq!(code(&world.judge(&own_headers().sender("").0)), "ok");
}

#[test]
fn sizes() {
    let world = world(|spec| spec.max_size = Some(1000));
    for (declared, expected) in [(None, "ok"), (Some(1000), "ok"), (Some(1001), "552 5.3.4")] {
        let event = at(Stage::Mail)
            .transaction(|transaction| transaction.declared_size = declared)
            .0;
        assert_eq!(code(&world.judge(&event)), expected, "{declared:?}");
    }
    for (bytes, expected) in [(1000, "ok"), (1001, "552 5.3.4")] {
        assert_eq!(code(&world.judge(&end(bytes).0)), expected, "{bytes}");
    }
    assert_eq!(
        world.rules.message_limits(&at(Stage::Connect).0).max_size,
        Some(1000)
    );
}

#[test]
fn recipients_of_one_message() {
    let world = world(|spec| spec.max_recipients = Some(2));
    for (before, expected) in [
        (0, "ok"),
        (1, "ok"),
        (2, "452 4.5.3"),
        (u32::MAX, "452 4.5.3"),
    ] {
        let event = rcpt("x@example.org")
            .transaction(|transaction| transaction.recipients = before)
            .0;
        assert_eq!(code(&world.judge(&event)), expected, "{before}");
    }
}

#[test]
fn visible_recipients() {
    let world = world(|spec| spec.max_visible_recipients = Some(30));
    for (visible_recipients, expected) in [(30, "ok"), (31, "550 5.7.1")] {
        let facts = HeaderFacts {
            from: FromHeader::Missing,
            visible_recipients,
            matched: Vec::new(),
            scan: Scan::Complete,
        };
        assert_eq!(code(&world.judge(&at(Stage::Headers(facts)).0)), expected);
    }
}

#[test]
fn recipient_domains() {
    let world = world(|spec| spec.recipient_domains = RecipientDomains::MustResolve);
    for (domain, expected) in [
        (Fact::Known(DomainStanding::Resolves), "ok"),
        (Fact::Known(DomainStanding::Missing), "550 5.1.2"),
        (Fact::Known(DomainStanding::NullMx), "556 5.1.10"),
        (Fact::Unavailable, "451 4.4.3"),
        (Fact::Unasked, "ok"),
    ] {
        let event = at(Stage::Rcpt {
            recipient: address("x@example.org"),
            domain: domain.clone(),
        })
        .0;
        assert_eq!(code(&world.judge(&event)), expected, "{domain:?}");
        let asked = world
            .rules
            .needs(&event)
            .contains(sekisho_policy::Need::RecipientDomain);
        assert_eq!(asked, domain.is_unasked(), "{domain:?}");
    }
}

#[test]
fn bare_newlines_and_attachments() {
    let world = world(|spec| {
        spec.bare_newlines = BareNewlines::Reject;
        spec.blocked_extensions = vec!["exe".into(), "vbs".into()];
    });
    let facts = |newlines, extension: &str| EndFacts {
        bytes: 10,
        extensions: vec!["pdf".into(), extension.into()],
        scan: Scan::Complete,
        newlines,
        ..EndFacts::default()
    };
    for (facts, expected) in [
        (facts(Newlines::Clean, "txt"), "ok"),
        (facts(Newlines::Bare, "txt"), "550 5.6.0"),
        (facts(Newlines::Clean, "vbs"), "550 5.7.1"),
        (facts(Newlines::Clean, "EXE"), "550 5.7.1"),
        (facts(Newlines::Clean, "exe2"), "ok"),
    ] {
        assert_eq!(
            code(&world.judge(&at(Stage::End(facts.clone())).0)),
            expected,
            "{facts:?}"
        );
    }
}

fn classified() -> SubmissionPolicy {
    let pattern = |name: &str, header: &str, matches: &str, score| ContentRule {
        name: name.into(),
        header: Some(header.into()),
        matches: matches.into(),
        score,
    };
    let mut spec = policy();
    spec.classify = Some(Classify {
        applies_to: AppliesTo::Everyone,
        engines: Vec::new(),
        rules: vec![
            pattern("casino", "Subject", "(?i)casino", 6_000),
            pattern("bulk", "X-Mailer", "^Bulk", 4_500),
            pattern("friend", "Subject", "hello", -2_000),
        ],
        suspect_at: 5_000,
        spam_at: 10_000,
    });
    let to = |name: &str| RouteTo::Pool(name.into());
    spec.route = [
        (Class::Clean, to("clean")),
        (Class::Suspect, to("slow")),
        (Class::Spam, to("spam")),
    ]
    .into();
    spec
}

#[test]
fn classification_by_header_rules() {
    let world = World::new(vec![rule(
        "strict",
        RuleSpec::SubmissionPolicy(classified()),
    )]);
    for (names, expected) in [
        (&[][..], Class::Clean),
        (&["casino"], Class::Suspect),
        (&["bulk"], Class::Clean),
        (&["casino", "casino"], Class::Suspect),
        (&["casino", "bulk"], Class::Spam),
        (&["casino", "friend"], Class::Clean),
        (&["unheard"], Class::Clean),
    ] {
        let decision = world.judge(&matched(names).0);
        assert_eq!(decision.class, expected, "{names:?}");
        let worsens = Said::Worsen(expected, Reason::ContentMatched);
        let told = if expected == Class::Clean {
            Said::Pass
        } else {
            worsens
        };
        assert_eq!(
            said(&decision, "spec.classify"),
            told,
            "what is clean counts as no detection"
        );
    }
    let decision = world.judge(&matched(&["casino", "bulk"]).0);
    assert_eq!(
        finding(&decision, "spec.classify").saw,
        "score 10.5 of 10: casino, bulk"
    );
    // It never gets better again.
    let before = matched(&[])
        .transaction(|transaction| transaction.class = Class::Spam)
        .0;
    assert_eq!(world.judge(&before).class, Class::Spam);
    // Where messages are classified, they begin as clean; elsewhere they stay unclassified.
    assert_eq!(world.judge(&at(Stage::Mail).0).class, Class::Clean);
    assert_eq!(
        own_senders().judge(&at(Stage::Mail).0).class,
        Class::Unclassified
    );
    assert_eq!(
        own_senders().judge(&own_headers().0).class,
        Class::Unclassified
    );
}

#[test]
fn patterns_are_scanned_in_their_field() {
    let world = World::new(vec![rule(
        "strict",
        RuleSpec::SubmissionPolicy(classified()),
    )]);
    let mut found = Vec::new();
    for (name, value) in [
        ("To", "casino"),
        ("subject", "Grand CASINO"),
        ("SUBJECT", "casino hello"),
        ("X-Mailer", "No Bulk"),
    ] {
        world.rules.scan_header(name, value, &mut found);
    }
    assert_eq!(found, ["casino".into(), "friend".into()] as [Box<str>; 2]);
}

#[test]
fn a_class_that_goes_nowhere_is_refused() {
    let mut spec = classified();
    spec.route.insert(Class::Spam, RouteTo::Reject);
    let world = World::new(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))]);
    let decision = world.judge(&matched(&["casino", "bulk"]).0);
    assert_eq!(code(&decision), "550 5.7.1");
    assert_eq!(
        decision.verdict.refusal().unwrap().reason,
        Reason::ClassRefused
    );
    assert_eq!(code(&world.judge(&matched(&["casino"]).0)), "ok");
    // It is known as soon as a recipient must be asked somewhere.
    let doomed = rcpt("x@example.org")
        .transaction(|transaction| transaction.class = Class::Spam)
        .0;
    assert_eq!(code(&world.judge(&doomed)), "550 5.7.1");
}

#[test]
fn what_could_not_be_examined() {
    for (policy, expected, class) in [
        (OnMessageUnexamined::RouteClean, "ok", Class::Clean),
        (OnMessageUnexamined::RouteSuspect, "ok", Class::Suspect),
        (OnMessageUnexamined::RouteSpam, "ok", Class::Spam),
        (OnMessageUnexamined::Defer, "451 4.3.0", Class::Clean),
    ] {
        let mut spec = classified();
        spec.blocked_extensions = vec!["exe".into()];
        let mut snapshot = snapshot(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))]);
        snapshot.gateway.on_unavailable.message = policy;
        let world = World::of(snapshot);
        let facts = HeaderFacts {
            from: FromHeader::Missing,
            visible_recipients: 0,
            matched: Vec::new(),
            scan: Scan::OverLimits,
        };
        let decision = world.judge(&at(Stage::Headers(facts)).0);
        assert_eq!(
            (code(&decision).as_str(), decision.class),
            (expected, class),
            "{policy:?}"
        );
        let facts = EndFacts {
            bytes: 1,
            extensions: Vec::new(),
            scan: Scan::OverLimits,
            newlines: Newlines::Clean,
            ..EndFacts::default()
        };
        let decision = world.judge(
            &at(Stage::End(facts))
                .transaction(|transaction| transaction.class = Class::Clean)
                .0,
        );
        assert_eq!(
            (code(&decision).as_str(), decision.class),
            (expected, class),
            "{policy:?} at the end"
        );
    }
}

#[test]
fn content_is_examined_only_where_a_rule_asks() {
    let needs = |world: World| world.rules.content(&at(Stage::Mail).0);
    let none = needs(world(|_| {}));
    assert!(!none.headers && !none.attachments);
    let attachments = needs(world(|spec| spec.blocked_extensions = vec!["exe".into()]));
    assert!(!attachments.headers && attachments.attachments);
    for change in [
        (|spec: &mut SubmissionPolicy| spec.header_sender = SenderCheck::MustMatchAccount)
            as fn(&mut SubmissionPolicy),
        |spec| spec.envelope_sender = SenderCheck::MustMatchAccount,
        |spec| spec.max_visible_recipients = Some(1),
        |spec| spec.classify = classified().classify,
    ] {
        assert!(needs(world(change)).headers);
    }
}

#[test]
fn stale_configuration() {
    for (policy, mail, sender) in [
        (OnConfigUnavailable::Keep, "ok", "550 5.7.1"),
        (OnConfigUnavailable::Shadow, "ok", "ok"),
        (OnConfigUnavailable::Refuse, "451 4.3.0", "451 4.3.0"),
    ] {
        let mut spec = super::support::policy();
        spec.envelope_sender = SenderCheck::MustMatchAccount;
        let mut snapshot = snapshot(vec![rule("strict", RuleSpec::SubmissionPolicy(spec))]);
        snapshot.gateway.on_unavailable.config = policy;
        let world = World::of(snapshot);
        let mut event = at(Stage::Mail).0;
        event.config = ConfigState::Unavailable;
        assert_eq!(code(&world.judge(&event)), mail, "{policy:?}");
        event.transaction.as_mut().unwrap().sender = Some(address("b@example.jp"));
        assert_eq!(code(&world.judge(&event)), sender, "{policy:?}");
    }
}
