//! A model of the ladder: signals, lost answers, time and releases in any order.

use proptest::prelude::*;
use sekisho_policy::event::*;
use sekisho_policy::restriction::Level;
use sekisho_policy::snapshot::*;
use sekisho_policy::{Account, Event, Millis, Op, Restriction, Results, Seen, Signal, Timestamp};

use crate::ladder::*;
use crate::support::*;

/// What can happen to an account within the model.
#[derive(Clone, Debug)]
enum Act {
    /// A signal, and what of the answers to it is lost: that of a turn, or all that would have come of the third.
    Signal {
        signal: Signal,
        count: u64,
        lost: Option<usize>,
    },
    Wait(u64),
    Release,
}

fn act() -> impl Strategy<Value = Act> {
    let signal = prop_oneof![Just(Signal::UnknownRecipients), Just(Signal::SpamVerdicts)];
    let lost = proptest::option::weighted(0.3, 0usize..4);
    prop_oneof![
        6 => (signal, 1u64..4, lost).prop_map(|(signal, count, lost)| Act::Signal { signal, count, lost }),
        5 => (1u64..120).prop_map(|minutes| Act::Wait(minutes * 60_000)),
        1 => Just(Act::Release),
    ]
}

/// Shorter the worse they are, so that a milder one is often covered by a worse one that ends before it.
fn steep() -> AbuseRule {
    let signals = vec![
        mark(Signal::UnknownRecipients, 3, 30),
        mark(Signal::SpamVerdicts, 2, 25),
    ];
    let rung = |at, level, minutes: u64| LadderStep {
        term: Some(Millis(minutes * 60_000)),
        ..step(at, level)
    };
    let mut quarantine = rung(60, Level::Quarantine, 45);
    quarantine.requires = vec![Signal::SpamVerdicts];
    let ladder = vec![
        rung(25, Level::Limit, 200),
        quarantine,
        rung(90, Level::Suspend, 20),
    ];
    AbuseRule {
        decay: Millis(8 * HOUR),
        max_for: Millis(10 * HOUR),
        ..abuse(signals, ladder)
    }
}

/// The model: what was imposed since the last release, and the time.
struct Model {
    desk: Desk,
    now: u64,
    imposed: Vec<Restriction>,
}

impl Model {
    fn time(&self) -> Timestamp {
        START.plus(Millis(self.now))
    }

    fn in_force(&self) -> Option<Level> {
        let holds = self.desk.holds.borrow();
        Some(holds.as_ref()?.in_force(self.time())?.level)
    }

    /// The step that the points reach, by the rule's words.
    fn reached(&self) -> Option<Level> {
        let account = Account::canonical("a@example.jp", None);
        let ask = self.desk.rules.ask_scores(&account);
        let (results, _) = now(self.desk.counters.apply(self.time(), &ask)).unwrap();
        let score = self.desk.rules.scores(&results, self.time()).remove(0);
        let has = |signal: &Signal| {
            let mut of = score.awards.iter().filter(|award| award.signal == *signal);
            of.any(|award| award.left(score.decay, self.time()) > 0)
        };
        let stands = |step: &&LadderStep| score.score >= step.at && step.requires.iter().all(has);
        let ladder = steep().ladder;
        ladder.iter().filter(stands).map(|step| step.level).max()
    }

    fn signal(&mut self, signal: Signal, count: u64, lost: Option<usize>) {
        let before = self.in_force();
        let event = self.event(signal);
        let apply = |turn: usize, ops: &[Op]| {
            let results = now(self.desk.counters.apply(event.at, ops)).unwrap().0;
            if lost == Some(turn) {
                Results::default()
            } else {
                results
            }
        };
        let decision = spam_verdict(&self.desk, &event);
        let seen = match signal {
            Signal::SpamVerdicts => Seen::Judged(&decision),
            _ => Seen::UnknownRecipients(count),
        };
        let watch = self.desk.rules.watch(&event, &seen);
        let counted = apply(0, watch.ops());
        let Some(claims) = watch.claims(&counted) else {
            return;
        };
        let awarded = apply(1, claims.ops());
        let steps = claims.steps(&awarded);
        let told = apply(2, steps.ops());
        let upshot = steps.upshot(&told);
        if lost == Some(3) {
            return;
        }
        for imposed in upshot.restrictions {
            assert!(
                before < Some(imposed.level),
                "{before:?} stood, {imposed:?}"
            );
            let term = imposed.term().expect("every step has one");
            assert!(term <= steep().max_for);
            self.desk.take(&imposed, event.at);
            self.imposed.push(imposed);
        }
        if lost != Some(1) {
            assert!(
                self.in_force() >= self.reached(),
                "{:?} of {:?}",
                self.in_force(),
                self.reached()
            );
        }
    }

    fn event(&self, signal: Signal) -> Event {
        let event = match signal {
            Signal::SpamVerdicts => end(100),
            _ => at(Stage::Mail),
        };
        self.desk.restricted(event.after(Millis(self.now)).0)
    }

    /// Whatever was imposed holds for as long as was said, or something worse does.
    fn nobody_was_let_off(&self) {
        for imposed in &self.imposed {
            if imposed.until.is_none_or(|until| self.time() < until) {
                assert!(self.in_force() >= Some(imposed.level), "{imposed:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// After each event at which a signal is at its mark, whatever was lost before it: who has the points of a step is restricted
    /// by it or by a worse one; nobody is restricted anew who is; and nobody is let off before his time but by a release.
    #[test]
    fn who_has_the_points_is_restricted(acts in proptest::collection::vec(act(), 1..60)) {
        let mut model = Model { desk: world(steep()), now: 0, imposed: Vec::new() };
        for act in acts {
            match act {
                Act::Signal { signal, count, lost } => model.signal(signal, count, lost),
                Act::Wait(millis) => model.now += millis,
                Act::Release => {
                    model.desk.release(model.time());
                    model.imposed.clear();
                    prop_assert_eq!(model.reached(), None);
                    model.now += 1;
                }
            }
            model.nobody_was_let_off();
        }
    }
}
