//! Password checks.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use crate::metrics::family::Registrar;

const HASH_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Debug)]
pub(in crate::metrics) struct Passwords {
    pub(in crate::metrics) hash_waiting: IntGaugeVec,
    pub(in crate::metrics) hash_wait: HistogramVec,
    pub(in crate::metrics) hash_duration: HistogramVec,
    pub(in crate::metrics) hash_shed: IntCounterVec,
}

impl Passwords {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            hash_waiting: r.gauges(
                "sekisho_password_checks_waiting",
                &[],
                "Password checks that wait for a place in the hashing pool.",
            ),
            hash_wait: r.histograms(
                "sekisho_password_check_wait_seconds",
                &[],
                HASH_BUCKETS,
                "Time that password checks waited for a place in the hashing pool.",
            ),
            hash_duration: r.histograms(
                "sekisho_password_check_duration_seconds",
                &[],
                HASH_BUCKETS,
                "Time that hashing one password took.",
            ),
            hash_shed: r.counters(
                "sekisho_password_checks_shed_total",
                &[],
                "Password checks answered with a temporary error because the hashing pool was full.",
            ),
        }
    }
}
