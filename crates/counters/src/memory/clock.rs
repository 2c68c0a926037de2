//! Turns what callers say into a time that never goes back.

use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_policy::Timestamp;

/// How far behind the latest time a caller may be and still be judged by its own time, in milliseconds.
pub(super) const LATE: u64 = 60_000;

/// One call's two times, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The latest time that any caller said: what is added is added at this time.
    pub(super) latest: u64,
    /// What this caller said, at most `latest`: what has faded by then has faded.
    pub(super) said: u64,
}

impl Moment {
    /// The time by which something that lasts `window` is judged. Never later than either time, so a caller that is
    /// late, or whose clock stepped back, finds nothing gone that its own window still holds.
    pub(super) fn judged(self, window: u64) -> u64 {
        self.said.max(self.latest.saturating_sub(slack(window)))
    }
}

/// How long after its window something is kept for callers that are late.
pub(super) fn slack(window: u64) -> u64 {
    window.min(LATE)
}

#[derive(Debug, Default)]
pub(super) struct Clock {
    latest: AtomicU64,
}

impl Clock {
    pub(super) fn read(&self, now: Timestamp) -> Moment {
        let mut latest = self.latest.load(Ordering::Relaxed);
        if latest < now.0 {
            latest = self.latest.fetch_max(now.0, Ordering::Relaxed).max(now.0);
        }
        Moment {
            latest,
            said: now.0,
        }
    }
}
