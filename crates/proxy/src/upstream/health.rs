//! Who is left alone for a while: an endpoint that cannot be reached, an address that is refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::luck::shortened;

/// The pauses after the first failure, and the longest; each further failure doubles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    first: Duration,
    longest: Duration,
}

/// A next hop that restarts is back within seconds.
pub(super) const UNREACHABLE: Pauses = Pauses {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};
/// A server that refuses an address does so for hours, and asking again makes it worse.
pub(super) const REFUSED: Pauses = Pauses {
    first: Duration::from_secs(30),
    longest: Duration::from_secs(30 * 60),
};

/// After a pause one new connection is tried in this time, and no other before it served: who is not back yet is not stormed.
const TRIAL: Duration = Duration::from_secs(1);

/// What is known of one endpoint or address.
#[derive(Debug)]
pub(super) struct Health {
    pauses: Pauses,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    ejected: Option<Ejection>,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    from: Instant,
    until: Instant,
}

impl Health {
    pub(super) fn new(pauses: Pauses) -> Self {
        Self {
            pauses,
            state: Mutex::default(),
        }
    }

    /// Whether it may be used at `now`.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.good_at() <= Some(now)
    }

    /// When its pause ends; `None` if there is none, which sorts first.
    pub(super) fn good_at(&self) -> Option<Instant> {
        self.state().ejected.map(|ejection| ejection.until)
    }

    /// An attempt that began at `started` failed. Attempts that were under way when the pause began add nothing:
    /// a hundred sessions that fail together are one failure. `luck` shortens the pause by up to a quarter.
    pub(super) fn failed(&self, started: Instant, now: Instant, luck: u8) {
        let mut state = self.state();
        if state
            .ejected
            .is_some_and(|ejection| started <= ejection.from)
        {
            return;
        }
        let doublings = state.failures.min(16);
        let pause = self
            .pauses
            .first
            .saturating_mul(1 << doublings)
            .min(self.pauses.longest);
        state.failures += 1;
        state.ejected = Some(Ejection {
            from: now,
            until: now + shortened(pause, luck),
        });
    }

    /// A new connection is tried. The first one after a pause is a trial, which others leave to it for a while.
    pub(super) fn tried(&self, now: Instant) {
        if let Some(ejection) = &mut self.state().ejected
            && ejection.until <= now
        {
            ejection.until = now + TRIAL;
        }
    }

    /// It served: everything is forgotten.
    pub(super) fn succeeded(&self) {
        *self.state() = State::default();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_pause_grows_and_a_success_ends_it() {
        let health = Health::new(UNREACHABLE);
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(health.is_good(now));
            now += SECOND;
            health.failed(now - SECOND / 2, now, 0);
            assert!(
                !health.is_good(now + seconds * SECOND - SECOND / 100),
                "shorter than {seconds}"
            );
            now += seconds * SECOND;
            assert!(health.is_good(now), "longer than {seconds}");
        }
        health.succeeded();
        health.failed(now, now, 0);
        assert!(health.is_good(now + SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_fail_together_are_one_failure() {
        let health = Health::new(REFUSED);
        let start = Instant::now();
        for _ in 0..100 {
            health.failed(start, start + SECOND, 0);
        }
        assert!(health.is_good(start + 31 * SECOND));
        assert!(!health.is_good(start + 30 * SECOND));
    }
    #[tokio::test(start_paused = true)]
    async fn one_tries_after_a_pause_and_the_others_wait_for_it() {
        let health = Health::new(UNREACHABLE);
        let start = Instant::now();
        health.failed(start, start, 0);
        let over = start + SECOND;
        health.tried(over);
        assert!(!health.is_good(over), "one is out");
        assert!(health.is_good(over + TRIAL), "nobody heard of it again");
        // What failed is a failure although it began before the trial's time was over.
        health.failed(over, over + SECOND / 2, 0);
        assert!(!health.is_good(over + 2 * SECOND));
        health.tried(over + 3 * SECOND);
        health.succeeded();
        assert!(health.is_good(over + 3 * SECOND));
        health.tried(over);
        assert!(health.is_good(over), "where nothing failed nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_are_spread() {
        let now = Instant::now();
        let pause = |luck| {
            let health = Health::new(REFUSED);
            health.failed(now, now, luck);
            health.good_at().unwrap() - now
        };
        assert_eq!((pause(0), pause(255)), (30 * SECOND, 45 * SECOND / 2));
        assert!(pause(128) < pause(127));
    }
}
