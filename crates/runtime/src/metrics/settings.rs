//! Settings of accounts: how many are known, and of which namespaces they were never heard of.

use super::Metrics;

impl Metrics {
    /// So many more accounts with settings are known, or fewer.
    pub fn settings_known(&self, more: i64) {
        self.shared.settings.add(more);
    }

    /// So many more namespaces' settings were never heard, or fewer.
    pub fn settings_unheard(&self, more: i64) {
        self.shared.settings_unheard.add(more);
    }
}
