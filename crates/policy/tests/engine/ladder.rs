//! The ladder of AbuseRule: points that stand restrict, whatever was lost on the way, and nobody is restricted twice for the same.

use std::cell::RefCell;
use std::sync::Arc;

use sekisho_policy::decision::{Decision, Reason, Said};
use sekisho_policy::event::*;
use sekisho_policy::restriction::{Level, Origin};
use sekisho_policy::snapshot::*;
use sekisho_policy::{
    Account, Event, Millis, Op, Restriction, Results, Seen, Signal, Standing, Timestamp, Upshot,
};

use crate::support::*;

pub(crate) const HOUR: u64 = Millis::HOUR.0;
pub(crate) const DAY: u64 = Millis::DAY.0;

pub(crate) fn mark(signal: Signal, count: u64, points: u32) -> SignalMark {
    SignalMark {
        signal,
        count,
        per: Millis::HOUR,
        points,
    }
}

pub(crate) fn step(at: u32, level: Level) -> LadderStep {
    LadderStep {
        at,
        requires: Vec::new(),
        level,
        term: None,
        recipients_per_hour: None,
        notify: Vec::new(),
    }
}

pub(crate) fn abuse(signals: Vec<SignalMark>, ladder: Vec<LadderStep>) -> AbuseRule {
    AbuseRule {
        exempt: Exempt::default(),
        signals,
        decay: Millis::DAY,
        growth: 2,
        max_for: Millis(30 * DAY),
        ladder,
    }
}

pub(crate) fn world(spec: AbuseRule) -> Desk {
    Desk::of(World::new(vec![rule("stolen", RuleSpec::AbuseRule(spec))]))
}

/// Rules and counters, and what restricts the account.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) holds: RefCell<Option<Restriction>>,
}

impl Desk {
    pub(crate) fn of(world: World) -> Self {
        let holds = RefCell::default();
        Self { world, holds }
    }

    /// Follows an event up, with what restricts the account in it, and keeps what comes of it.
    pub(crate) fn see(&self, event: Event, seen: &Seen<'_>) -> Upshot {
        let event = self.restricted(event);
        let upshot = self.world.see(&event, seen);
        for imposed in &upshot.restrictions {
            self.take(imposed, event.at);
        }
        upshot
    }

    /// The event of an account that is restricted as is known.
    pub(crate) fn restricted(&self, mut event: Event) -> Event {
        if let Some(account) = &mut event.account {
            let standing = Standing::of(&*self.holds.borrow(), event.at);
            Arc::make_mut(account).standing = standing.map(Box::new);
        }
        event
    }

    pub(crate) fn take(&self, imposed: &Restriction, at: Timestamp) {
        let mut holds = self.holds.borrow_mut();
        let joined = match &*holds {
            Some(before) => before.joined(imposed, at),
            None => Some(imposed.clone()),
        };
        *holds = joined.or(holds.take());
    }

    pub(crate) fn release(&self, at: Timestamp) {
        *self.holds.borrow_mut() = None;
        self.counters_forgive(at, at.since(START).0);
    }

    /// What was said of the account up to `at` is forgotten, so long after the beginning.
    pub(crate) fn counters_forgive(&self, at: Timestamp, after: u64) {
        let account = Account::canonical("a@example.jp", None);
        let heard = START.plus(Millis(after));
        let pardon = self.rules.pardon(&account, None, at, heard);
        now(self.counters.apply(heard, &pardon)).unwrap();
    }
}

impl std::ops::Deref for Desk {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

/// Limit at 60 for six hours, Suspend at 100 if there was spam.
pub(crate) fn usual() -> AbuseRule {
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

pub(crate) fn unknown(desk: &Desk, count: u64, after: u64) -> Upshot {
    let event = at(Stage::Mail).after(Millis(after));
    desk.see(event.0, &Seen::UnknownRecipients(count))
}

pub(crate) fn levels(upshot: &Upshot) -> Vec<Level> {
    upshot.restrictions.iter().map(|each| each.level).collect()
}

pub(crate) fn only(upshot: Upshot) -> Restriction {
    let [one] = <[Restriction; 1]>::try_from(upshot.restrictions).unwrap();
    one
}

/// A decision in which content made the message spam.
pub(crate) fn spam(desk: &Desk, after: u64) -> Upshot {
    condemned(desk, end(1000).after(Millis(after)).0)
}

pub(crate) fn condemned(desk: &Desk, event: Event) -> Upshot {
    let decision = spam_verdict(desk, &event);
    desk.see(event, &Seen::Judged(&decision))
}

pub(crate) fn spam_verdict(desk: &Desk, event: &Event) -> Decision {
    let mut decision = desk.judge(event);
    decision.findings.push(sekisho_policy::Finding {
        object: object(Kind::SubmissionPolicy, "policy").into(),
        part: "spec.classify".into(),
        said: Said::Worsen(sekisho_policy::Class::Spam, Reason::ContentMatched),
        saw: "score 12 of 10".into(),
        enforcement: Enforcement::Enforce,
    });
    decision
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
    assert_eq!(levels(&unknown(&world, 100, 0)), [Level::Limit]);
    for later in 1..HOUR / 60_000 {
        assert_eq!(unknown(&world, 50, later * 60_000), Upshot::default());
    }
    // The window is over, it goes on, and 58 of the points of then are left: the account stands on the step already.
    let more = unknown(&world, 100, HOUR);
    assert!(more.findings[0].saw.contains("118 in all"), "{more:?}");
    assert_eq!((more.findings.len(), more.restrictions), (1, vec![]));
}

#[test]
fn points_that_stand_restrict_again_once_it_is_over() {
    let mut spec = usual();
    (spec.ladder[0].at, spec.ladder[0].term) = (40, Some(Millis(HOUR / 2)));
    let world = world(spec);
    let first = only(unknown(&world, 100, 0));
    assert_eq!(unknown(&world, 1, HOUR / 2 - 1), Upshot::default());
    // No new award: it is the same window.
    let again = unknown(&world, 1, HOUR / 2);
    assert_eq!(again.findings.len(), 1, "{again:?}");
    let again = only(again);
    assert_eq!(again.level, Level::Limit);
    assert_eq!(again.term(), Some(Millis(HOUR)), "a repetition");
    assert_eq!(first.until, Some(again.since));
    // What is below its mark is no evidence, whatever points there are.
    assert_eq!(unknown(&world, 1, 3 * HOUR), Upshot::default());
}

/// An auto-responder answers forged senders, who do not exist.
#[test]
fn what_answers_by_itself_tries_no_unknown_recipients() {
    let world = world(usual());
    let of_nobody = at(Stage::Mail).sender("");
    let seen = Seen::UnknownRecipients(100);
    assert!(world.rules.watch(&of_nobody.0, &seen).ops().is_empty());
    assert_eq!(levels(&unknown(&world, 100, 1)), [Level::Limit]);
}

#[test]
fn what_was_lost_is_made_up_for() {
    for lost in 0..3 {
        let world = world(usual());
        let event = at(Stage::Mail).0;
        let apply = |ops: &[Op]| now(world.counters.apply(event.at, ops)).unwrap().0;
        let results = |at: usize, ops: &[Op]| {
            let results = apply(ops);
            if at == lost {
                Results::default()
            } else {
                results
            }
        };
        let watch = world.rules.watch(&event, &Seen::UnknownRecipients(100));
        let counted = results(0, watch.ops());
        if let Some(claims) = watch.claims(&counted) {
            let awarded = results(1, claims.ops());
            // Of the third turn nothing comes, as of a process that ends there.
            let steps = claims.steps(&awarded);
            results(2, steps.ops());
        }
        let made_up = unknown(&world, 1, 1000);
        assert_eq!(levels(&made_up), [Level::Limit], "lost {lost}");
        assert_eq!(unknown(&world, 1, 2000), Upshot::default());
    }
}

fn judged(desk: &Desk, event: Event) -> Upshot {
    let decision = desk.judge(&event);
    desk.see(event, &Seen::Judged(&decision))
}

#[test]
fn of_two_awards_in_one_event_the_higher_step_is_taken() {
    let signals = vec![
        mark(Signal::DistinctCountries, 2, 70),
        mark(Signal::DistinctSources, 2, 20),
    ];
    let ladder = vec![step(20, Level::Watch), step(80, Level::Suspend)];
    let world = world(abuse(signals, ladder));
    let here = at(Stage::LoginSucceeded);
    assert_eq!(levels(&judged(&world, here.0)), []);
    let there = at(Stage::LoginSucceeded).from("BR").source("198.51.100.1");
    assert_eq!(levels(&judged(&world, there.0)), [Level::Suspend]);
}

#[test]
fn a_milder_step_goes_on_after_a_worse_one_that_is_shorter() {
    let mut spec = usual();
    spec.ladder[1].term = Some(Millis(HOUR));
    let world = world(spec);
    unknown(&world, 100, 0);
    for message in 0..4 {
        spam(&world, HOUR + message);
    }
    assert_eq!(levels(&spam(&world, HOUR + 4)), [Level::Suspend]);
    let level = |after| {
        let holds = world.holds.borrow();
        let part = holds.as_ref()?.in_force(START.plus(Millis(after)))?;
        Some(part.level)
    };
    assert_eq!(level(2 * HOUR), Some(Level::Suspend));
    assert_eq!(level(2 * HOUR + 4), Some(Level::Limit));
    assert_eq!(level(6 * HOUR - 1), Some(Level::Limit));
    assert_eq!(level(6 * HOUR), None);
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
    let world = Desk::of(World::new(vec![shadow]));
    let upshot = unknown(&world, 100, 0);
    assert_eq!(upshot.restrictions, []);
    assert_eq!(upshot.findings.len(), 2);
    assert!(
        upshot
            .findings
            .iter()
            .all(|finding| finding.enforcement == Enforcement::Shadow)
    );
    assert_eq!(
        unknown(&world, 100, 1),
        Upshot::default(),
        "once for each climb"
    );
}

#[test]
fn who_was_released_begins_anew() {
    let world = world(usual());
    let first = only(unknown(&world, 100, 0));
    world.release(START.plus(Millis(500)));
    assert_eq!(unknown(&world, 99, 1000), Upshot::default());
    // Somebody else hears of the same release late.
    world.counters_forgive(START.plus(Millis(500)), 1500);
    let again = only(unknown(&world, 1, 2000));
    assert_eq!(again.level, Level::Limit, "what it does from now on counts");
    let hours = |restriction: &Restriction| restriction.term().unwrap().0 / HOUR;
    assert_eq!(
        (hours(&first), hours(&again)),
        (6, 12),
        "from then, and longer"
    );
}

#[test]
fn a_rule_forgives_what_it_counted_and_no_other() {
    let rules = ["one", "two"].map(|name| rule(name, RuleSpec::AbuseRule(usual())));
    let world = Desk::of(World::new(rules.into()));
    let account = Account::canonical("a@example.jp", None);
    let scores = || {
        let ask = world.rules.ask_scores(&account);
        let (results, _) = now(world.counters.apply(START, &ask)).unwrap();
        let scores = world.rules.scores(&results, START);
        scores.iter().map(|score| score.score).collect::<Vec<_>>()
    };
    unknown(&world, 100, 0);
    assert_eq!(scores(), [60, 60]);
    let one = object(Kind::AbuseRule, "one");
    let ops = world.rules.pardon(&account, Some(&one), START, START);
    now(world.counters.apply(START, &ops)).unwrap();
    assert_eq!(scores(), [0, 60]);
    let gone = object(Kind::AbuseRule, "gone");
    assert_eq!(world.rules.pardon(&account, Some(&gone), START, START), []);
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
