//! What rules said, and what was seen of abuse.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::{Detection, Enforcement, Stage, Verdict};

#[derive(Debug)]
pub(in crate::metrics) struct Policy {
    pub(in crate::metrics) decisions: IntCounterVec,
    pub(in crate::metrics) detections: IntCounterVec,
    pub(in crate::metrics) brakes: IntGaugeVec,
}

impl Policy {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            decisions: r.counters(
                "sekisho_decisions_total",
                &[object("gateway"), object("rule"), closed::<Stage>("stage"), closed::<Verdict>("verdict"), closed::<Enforcement>("enforcement")],
                "What each rule said, including what was only observed. The rule is the object's kind, namespace and name; \"-\" where no rule spoke.",
            ),
            detections: r.counters(
                "sekisho_abuse_detections_total",
                &[object("gateway"), closed::<Detection>("kind")],
                "Signs of abuse that were seen, whether or not a rule refused anything.",
            ),
            brakes: r.gauges(
                "sekisho_brake_tripped",
                &[object("gateway"), object("rule")],
                "1 while a rule is held in shadow because it refused too many known-good clients.",
            ),
        }
    }
}
