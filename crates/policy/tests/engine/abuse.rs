//! AbuseRule: what counts as a signal, and of whom.

use std::sync::Arc;

use sekisho_policy::event::*;
use sekisho_policy::restriction::Level;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Account, Event, Item, Millis, Ruleset, Seen, Signal, Upshot};

use crate::ladder::*;
use crate::support::*;

/// One signal that restricts by itself, and how often it takes.
fn watched(signal: Signal, count: u64) -> Desk {
    let rules = abuse(vec![mark(signal, count, 10)], vec![step(10, Level::Watch)]);
    world(rules)
}

fn judged(world: &World, event: &Event) -> Vec<Level> {
    let decision = world.judge(event);
    levels(&world.see(event, &Seen::Judged(&decision)))
}

#[test]
fn logins_from_many_places() {
    let from = |code: &str, ip: &str, asn| {
        let event = at(Stage::LoginSucceeded).from(code).source(ip);
        event.session(|session| session.source.asn = asn).0
    };
    let events = [
        from("JP", "203.0.113.9", Some(1)),
        from("JP", "203.0.113.200", Some(1)),
        from("", "192.0.2.1", None),
        from("BR", "198.51.100.1", Some(2)),
        from("VN", "2001:db8::1", Some(3)),
    ];
    for (signal, count, at) in [
        (Signal::DistinctCountries, 3, 4),
        (Signal::DistinctSources, 3, 3),
        (Signal::DistinctAsns, 3, 4),
    ] {
        let world = watched(signal, count);
        let fired = events
            .iter()
            .position(|event| !judged(&world, event).is_empty());
        assert_eq!(fired, Some(at), "{signal}");
    }
}

#[test]
fn an_untrusted_source_is_nobodys_place() {
    let world = watched(Signal::DistinctCountries, 1);
    let event =
        at(Stage::LoginSucceeded).session(|session| session.source.trust = SourceTrust::Untrusted);
    assert_eq!(judged(&world, &event.0), []);
}

#[test]
fn an_exempt_network_counts_for_no_place_and_for_all_else() {
    let mut spec = abuse(
        vec![
            mark(Signal::DistinctCountries, 1, 10),
            mark(Signal::UnknownRecipients, 1, 10),
        ],
        vec![step(10, Level::Watch)],
    );
    spec.exempt.networks = vec!["203.0.113.0/24".parse().unwrap()];
    let world = world(spec);
    assert_eq!(judged(&world, &at(Stage::LoginSucceeded).0), []);
    assert_eq!(levels(&unknown(&world, 1, 0)), [Level::Watch]);
}

#[test]
fn an_exempt_account_is_not_counted() {
    let mut spec = usual();
    spec.exempt.accounts = vec!["a@*".to_owned()];
    let world = world(spec);
    assert_eq!(unknown(&world, 1000, 0), Upshot::default());
}

#[test]
fn one_stale_password_is_one_failure() {
    let world = watched(Signal::AuthFailures, 3);
    let login = at(Stage::LoginSucceeded).0;
    for _ in 0..20 {
        assert_eq!(judged(&world, &failed("a@example.jp", Some(1)).0), []);
    }
    judged(&world, &failed("a@example.jp", Some(2)).0);
    assert_eq!(judged(&world, &login), []);
    let third = judged(&world, &failed("a@example.jp", Some(3)).0);
    assert_eq!(third, [], "guesses restrict nobody who does not log in");
    assert_eq!(judged(&world, &login), [Level::Watch]);
}

#[test]
fn senders_of_others_count_whether_or_not_they_are_refused() {
    for enforcement in [Enforcement::Enforce, Enforcement::Shadow] {
        let mut own = policy();
        own.envelope_sender = SenderCheck::MustMatchAccount;
        let mut own = rule("policy", RuleSpec::SubmissionPolicy(own));
        own.enforcement = enforcement;
        let rules = abuse(
            vec![mark(Signal::SenderMismatch, 2, 10)],
            vec![step(10, Level::Watch)],
        );
        let world = World::new(vec![own, rule("stolen", RuleSpec::AbuseRule(rules))]);
        let other = at(Stage::Mail).sender("president@example.com");
        assert_eq!(judged(&world, &other.0), []);
        assert_eq!(judged(&world, &at(Stage::Mail).0), [], "its own");
        assert_eq!(judged(&world, &other.0), [Level::Watch], "{enforcement:?}");
    }
}

#[test]
fn hidden_passwords_are_one_failure_of_a_network_however_long_it_tries() {
    let world = watched(Signal::AuthFailures, 2);
    let hidden = |minutes: u64| failed("a@example.jp", None).after(Millis(minutes * 60_000));
    let login = at(Stage::LoginSucceeded).after(Millis(40 * 60_000)).0;
    for minutes in 0..40 {
        judged(&world, &hidden(minutes).0);
    }
    assert_eq!(judged(&world, &login), [], "one stale mail program");
    let elsewhere = hidden(41).source("198.51.100.1");
    judged(&world, &elsewhere.0);
    assert_eq!(judged(&world, &login), [Level::Watch]);
}

#[test]
fn a_quarantined_account_is_judged_by_what_it_sends_and_each_message_once() {
    let world = watched(Signal::SpamVerdicts, 2);
    let event = |class, content| {
        let mut event = end(1000).0;
        let facts = event.transaction.as_mut().unwrap();
        (facts.class, facts.content) = (class, content);
        event
    };
    use sekisho_policy::Class::{Clean, Spam};
    assert_eq!(levels(&condemned(&world, event(Spam, Clean))), []);
    for again in [Spam, Spam] {
        let engine = condemned(&world, event(again, Spam));
        assert_eq!(engine, Upshot::default(), "patterns had condemned it");
    }
    assert_eq!(judged(&world, &event(Spam, Clean)), [], "clean mail");
    assert_eq!(
        levels(&condemned(&world, event(Spam, Clean))),
        [Level::Watch]
    );
}

/// A decoy that gives points, and a rule that watches whoever then comes from there.
fn with_decoys() -> Desk {
    let guard = LoginGuard {
        per_account: None,
        per_source: None,
        per_account_and_source: None,
        lock_growth: 2,
        max_lock: Millis::DAY,
        known_good: KnownGood::default(),
        decoys: Some(Decoys {
            accounts: vec!["admin@example.jp".to_owned()],
            action: DecoyAction::Points,
        }),
    };
    let rules = abuse(
        vec![mark(Signal::DecoyTouched, 1, 10)],
        vec![step(10, Level::Watch)],
    );
    Desk::of(World::new(vec![
        rule("guard", RuleSpec::LoginGuard(guard)),
        rule("stolen", RuleSpec::AbuseRule(rules)),
    ]))
}

#[test]
fn whoever_has_long_been_coming_from_there_is_spared() {
    let world = with_decoys();
    for day in 0..3 {
        let login = at(Stage::LoginSucceeded).after(Millis(day * DAY));
        assert_eq!(judged(&world, &login.0), []);
    }
    let today = |event: At| event.after(Millis(2 * DAY + 1));
    assert_eq!(judged(&world, &today(login("admin@example.jp")).0), []);
    let known = today(at(Stage::LoginSucceeded));
    assert_eq!(judged(&world, &known.0), [], "many share an address");
    let mut new = today(at(Stage::LoginSucceeded)).0;
    let account = Account::canonical("b@example.jp", None);
    new.account = Some(Arc::new(AccountFacts::new(account, Network::New)));
    assert_eq!(judged(&world, &new), [Level::Watch]);
}

#[test]
fn touches_that_were_forgiven_restrict_nobody_again() {
    let world = with_decoys();
    let login_at = |after| judged(&world, &at(Stage::LoginSucceeded).after(Millis(after)).0);
    judged(&world, &login("admin@example.jp").0);
    assert_eq!(login_at(1), [Level::Watch]);
    world.release(START.plus(Millis(2)));
    assert_eq!(login_at(3), []);
    assert_eq!(login_at(HOUR), [], "while those touches are in the window");
    let again = HOUR + 10;
    judged(&world, &login("admin@example.jp").after(Millis(again)).0);
    assert_eq!(login_at(again + 1), [Level::Watch], "these are others");
}

#[test]
fn whoever_comes_from_where_a_decoy_was_touched() {
    let world = with_decoys();
    assert_eq!(judged(&world, &login("b@example.jp").0), []);
    assert_eq!(judged(&world, &at(Stage::LoginSucceeded).0), []);
    assert_eq!(judged(&world, &login("admin@example.jp").0), []);
    let elsewhere = at(Stage::LoginSucceeded).source("192.0.2.77");
    assert_eq!(judged(&world, &elsewhere.0), []);
    assert_eq!(judged(&world, &at(Stage::LoginSucceeded).0), [Level::Watch]);
}

#[test]
fn strangers_count_after_the_first_fortnight() {
    let world = watched(Signal::FirstTimeRecipients, 200);
    let sent = |first: u32, count: u32, after: u64| {
        let item = |n: u32| -> Item { (u128::from(n) << 80).to_be_bytes() };
        let items: Vec<Item> = (first..first + count).map(item).collect();
        let event = end(100).after(Millis(after));
        levels(&world.world.see(&event.0, &Seen::Sent(&items)))
    };
    assert_eq!(sent(0, 300, 0), [], "a new customer brings an address book");
    assert_eq!(sent(0, 300, 15 * DAY), [], "those are known");
    assert_eq!(sent(1000, 199, 15 * DAY), []);
    assert_eq!(sent(2000, 1, 15 * DAY + 1), [Level::Watch]);
}

#[test]
fn what_cannot_be_put_in_force_is_refused_by_name() {
    let refused = |change: fn(&mut AbuseRule)| {
        let mut spec = usual();
        change(&mut spec);
        let rules = vec![rule("stolen", RuleSpec::AbuseRule(spec))];
        Ruleset::load(&envelope(snapshot(rules)))
            .unwrap_err()
            .to_string()
    };
    for (change, part) in [
        ((|spec| spec.signals.clear()) as fn(&mut AbuseRule), "spec"),
        (|spec| spec.decay = Millis(0), "spec"),
        (
            |spec| spec.signals[0].count = 0,
            "spec.signals[UnknownRecipients]",
        ),
        (
            |spec| spec.signals[1] = spec.signals[0],
            "spec.signals[UnknownRecipients]",
        ),
        (
            |spec| spec.signals[0] = mark(Signal::FirstTimeRecipients, 5000, 1),
            "FirstTimeRecipients",
        ),
        (
            |spec| spec.signals[0].per = Millis(25 * HOUR),
            "spec.signals[UnknownRecipients]",
        ),
        (|spec| spec.ladder.reverse(), "spec.ladder"),
        (|spec| spec.ladder[1].level = Level::Limit, "spec.ladder"),
    ] {
        let said = refused(change);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn nothing_is_asked_without_a_rule() {
    let world = World::new(Vec::new());
    let event = at(Stage::LoginSucceeded).0;
    let decision = world.judge(&event);
    assert!(
        world
            .rules
            .watch(&event, &Seen::Judged(&decision))
            .ops()
            .is_empty()
    );
}
