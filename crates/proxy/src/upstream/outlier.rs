//! Endpoints of which too many connections fail, though not all: they are taken out for a while, and come back by a probe.
//!
//! [`super::health::Health`] minds failures in a row and forgets them with the first success. An endpoint that fails every
//! other time never rests long there, and half of what it is given waits for another try.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::luck::shortened;

/// How long an attempt counts.
const WINDOW: Duration = Duration::from_secs(60);
/// The attempts that are remembered.
const MOST: usize = 20;
/// With fewer, nothing is concluded.
const LEAST: usize = 5;
/// The pause after the first ejection; each further one doubles it.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);
/// Who has served for so long begins with the first pause again.
const FORGIVEN: Duration = Duration::from_secs(1800);

/// What is known of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Outlier(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    attempts: VecDeque<(Instant, Outcome)>,
    /// How often it was taken out, or failed its probe.
    ejections: u32,
    /// When it came back.
    returned: Option<Instant>,
    out: Option<Out>,
}

#[derive(Clone, Copy, Debug)]
struct Out {
    until: Instant,
    probed: bool,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Served,
    Failed,
}

/// Whether an endpoint may be taken out: of a group, never more than half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    Granted,
    Denied,
}

/// How an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes mail.
    In,
    /// It takes none.
    Out,
    /// It takes none, and its pause is over: somebody is to ask whether it serves.
    Due,
}

impl Outlier {
    pub(super) fn standing(&self, now: Instant) -> Standing {
        match self.state().out {
            None => Standing::In,
            Some(out) if now < out.until || out.probed => Standing::Out,
            Some(_) => Standing::Due,
        }
    }

    /// Counts an attempt; whether the endpoint is taken out by it, for a pause that `luck` shortens by up to a quarter.
    pub(super) fn note(&self, outcome: Outcome, now: Instant, leave: Leave, luck: u8) -> bool {
        let mut state = self.state();
        let state = &mut *state;
        if state.out.is_some() {
            // Somebody had nobody else to go to. That it served is as good as a probe.
            if outcome == Outcome::Served {
                state.come_back(now);
            }
            return false;
        }
        while state.attempts.len() >= MOST {
            state.attempts.pop_front();
        }
        state.attempts.push_back((now, outcome));
        state.attempts.retain(|(at, _)| *at + WINDOW > now);
        let failed = state.attempts.iter();
        let failed = failed.filter(|(_, of)| *of == Outcome::Failed).count();
        let is_outlier = state.attempts.len() >= LEAST && failed * 2 >= state.attempts.len();
        if outcome == Outcome::Served || !is_outlier || leave == Leave::Denied {
            return false;
        }
        if state.returned.is_some_and(|at| at + FORGIVEN <= now) {
            state.ejections = 0;
        }
        state.take_out(now, luck);
        true
    }

    /// Whether the caller is to probe it: nobody else does then.
    pub(super) fn claim_probe(&self, now: Instant) -> bool {
        match &mut self.state().out {
            Some(out) if now >= out.until && !out.probed => {
                out.probed = true;
                true
            }
            _ => false,
        }
    }

    /// What the probe found.
    pub(super) fn probed(&self, outcome: Outcome, now: Instant, luck: u8) {
        let mut state = self.state();
        if state.out.is_none() {
            return;
        }
        match outcome {
            Outcome::Served => state.come_back(now),
            Outcome::Failed => state.take_out(now, luck),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_out(&mut self, now: Instant, luck: u8) {
        let pause = FIRST.saturating_mul(1 << self.ejections.min(16));
        self.ejections += 1;
        self.attempts.clear();
        self.out = Some(Out {
            until: now + shortened(pause.min(LONGEST), luck),
            probed: false,
        });
    }

    fn come_back(&mut self, now: Instant) {
        self.out = None;
        self.returned = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn note(outlier: &Outlier, outcomes: &str, now: Instant, leave: Leave) -> bool {
        let mut out = false;
        for outcome in outcomes.chars() {
            let outcome = if outcome == 's' {
                Outcome::Served
            } else {
                Outcome::Failed
            };
            out |= outlier.note(outcome, now, leave, 0);
        }
        out
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_enough_attempts_must_fail() {
        let now = Instant::now();
        for (outcomes, out) in [
            ("ffff", false),
            ("fffff", true),
            ("sfsfs", false),
            ("sfsfsf", true),
            ("sssssssssff", false),
        ] {
            assert_eq!(
                note(&Outlier::default(), outcomes, now, Leave::Granted),
                out,
                "{outcomes}"
            );
            assert!(!note(&Outlier::default(), outcomes, now, Leave::Denied));
        }
        let outlier = Outlier::default();
        note(&outlier, "ffff", now, Leave::Granted);
        assert!(
            !note(&outlier, "f", now + WINDOW, Leave::Granted),
            "old attempts count"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_comes_back_by_a_probe_and_the_pause_grows() {
        let outlier = Outlier::default();
        let mut now = Instant::now();
        assert!(note(&outlier, "fffff", now, Leave::Granted));
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(
                outlier.standing(now + (seconds - 1) * SECOND),
                Standing::Out
            );
            assert!(!outlier.claim_probe(now + (seconds - 1) * SECOND));
            now += seconds * SECOND;
            assert_eq!(outlier.standing(now), Standing::Due);
            assert!(outlier.claim_probe(now));
            assert!(!outlier.claim_probe(now), "one probe at a time");
            assert_eq!(outlier.standing(now), Standing::Out);
            outlier.probed(Outcome::Failed, now, 0);
        }
        now += 600 * SECOND;
        assert!(outlier.claim_probe(now));
        outlier.probed(Outcome::Served, now, 0);
        assert_eq!(outlier.standing(now), Standing::In);
        // It is remembered for a while.
        assert!(note(&outlier, "fffff", now + SECOND, Leave::Granted));
        assert_eq!(outlier.standing(now + 500 * SECOND), Standing::Out);
        note(&outlier, "s", now + 2 * SECOND, Leave::Granted);
        assert_eq!(outlier.standing(now + 2 * SECOND), Standing::In);
        now += FORGIVEN + 2 * SECOND;
        assert!(note(&outlier, "fffff", now, Leave::Granted));
        assert_eq!(outlier.standing(now + FIRST), Standing::Due);
    }
}
