//! Counters, in memory and shared.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::{CounterBackend, CounterError, CounterLease, CounterPart};

/// From a microsecond (memory) to a second (a remote store about to time out).
const COUNTER_BUCKETS: &[f64] = &[
    0.000_001, 0.000_005, 0.000_025, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0,
];

#[derive(Debug)]
pub(in crate::metrics) struct Counting {
    pub(in crate::metrics) counter_latency: HistogramVec,
    pub(in crate::metrics) counter_errors: IntCounterVec,
    pub(in crate::metrics) counter_round_trips: IntCounterVec,
    pub(in crate::metrics) counter_covered: IntCounterVec,
    pub(in crate::metrics) counter_leases: IntCounterVec,
    pub(in crate::metrics) counter_parts: IntGaugeVec,
}

impl Counting {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            counter_latency: r.histograms(
                "sekisho_counter_duration_seconds",
                &[closed::<CounterBackend>("backend")],
                COUNTER_BUCKETS,
                "Time to apply the counter operations of one decision.",
            ),
            counter_errors: r.counters(
                "sekisho_counter_errors_total",
                &[closed::<CounterBackend>("backend"), closed::<CounterError>("kind")],
                "Counter operations that got no answer.",
            ),
            counter_round_trips: r.counters(
                "sekisho_counter_round_trips_total",
                &[closed::<CounterBackend>("backend")],
                "Round trips to shared counters.",
            ),
            counter_covered: r.counters(
                "sekisho_counter_events_leased_total",
                &[],
                "Events that were counted without a round trip, out of what was charged in shared counters ahead.",
            ),
            counter_leases: r.counters(
                "sekisho_counter_leases_total",
                &[closed::<CounterLease>("fate")],
                "Slices of busy limits that were charged in shared counters ahead of their use, and what became of those that were not used up.",
            ),
            counter_parts: r.gauges(
                "sekisho_counter_parts",
                &[object("gateway"), closed::<CounterPart>("state")],
                "Parts of shared counters that are asked, and that failed so often that they are not. One server is one part, a Cluster 16.",
            ),
        }
    }
}
