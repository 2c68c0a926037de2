//! Locks that grow with each repetition.

use sekisho_policy::Timestamp;
use smallvec::SmallVec;

use super::clock::Moment;
use super::table::Value;

/// Past locks that are remembered. A factor of two to this power is longer than any lock can be, so no more are needed.
const MAX_PAST: usize = 64;

/// When the locks of one key ended or will end, in the order of time. Only the last can be in force.
#[derive(Debug, Default)]
pub(super) struct Lock {
    ends: SmallVec<[u64; 2]>,
    /// The longest `max` that was asked for: a lock that ended so long ago counts no more.
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
        self.max = self.max.max(max);
        let keep = self.max;
        self.ends
            .retain(|end| end.saturating_add(keep) > moment.latest);
        let before = self
            .ends
            .iter()
            .filter(|end| end.saturating_add(max) > moment.latest)
            .count();
        let factor =
            u64::from(growth.max(1)).saturating_pow(u32::try_from(before).unwrap_or(u32::MAX));
        let length = base.saturating_mul(factor).min(max);
        if length == 0 {
            return None;
        }
        if self.ends.len() >= MAX_PAST {
            self.ends.remove(0);
        }
        let end = moment.latest.saturating_add(length);
        self.ends.push(end);
        Some(Timestamp(end))
    }

    /// The end of the lock that is in force.
    pub(super) fn until(&self, moment: Moment) -> Option<Timestamp> {
        self.ends
            .last()
            .copied()
            .filter(|&end| end > moment.latest)
            .map(Timestamp)
    }
}

impl Value for Lock {
    fn is_over(&self, latest: u64) -> bool {
        self.ends
            .last()
            .is_none_or(|end| end.saturating_add(self.max) <= latest)
    }

    fn entries(&self) -> usize {
        0
    }
}
