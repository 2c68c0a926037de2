//! What the control plane counts of the cluster.

use std::time::Duration;

use super::Metrics;

impl Metrics {
    /// Whether this replica holds the lease and writes.
    pub fn leads(&self, leads: bool) {
        self.shared
            .families
            .cluster
            .operator_leads
            .with_label_values::<&str>(&[])
            .set(leads.into());
    }

    /// When the authority that signs the control plane's certificates expires, in seconds since 1970.
    pub fn authority_expires(&self, seconds: u64) {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        self.shared
            .families
            .cluster
            .authority_expiry
            .with_label_values::<&str>(&[])
            .set(seconds);
    }

    /// How long it took to decide about what had changed.
    pub fn decided(&self, within: Duration) {
        self.shared
            .families
            .cluster
            .operator_decisions
            .with_label_values::<&str>(&[])
            .observe(within.as_secs_f64());
    }

    /// How many pods of a namespace ask for a sidecar and have none.
    pub fn pods_without_sidecar(&self, namespace: &str, pods: usize) {
        let family = &self.shared.families.cluster.pods_without_sidecar;
        if pods == 0 {
            // A namespace where all is well has no line.
            let _ = family.remove_label_values(&[namespace]);
        } else {
            family
                .with_label_values(&[namespace])
                .set(i64::try_from(pods).unwrap_or(i64::MAX));
        }
    }
}
