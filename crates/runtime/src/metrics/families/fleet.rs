//! The fleet, as the control plane sees it.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::{FleetAck, FleetConfig, FleetRecords};

#[derive(Debug)]
pub(in crate::metrics) struct Fleet {
    pub(in crate::metrics) fleet_connected: IntGaugeVec,
    pub(in crate::metrics) fleet_config: IntCounterVec,
    pub(in crate::metrics) fleet_acks: IntCounterVec,
    pub(in crate::metrics) fleet_records: IntCounterVec,
    pub(in crate::metrics) fleet_relay_failures: IntCounterVec,
}

impl Fleet {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            fleet_connected: r.gauges(
                "sekisho_fleet_proxies_connected",
                &[object("gateway")],
                "Proxies that are connected to this replica of the control plane.",
            ),
            fleet_config: r.counters(
                "sekisho_fleet_config_requests_total",
                &[closed::<FleetConfig>("result")],
                "Requests of proxies for their snapshot, by what they were answered.",
            ),
            fleet_acks: r.counters(
                "sekisho_fleet_acks_total",
                &[closed::<FleetAck>("result")],
                "Reports of proxies on what they enforce, by what became of them.",
            ),
            fleet_records: r.counters(
                "sekisho_fleet_records_total",
                &[object("gateway"), closed::<FleetRecords>("result")],
                "Ledger records that proxies sent, by what became of them; for batch_refused, batches.",
            ),
            fleet_relay_failures: r.counters(
                "sekisho_fleet_relay_failures_total",
                &[],
                "Times that this replica could not tell the lease holder what is connected to it.",
            ),
        }
    }
}
