//! The ledger and the process.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::LedgerResult;

#[derive(Debug)]
pub(in crate::metrics) struct Process {
    pub(in crate::metrics) ledger: IntCounterVec,
    pub(in crate::metrics) build_info: IntGaugeVec,
}

impl Process {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            ledger: r.counters(
                "sekisho_ledger_records_total",
                &[closed::<LedgerResult>("result")],
                "Ledger records, by what became of them.",
            ),
            build_info: r.gauges(
                "sekisho_build_info",
                &[object("version")],
                "1, with the version that runs.",
            ),
        }
    }
}
