//! The cluster, as the control plane sees it.

use prometheus::{HistogramVec, IntGaugeVec};

use crate::metrics::family::{Registrar, object};

/// From one small namespace to a large cluster at its start.
const DECISION_BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

#[derive(Debug)]
pub(in crate::metrics) struct Cluster {
    pub(in crate::metrics) operator_leads: IntGaugeVec,
    pub(in crate::metrics) operator_decisions: HistogramVec,
    pub(in crate::metrics) authority_expiry: IntGaugeVec,
    pub(in crate::metrics) pods_without_sidecar: IntGaugeVec,
}

impl Cluster {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            operator_leads: r.gauges(
                "sekisho_operator_leads",
                &[],
                "1 on the replica of the control plane that holds the lease and writes.",
            ),
            operator_decisions: r.histograms(
                "sekisho_operator_decision_duration_seconds",
                &[],
                DECISION_BUCKETS,
                "How long it took to compile what had changed and to decide what is to be written.",
            ),
            authority_expiry: r.gauges(
                "sekisho_authority_expiry_timestamp_seconds",
                &[],
                "When the authority that signs the control plane's certificates expires, in seconds since 1970; with provided certificates, when those do.",
            ),
            pods_without_sidecar: r.gauges(
                "sekisho_operator_pods_without_sidecar",
                &[object("namespace")],
                "Pods that ask for a sidecar by their label and have none. Absent where there are none.",
            ),
        }
    }
}
