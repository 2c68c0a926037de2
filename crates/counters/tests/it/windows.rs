//! The promise as properties: at most N in any W, over random schedules, costs, clocks, limits and give-backs.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sekisho_counters::{Counters, Receipt};
use sekisho_policy::{Op, Outcome, Timestamp};

use crate::model::{Clocks, Lends, Model};
use crate::ops::*;

const KEYS: [&str; 3] = ["one", "two", "three"];

#[derive(Clone, Debug)]
enum Clock {
    Forward(u64),
    Back(u64),
}

#[derive(Clone, Debug)]
enum Step {
    Call(Vec<Ask>),
    GiveBack(prop::sample::Index),
    Clear(usize),
}

#[derive(Clone, Debug)]
enum Ask {
    Gate { key: usize, cost: u64, limit: u64 },
    Meter { key: usize, cost: u64 },
    Read { key: usize },
}

#[derive(Clone, Debug)]
struct Schedule {
    /// Each key has one window, as keys in policy have.
    windows: [u64; 3],
    start: u64,
    steps: Vec<(Clock, Step)>,
}

fn clocks(longest: u64, lends: Lends) -> impl Strategy<Value = Clock> {
    let moments = match lends {
        Lends::Nothing => 1,
        Lends::Credit => 24,
    };
    prop_oneof![
        moments => (0..=longest / 2_000).prop_map(Clock::Forward),
        8 => (0..=longest / 40).prop_map(Clock::Forward),
        2 => (0..=longest / 2).prop_map(Clock::Forward),
        1 => (0..=3 * longest).prop_map(Clock::Forward),
        2 => (0..=longest / 20).prop_map(Clock::Back),
        1 => (0..=3 * longest).prop_map(Clock::Back),
    ]
}

fn asks(lends: Lends) -> impl Strategy<Value = Ask> {
    let key = 0..KEYS.len();
    // Of small limits nothing is lent, and credit of one limit serves no other.
    let (costs, limits) = match lends {
        Lends::Nothing => (0u64..6, (0u64..14).boxed()),
        Lends::Credit => (
            0u64..3,
            prop_oneof![9 => Just(60u64), 1 => 20u64..90].boxed(),
        ),
    };
    prop_oneof![
        6 => (key.clone(), costs, limits).prop_map(|(key, cost, limit)| Ask::Gate { key, cost, limit }),
        1 => (key.clone(), 0u64..6).prop_map(|(key, cost)| Ask::Meter { key, cost }),
        1 => key.prop_map(|key| Ask::Read { key }),
    ]
}

fn steps(lends: Lends) -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => prop::collection::vec(asks(lends), 1..5).prop_map(Step::Call),
        3 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
        1 => (0..KEYS.len()).prop_map(Step::Clear),
    ]
}

fn schedules(lends: Lends) -> impl Strategy<Value = Schedule> {
    let window = || {
        prop_oneof![
            1u64..200,
            1_000u64..100_000,
            Just(60_000u64),
            Just(3_600_000u64)
        ]
    };
    ([window(), window(), window()], 0u64..10_000_000).prop_flat_map(move |(windows, start)| {
        let longest = windows.into_iter().max().unwrap_or(1);
        prop::collection::vec((clocks(longest, lends), steps(lends)), 1..120).prop_map(
            move |steps| Schedule {
                windows,
                start,
                steps,
            },
        )
    })
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: if cases < 1_000 { 1_000 } else { 100_000 },
        ..Config::default()
    })
}

/// At most N in any window of W, nothing refused that the resolution does not explain, and every total between the two.
pub(crate) fn random_schedules_keep_the_promise(
    cases: u32,
    clocks: Clocks,
    make: impl Fn() -> Counters,
) {
    keep_the_promise(cases, Model::new(clocks, Lends::Nothing), make);
}

/// The same of counters that lend: nothing comes back early, and nothing later than leases explain.
pub(crate) fn random_schedules_with_leases_keep_the_promise(
    cases: u32,
    make: impl Fn() -> Counters,
) {
    keep_the_promise(cases, Model::new(Clocks::Server, Lends::Credit), make);
}

fn keep_the_promise(cases: u32, model: Model, make: impl Fn() -> Counters) {
    runner(cases)
        .run(&schedules(model.lends()), |schedule| {
            Trial::new(make(), model.clone(), &schedule).run(&schedule.steps)
        })
        .expect("the property holds");
}

struct Trial {
    counters: Counters,
    model: Model,
    now: u64,
    windows: [u64; 3],
    /// Receipts with the model's names for what they charged.
    receipts: Vec<(Receipt, Vec<usize>)>,
}

impl Trial {
    fn new(counters: Counters, model: Model, schedule: &Schedule) -> Self {
        Self {
            counters,
            model,
            now: schedule.start,
            windows: schedule.windows,
            receipts: Vec::new(),
        }
    }

    fn run(mut self, steps: &[(Clock, Step)]) -> Result<(), TestCaseError> {
        for (clock, step) in steps {
            self.now = match clock {
                Clock::Forward(by) => self.now + by,
                Clock::Back(by) => self.now.saturating_sub(*by),
            };
            match step {
                Step::Call(asks) => self.call(asks)?,
                Step::GiveBack(_) if self.receipts.is_empty() => {}
                Step::GiveBack(which) => {
                    let (receipt, charged) =
                        self.receipts.swap_remove(which.index(self.receipts.len()));
                    run(self.counters.give_back(receipt));
                    charged
                        .into_iter()
                        .for_each(|name| self.model.give_back(name));
                }
                Step::Clear(key) => {
                    self.apply(&[clear(KEYS[*key])]);
                    self.model.clear(*key);
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, ops: &[Op]) -> (Vec<Outcome>, Option<Receipt>) {
        self.model.clock_reads(self.now);
        let (results, receipt) =
            run(self.counters.apply(Timestamp(self.now), ops)).expect("available");
        (results.0, receipt)
    }

    fn call(&mut self, asks: &[Ask]) -> Result<(), TestCaseError> {
        let ops: Vec<Op> = asks.iter().map(|ask| self.op(ask)).collect();
        let (outcomes, receipt) = self.apply(&ops);
        let all_passed = !outcomes
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Full { .. }));
        self.check_gates(asks, &outcomes)?;
        let mut charged = Vec::new();
        for ask in asks {
            if let Ask::Gate {
                key,
                cost: cost @ 1..,
                ..
            } = *ask
                && all_passed
            {
                charged.push(self.model.add(key, cost));
            }
        }
        for (ask, outcome) in asks.iter().zip(&outcomes) {
            if let Ask::Meter {
                key,
                cost: cost @ 1..,
            } = *ask
            {
                charged.push(self.model.add(key, cost));
            }
            if let (Outcome::Total(total), Ask::Meter { key, .. } | Ask::Read { key }) =
                (outcome, ask)
            {
                self.check_total(*key, *total)?;
            }
        }
        prop_assert_eq!(receipt.is_some(), !charged.is_empty());
        self.receipts
            .extend(receipt.map(|receipt| (receipt, charged)));
        Ok(())
    }

    fn op(&self, ask: &Ask) -> Op {
        match *ask {
            Ask::Gate { key, cost, limit } => gate(KEYS[key], cost, limit, self.windows[key]),
            Ask::Meter { key, cost } => meter(KEYS[key], cost, self.windows[key]),
            Ask::Read { key } => read(KEYS[key], self.windows[key]),
        }
    }

    fn check_gates(&self, asks: &[Ask], outcomes: &[Outcome]) -> Result<(), TestCaseError> {
        let mut pending = [0; KEYS.len()];
        for (ask, outcome) in asks.iter().zip(outcomes) {
            let Ask::Gate { key, cost, limit } = *ask else {
                continue;
            };
            match *outcome {
                Outcome::Passed { total } => {
                    prop_assert!(total <= limit, "{total} of {limit}");
                    self.check_total(key, total - cost - pending[key])?;
                    pending[key] += cost;
                }
                Outcome::Full { total, .. } => {
                    prop_assert!(
                        total + cost > limit,
                        "{total} + {cost} would have fitted {limit}"
                    );
                    self.check_total(key, total - pending[key])?;
                }
                ref other => prop_assert!(false, "a gate answered {other:?}"),
            }
        }
        Ok(())
    }

    fn check_total(&self, key: usize, total: u64) -> Result<(), TestCaseError> {
        let window = self.windows[key];
        let (least, most) = (
            self.model.must_hold(key, window),
            self.model.may_hold(key, window),
        );
        prop_assert!(
            total >= least,
            "{} of {} counted in {} ms: too few",
            total,
            least,
            window
        );
        prop_assert!(
            total <= most,
            "{} counted, {} at most in {} ms: too many",
            total,
            most,
            window
        );
        Ok(())
    }
}

/// A gate that is full passes at `retry_at` and not a millisecond before, if nothing else comes.
pub(crate) fn retry_at_is_the_first_moment(cases: u32, make: impl Fn() -> Counters) {
    let charges = prop::collection::vec((0u64..3_000, 1u64..6), 1..80);
    let strategy = (charges, 1u64..40_000, 1u64..30, 1u64..30, 0u64..50_000);
    let check = |(charges, window, cost, limit, mut now): (Vec<(u64, u64)>, u64, u64, u64, u64)| {
        let counters = make();
        let apply = |now, op: Op| {
            run(counters.apply(Timestamp(now), &[op]))
                .expect("available")
                .0
                .0
                .swap_remove(0)
        };
        for (later, cost) in charges {
            now += later;
            apply(now, meter("k", cost, window));
        }
        match apply(now, gate("k", cost, limit, window)) {
            Outcome::Full { retry_at: None, .. } => prop_assert!(cost > limit),
            Outcome::Full {
                retry_at: Some(retry),
                ..
            } => {
                prop_assert!(retry.0 > now && retry.0 <= now + window);
                let before = apply(retry.0 - 1, gate("k", cost, limit, window));
                prop_assert!(
                    matches!(before, Outcome::Full { retry_at, .. } if retry_at == Some(retry)),
                    "{before:?}"
                );
                let then = apply(retry.0, gate("k", cost, limit, window));
                prop_assert!(matches!(then, Outcome::Passed { .. }), "{then:?}");
            }
            outcome => prop_assert!(matches!(outcome, Outcome::Passed { .. }), "{outcome:?}"),
        }
        Ok(())
    };
    runner(cases)
        .run(&strategy, check)
        .expect("the property holds");
}
