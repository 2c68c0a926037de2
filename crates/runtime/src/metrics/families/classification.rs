//! Content engines.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed};
use crate::metrics::labels::{Classifier, ClassifierResult};

/// From a short message to the longest that an engine is waited for.
const CLASSIFIER_BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

#[derive(Debug)]
pub(in crate::metrics) struct Classification {
    pub(in crate::metrics) classified: IntCounterVec,
    pub(in crate::metrics) classifier_duration: HistogramVec,
    pub(in crate::metrics) classifier_suspended: IntGaugeVec,
}

impl Classification {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            classified: r.counters(
                "sekisho_classifier_requests_total",
                &[closed::<Classifier>("engine"), closed::<ClassifierResult>("result")],
                "Messages that a content engine was to score, by what came of it.",
            ),
            classifier_duration: r.histograms(
                "sekisho_classifier_duration_seconds",
                &[closed::<Classifier>("engine")],
                CLASSIFIER_BUCKETS,
                "Time that content engines took for one message, whatever came of it; the wait for a turn is not in it.",
            ),
            classifier_suspended: r.gauges(
                "sekisho_classifier_suspended",
                &[closed::<Classifier>("engine")],
                "Content engines that have failed again and again and are not asked for a while.",
            ),
        }
    }
}
