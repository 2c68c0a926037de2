//! Restrictions of accounts: how many are known, and what became of those that were imposed here.

use super::Metrics;
use super::labels::{RestrictionLevel, RestrictionResult};

impl Metrics {
    /// So many more restrictions of that level are known, or fewer.
    pub fn restrictions_known(&self, level: RestrictionLevel, more: i64) {
        self.shared.restrictions.at(level).add(more);
    }

    /// So many more wait for the store, or fewer.
    pub fn restrictions_waiting(&self, more: i64) {
        self.shared.restrictions_waiting.add(more);
    }

    pub fn restrictions_imposed(&self, result: RestrictionResult, count: u64) {
        self.shared.restriction_results.at(result).inc_by(count);
    }
}
