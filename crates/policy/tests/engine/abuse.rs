//! AbuseRule: what counts as a signal, what points lead to, and that nobody is restricted twice for the same.

use sekisho_policy::decision::{Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::restriction::{Level, Origin};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Account, Event, Item, Millis, Restriction, Ruleset, Seen, Signal, Upshot};

use crate::support::*;

const HOUR: u64 = Millis::HOUR.0;
const DAY: u64 = Millis::DAY.0;

fn mark(signal: Signal, count: u64, points: u32) -> SignalMark {
    SignalMark {
        signal,
        count,
        per: Millis::HOUR,
        points,
    }
}

fn step(at: u32, level: Level) -> LadderStep {
    LadderStep {
        at,
        requires: Vec::new(),
        level,
        term: None,
        recipients_per_hour: None,
        notify: Vec::new(),
    }
}

fn abuse(signals: Vec<SignalMark>, ladder: Vec<LadderStep>) -> AbuseRule {
    AbuseRule {
        exempt: Exempt::default(),
        signals,
        decay: Millis::DAY,
        growth: 2,
        max_for: Millis(30 * DAY),
        ladder,
    }
}

fn world(spec: AbuseRule) -> World {
    World::new(vec![rule("stolen", RuleSpec::AbuseRule(spec))])
}

/// Limit at 60 for six hours, Suspend at 100 if there was spam.
fn usual() -> AbuseRule {
    let signals = vec![
        mark(Signal::UnknownRecipients, 100, 60),
        mark(Signal::SpamVerdicts, 5, 60),
    ];
    let mut limit = step(60, Level::Limit);
    limit.term = Some(Millis(6 * HOUR));
    let mut suspend = step(100, Level::Suspend);
    suspend.requires = vec![Signal::SpamVerdicts];
    abuse(signals, vec![limit, suspend])
}

fn unknown(world: &World, count: u64, after: u64) -> Upshot {
    let event = at(Stage::Mail).after(Millis(after));
    world.see(&event.0, &Seen::UnknownRecipients(count))
}

fn levels(upshot: &Upshot) -> Vec<Level> {
    upshot.restrictions.iter().map(|each| each.level).collect()
}

fn only(upshot: Upshot) -> Restriction {
    let [one] = <[Restriction; 1]>::try_from(upshot.restrictions).unwrap();
    one
}

/// A decision in which content made the message spam.
fn spam(world: &World, after: u64) -> Upshot {
    let event = end(1000).after(Millis(after));
    let mut decision = world.judge(&event.0);
    decision.findings.push(sekisho_policy::Finding {
        object: object(Kind::SubmissionPolicy, "policy").into(),
        part: "spec.classify".into(),
        said: Said::Worsen(sekisho_policy::Class::Spam, Reason::ContentMatched),
        saw: "score 12 of 10".into(),
        enforcement: Enforcement::Enforce,
    });
    world.see(&event.0, &Seen::Judged(&decision))
}

#[test]
fn a_hundred_unknown_recipients_restrict() {
    let world = world(usual());
    for sent in 1..100 {
        assert_eq!(unknown(&world, 1, sent), Upshot::default(), "at {sent}");
    }
    let restriction = only(unknown(&world, 1, 100));
    let now = START.plus(Millis(100));
    assert_eq!(restriction.level, Level::Limit);
    assert_eq!(restriction.since, now);
    assert_eq!(restriction.until, Some(now.plus(Millis(6 * HOUR))));
    assert_eq!(
        restriction.origin,
        Origin::Rule(object(Kind::AbuseRule, "stolen"))
    );
    assert_eq!(&*restriction.why, "60 points: UnknownRecipients 60");
    assert!(restriction.decision.is_some());
}

#[test]
fn a_finding_says_what_was_awarded_and_what_it_led_to() {
    let upshot = unknown(&world(usual()), 100, 0);
    let told: Vec<String> = upshot
        .findings
        .iter()
        .map(|finding| format!("{} {:?} {}", &*finding.part, finding.said, finding.saw))
        .collect();
    assert_eq!(
        told,
        [
            "spec.signals[UnknownRecipients] Noted(AbuseSignal) 100 of 100 in 1h: 60 points, 60 in all",
            "spec.ladder[60] Noted(Restricted) Limit for 6h: 60 points: UnknownRecipients 60",
        ]
    );
}

#[test]
fn a_signal_is_awarded_once_in_its_window() {
    let world = world(usual());
    let first = only(unknown(&world, 100, 0));
    for later in 1..HOUR / 60_000 {
        assert_eq!(unknown(&world, 50, later * 60_000), Upshot::default());
    }
    // The window is over, it goes on, and 58 of the points of then are left: the step is reached anew, and ends when it did.
    let more = unknown(&world, 100, HOUR);
    assert!(more.findings[0].saw.contains("118 in all"), "{more:?}");
    let again = only(more);
    assert_eq!((again.level, again.until), (Level::Limit, first.until));
    assert!(first.outlasts(&again, again.since), "nothing changes by it");
}

#[test]
fn a_step_with_a_condition_waits_for_it() {
    let world = world(usual());
    unknown(&world, 100, 0);
    unknown(&world, 100, HOUR);
    for message in 0..4 {
        assert_eq!(spam(&world, HOUR + message), Upshot::default());
    }
    let restriction = only(spam(&world, HOUR + 4));
    assert_eq!(restriction.level, Level::Suspend);
    assert_eq!(restriction.until, None);
}

#[test]
fn a_step_is_armed_anew_below_its_mark_and_lasts_longer() {
    let world = world(usual());
    let first = only(unknown(&world, 100, 0));
    // Nothing is left after a day; the step is reached anew, and the term doubles.
    let second = only(unknown(&world, 100, DAY));
    let term = |restriction: &Restriction| restriction.term().unwrap().0 / HOUR;
    assert_eq!((term(&first), term(&second)), (6, 12));
    let calm = only(unknown(&world, 100, 60 * DAY));
    assert_eq!(term(&calm), 6, "maxFor without one, and it begins anew");
}

#[test]
fn the_longest_term_is_max_for() {
    let mut spec = usual();
    (spec.max_for, spec.decay) = (Millis(8 * HOUR), Millis(2 * HOUR));
    let world = world(spec);
    let terms = [0, 7, 16, 25].map(|at| only(unknown(&world, 100, at * HOUR)).term());
    let hours = terms.map(|term| term.unwrap().0 / HOUR);
    assert_eq!(hours, [6, 8, 8, 8]);
}

#[test]
fn shadow_says_what_it_would_do() {
    let mut shadow = rule("stolen", RuleSpec::AbuseRule(usual()));
    shadow.enforcement = Enforcement::Shadow;
    let world = World::new(vec![shadow]);
    let upshot = unknown(&world, 100, 0);
    assert_eq!(upshot.restrictions, []);
    assert_eq!(upshot.findings.len(), 2);
    assert!(
        upshot
            .findings
            .iter()
            .all(|finding| finding.enforcement == Enforcement::Shadow)
    );
}

#[test]
fn who_was_released_begins_anew() {
    let world = world(usual());
    assert_eq!(levels(&unknown(&world, 100, 0)), [Level::Limit]);
    let account = Account::canonical("a@example.jp", None);
    let pardon = world.rules.pardon(&account);
    now(world.counters.apply(START, &pardon)).unwrap();
    assert_eq!(unknown(&world, 99, 1000), Upshot::default());
    assert_eq!(
        levels(&unknown(&world, 1, 2000)),
        [Level::Limit],
        "what it does from now on counts"
    );
}

#[test]
fn points_can_be_explained_at_any_time() {
    let world = world(usual());
    unknown(&world, 100, 0);
    let account = Account::canonical("a@example.jp", None);
    let later = START.plus(Millis(DAY / 2));
    let (results, _) = now(world
        .counters
        .apply(later, &world.rules.ask_scores(&account)))
    .unwrap();
    let scores = world.rules.scores(&results, later);
    assert_eq!(scores.len(), 1);
    assert_eq!((scores[0].score, scores[0].next), (30, Some(60)));
    assert_eq!(scores[0].awards.len(), 1);
    assert_eq!(scores[0].awards[0].signal, Signal::UnknownRecipients);
    assert_eq!(scores[0].awards[0].at, START);
}

/// One signal that restricts by itself, and how often it takes.
fn watched(signal: Signal, count: u64) -> World {
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
fn whoever_comes_from_where_a_decoy_was_touched() {
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
    let world = World::new(vec![
        rule("guard", RuleSpec::LoginGuard(guard)),
        rule("stolen", RuleSpec::AbuseRule(rules)),
    ]);
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
        levels(&world.see(&event.0, &Seen::Sent(&items)))
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
