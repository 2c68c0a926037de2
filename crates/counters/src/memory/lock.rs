//! Locks that grow with each repetition.

use sekisho_policy::Timestamp;

use super::clock::Moment;
use super::table::Value;

/// The lock of one key and how many came before it.
#[derive(Debug, Default)]
pub(super) struct Lock {
    /// When the last lock began.
    began: u64,
    /// When it ended or will end.
    end: u64,
    /// Locks so far, none of which ended more than a `max` before the next began.
    count: u32,
    /// The longest `max` that was asked for: so long after its end the lock counts no more.
    max: u64,
}

impl Lock {
    /// Locks, unless a lock is in force, which stays as it is: several failures that arrive together are one.
    pub(super) fn lock(
        &mut self,
        moment: Moment,
        base: u64,
        growth: u32,
        max: u64,
    ) -> Option<Timestamp> {
        if let Some(until) = self.until(moment) {
            return Some(until);
        }
        if self.end.saturating_add(max) <= moment.latest {
            self.count = 0;
        }
        let factor = u64::from(growth.max(1)).saturating_pow(self.count);
        let length = base.saturating_mul(factor).min(max);
        if length == 0 {
            return None;
        }
        self.max = self.max.max(max);
        self.count = self.count.saturating_add(1);
        self.began = moment.latest;
        self.end = moment.latest.saturating_add(length);
        Some(Timestamp(self.end))
    }

    /// Ends the lock that is in force if it began at `before` or earlier. It goes on to count.
    pub(super) fn forgive(&mut self, moment: Moment, before: u64) {
        if self.began <= before {
            self.end = self.end.min(moment.latest);
        }
    }

    /// The end of the lock that is in force.
    pub(super) fn until(&self, moment: Moment) -> Option<Timestamp> {
        (self.count > 0 && self.end > moment.latest).then_some(Timestamp(self.end))
    }
}

impl Value for Lock {
    fn is_over(&self, latest: u64) -> bool {
        self.count == 0 || self.end.saturating_add(self.max) <= latest
    }

    fn entries(&self) -> usize {
        0
    }
}
