//! Restrictions of accounts: how many are known, what became of those that were imposed here, and of telling people.

use super::Metrics;
use super::labels::{NoticeResult, RestrictionLevel, RestrictionResult};

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

    /// What became of messages for channels.
    pub fn notices(&self, result: NoticeResult, count: u64) {
        self.shared.notices.at(result).inc_by(count);
    }
}
