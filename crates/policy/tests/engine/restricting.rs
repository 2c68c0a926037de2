//! `onExceed: Restrict`: a limit stays one, and restricts whoever is over it once.

use sekisho_policy::decision::{Decision, Reason, Said};
use sekisho_policy::error::LoadError;
use sekisho_policy::event::*;
use sekisho_policy::restriction::{Level, Origin};
use sekisho_policy::snapshot::*;
use sekisho_policy::{Millis, Ruleset, Seen, Upshot};

use crate::ladder::{Desk, HOUR, levels, only};
use crate::support::*;

pub(crate) const MINUTE: u64 = Millis::MINUTE.0;
const PART: &str = "spec.limits[Recipients per 1h]";

/// Three recipients an hour, and a restriction for ten minutes.
pub(crate) fn hourly(level: Level) -> RateLimit {
    RateLimit {
        on_exceed: OnExceed::Restrict,
        restrict: Some(Restrict {
            level,
            term: Some(Millis(10 * MINUTE)),
            recipients_per_hour: (level == Level::Limit).then_some(50),
            growth: 2,
            max_for: Millis(30 * Millis::DAY.0),
        }),
        ..rate(
            &[KeyPart::Account],
            &[limit(Unit::Recipients, 3, Millis::HOUR)],
        )
    }
}

pub(crate) fn desk(spec: RateLimit) -> Desk {
    Desk::of(World::new(vec![rule("hourly", RuleSpec::RateLimit(spec))]))
}

/// What becomes of an event of an account that is restricted as is known.
fn happen(desk: &Desk, event: At) -> (Decision, Upshot) {
    let event = desk.restricted(event.0);
    let decision = desk.judge(&event);
    let upshot = desk.see(event, &Seen::Judged(&decision));
    (decision, upshot)
}

pub(crate) fn send(desk: &Desk, after: u64) -> (String, Upshot) {
    let (decision, upshot) = happen(desk, rcpt("x@example.org").after(Millis(after)));
    (code(&decision), upshot)
}

/// Uses up what there is.
fn fill(desk: &Desk, after: u64) {
    for _ in 0..3 {
        assert_eq!(send(desk, after), ("ok".into(), Upshot::default()));
    }
}

#[test]
fn nothing_over_it_passes_and_the_account_is_restricted() {
    for (level, expected) in [
        (Level::Watch, "450 4.7.1"),
        (Level::Limit, "450 4.7.1"),
        (Level::Quarantine, "450 4.7.1"),
        (Level::Suspend, "550 5.7.1"),
    ] {
        let desk = desk(hourly(level));
        fill(&desk, 0);
        let (decision, upshot) = happen(&desk, rcpt("x@example.org").after(Millis(5)));
        assert_eq!(code(&decision), expected, "{level}");
        assert_eq!(
            decision.verdict.refusal().unwrap().reason,
            Reason::Restricted
        );
        let seen = finding(&decision, PART);
        assert_eq!(seen.saw, "3 of 3 in 1h");
        let [said] = &upshot.findings[..] else {
            panic!("{upshot:?}")
        };
        assert_eq!(
            (&*said.part, said.said),
            ("spec.restrict", Said::Noted(Reason::Restricted))
        );
        let why = "over a limit of Recipients: 3 of 3 in 1h";
        assert_eq!(said.saw, format!("{level} for 10m: {why}"));
        let restriction = only(upshot);
        let now = START.plus(Millis(5));
        assert_eq!((restriction.level, restriction.since), (level, now));
        assert_eq!(restriction.until, Some(now.plus(Millis(10 * MINUTE))));
        assert_eq!(
            restriction.origin,
            Origin::Rule(object(Kind::RateLimit, "hourly"))
        );
        assert_eq!(&*restriction.why, why);
        assert_eq!(
            restriction.recipients_per_hour,
            (level == Level::Limit).then_some(50)
        );
        assert!(restriction.decision.is_some());
    }
}

#[test]
fn whoever_is_restricted_is_not_restricted_anew() {
    let desk = desk(hourly(Level::Watch));
    fill(&desk, 0);
    assert_eq!(levels(&send(&desk, MINUTE).1), [Level::Watch]);
    for minute in 2..11 {
        let (decision, upshot) =
            happen(&desk, rcpt("x@example.org").after(Millis(minute * MINUTE)));
        assert_eq!(upshot, Upshot::default(), "at {minute}");
        assert_eq!(said(&decision, PART), Said::Defer(Reason::RateExceeded));
    }
    // It is over, the window is full still: a repetition.
    let again = only(send(&desk, 11 * MINUTE).1);
    assert_eq!(again.term(), Some(Millis(20 * MINUTE)));
    // Once there is room nobody is over anything.
    assert_eq!(send(&desk, 2 * HOUR), ("ok".into(), Upshot::default()));
}

#[test]
fn who_is_suspended_uses_nothing_up() {
    let desk = desk(hourly(Level::Suspend));
    fill(&desk, 0);
    assert_eq!(levels(&send(&desk, 0).1), [Level::Suspend]);
    let (decision, upshot) = happen(&desk, rcpt("x@example.org").after(Millis(MINUTE)));
    assert_eq!(code(&decision), "550 5.7.1");
    assert_eq!(upshot, Upshot::default());
    assert_eq!(said(&decision, PART), Said::Defer(Reason::RateExceeded));
}

#[test]
fn a_release_forgets_what_was_used() {
    let desk = desk(hourly(Level::Suspend));
    fill(&desk, 0);
    let first = only(send(&desk, 1).1);
    desk.release(START.plus(Millis(MINUTE)));
    fill(&desk, 2 * MINUTE);
    let second = only(send(&desk, 2 * MINUTE).1);
    assert_eq!(first.term(), Some(Millis(10 * MINUTE)));
    assert_eq!(second.term(), Some(Millis(20 * MINUTE)), "a repetition");
    // Said again, and late, it changes nothing more.
    desk.counters_forgive(START.plus(Millis(MINUTE)), 3 * MINUTE);
    let (decision, _) = happen(&desk, rcpt("x@example.org").after(Millis(3 * MINUTE)));
    assert_eq!(finding(&decision, PART).saw, "3 of 3 in 1h");
}

/// Nobody knows all tallies of an account that is counted together with something else.
#[test]
fn a_release_lets_off_where_it_cannot_forget() {
    let desk = desk(RateLimit {
        key: vec![KeyPart::Account, KeyPart::SenderDomain],
        ..hourly(Level::Suspend)
    });
    fill(&desk, 0);
    assert_eq!(levels(&send(&desk, 1).1), [Level::Suspend]);
    desk.release(START.plus(Millis(MINUTE)));
    for minute in [1, 2, 59] {
        let (decision, upshot) = happen(
            &desk,
            rcpt("x@example.org").after(Millis(minute * MINUTE + 1)),
        );
        assert_eq!(code(&decision), "450 4.7.1", "a limit is one all the same");
        assert_eq!(
            finding(&decision, PART).saw,
            "3 of 3 in 1h, released lately"
        );
        assert_eq!(upshot, Upshot::default());
    }
    // All that was used before the release has left the window, and whoever fills it again is over it again.
    let later = 64 * MINUTE;
    fill(&desk, later);
    // Who hears of the release only now lets nobody off anew.
    desk.counters_forgive(START.plus(Millis(MINUTE)), later);
    assert_eq!(levels(&send(&desk, later).1), [Level::Suspend]);
    // Each release counts from its own time.
    desk.release(START.plus(Millis(later + 1)));
    assert_eq!(send(&desk, later + 30 * MINUTE).1, Upshot::default());
}

#[test]
fn a_shadow_says_so_and_restricts_nobody() {
    for (level, expected) in [
        (Level::Limit, Said::Defer(Reason::Restricted)),
        (Level::Suspend, Said::Reject(Reason::Restricted)),
    ] {
        let mut shadow = rule("hourly", RuleSpec::RateLimit(hourly(level)));
        shadow.enforcement = Enforcement::Shadow;
        let desk = Desk::of(World::new(vec![shadow]));
        fill(&desk, 0);
        let (decision, upshot) = happen(&desk, rcpt("x@example.org"));
        assert_eq!((code(&decision), upshot), ("ok".into(), Upshot::default()));
        let seen = finding(&decision, PART);
        assert_eq!(seen.said, expected);
        assert_eq!(seen.saw, format!("4 of 3 in 1h, would lead to {level}"));
    }
}

#[test]
fn a_brake_that_tripped_restricts_nobody() {
    let desk = desk(hourly(Level::Suspend));
    fill(&desk, 0);
    let mut event = rcpt("x@example.org");
    event.0.tripped = vec![object(Kind::RateLimit, "hourly")];
    let (decision, upshot) = happen(&desk, event);
    assert_eq!((code(&decision), upshot), ("ok".into(), Upshot::default()));
}

#[test]
fn what_is_refused_anyway_is_over_nothing() {
    let mut policy = policy();
    policy.recipient_domains = RecipientDomains::MustResolve;
    let rules = vec![
        rule("policy", RuleSpec::SubmissionPolicy(policy)),
        rule("hourly", RuleSpec::RateLimit(hourly(Level::Suspend))),
    ];
    let desk = Desk::of(World::new(rules));
    fill(&desk, 0);
    let nowhere = at(Stage::Rcpt {
        recipient: address("x@nowhere.example"),
        domain: Fact::Known(DomainStanding::Missing),
    });
    let (decision, upshot) = happen(&desk, nowhere);
    assert_eq!(
        (code(&decision), upshot),
        ("550 5.1.2".into(), Upshot::default())
    );
}

#[test]
fn what_never_fits_is_no_excess() {
    let desk = desk(RateLimit {
        limits: vec![limit(Unit::Bytes, 1000, Millis::HOUR)],
        ..hourly(Level::Suspend)
    });
    let (decision, upshot) = happen(&desk, end(2000));
    assert_eq!(
        (code(&decision), upshot),
        ("552 5.3.4".into(), Upshot::default())
    );
    assert_eq!(code(&happen(&desk, end(600)).0), "ok");
    let (decision, upshot) = happen(&desk, end(600));
    assert_eq!(code(&decision), "550 5.7.1");
    assert_eq!(
        &*only(upshot).why,
        "over a limit of Bytes: 600 of 1000 in 1h"
    );
}

#[test]
fn several_limits_of_one_object_restrict_once_and_overrides_have_their_own() {
    let wide = Override {
        name: "newsletter".into(),
        applies: Match {
            accounts: vec!["news@example.jp".into()],
            ..Match::default()
        },
        limits: vec![limit(Unit::Recipients, 5, Millis::HOUR)],
    };
    let desk = desk(RateLimit {
        limits: vec![
            limit(Unit::Recipients, 3, Millis::HOUR),
            limit(Unit::Recipients, 3, Millis::DAY),
        ],
        overrides: vec![wide],
        ..hourly(Level::Limit)
    });
    fill(&desk, 0);
    assert_eq!(levels(&send(&desk, 0).1), [Level::Limit]);
    let news = || rcpt("x@example.org").account("news@example.jp");
    for _ in 0..5 {
        assert_eq!(happen_to_nobody(&desk, news()), "ok");
    }
    assert_eq!(happen_to_nobody(&desk, news()), "450 4.7.1");
}

/// Of an account that is not the desk's.
fn happen_to_nobody(desk: &Desk, event: At) -> String {
    code(&desk.judge(&event.0))
}

#[test]
fn counters_that_do_not_answer_restrict_nobody_unless_this_process_counts() {
    let desk = desk(RateLimit {
        on_unavailable: OnCountersUnavailable::Defer,
        ..hourly(Level::Suspend)
    });
    let event = rcpt("x@example.org").0;
    let decision = desk.judge_without_counters(&event);
    assert_eq!(code(&decision), "451 4.3.0");
    assert_eq!(
        desk.see(event.clone(), &Seen::Judged(&decision)),
        Upshot::default()
    );
    let alone = self::desk(hourly(Level::Suspend));
    for _ in 0..3 {
        assert_eq!(code(&alone.judge_alone(&event)), "ok");
    }
    let decision = alone.judge_alone(&event);
    let upshot = alone.see(event, &Seen::Judged(&decision));
    assert_eq!(
        &*only(upshot).why,
        "over a limit of Recipients: 3 of 3 in 1h, counted by this proxy alone"
    );
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let refused = |change: fn(&mut RateLimit)| {
        let mut spec = hourly(Level::Suspend);
        change(&mut spec);
        let rules = vec![rule("hourly", RuleSpec::RateLimit(spec))];
        match Ruleset::load(&envelope(snapshot(rules))) {
            Err(LoadError::Invalid { part, .. }) => part,
            other => panic!("{other:?}"),
        }
    };
    for (change, part) in [
        (
            (|spec| spec.restrict = None) as fn(&mut RateLimit),
            "spec.restrict",
        ),
        (|spec| spec.on_exceed = OnExceed::Defer, "spec.restrict"),
        (|spec| spec.key = vec![KeyPart::Source], "spec.key"),
        (
            |spec| spec.limits = vec![limit(Unit::Attempts, 3, Millis::HOUR)],
            "spec.limits",
        ),
        (
            |spec| spec.restrict.as_mut().unwrap().growth = 0,
            "spec.restrict",
        ),
        (
            |spec| spec.restrict.as_mut().unwrap().term = Some(Millis(0)),
            "spec.restrict",
        ),
    ] {
        assert_eq!(refused(change), part);
    }
}
