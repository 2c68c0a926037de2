//! What the control plane counts of its proxies.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Metrics;
use super::labels::{FleetAck, FleetConfig, FleetRecords, Label};

impl Metrics {
    /// How many proxies are connected to this replica, by gateway (`namespace/name`). A gateway that had some and is not
    /// named goes to zero, so that an alert sees the last one leave.
    pub fn fleet_connected(&self, by_gateway: &BTreeMap<Arc<str>, usize>) {
        let family = &self.shared.families.fleet.fleet_connected;
        let mut since = self.since();
        for gateway in &since.fleet {
            if !by_gateway.contains_key(gateway) {
                family.with_label_values(&[&**gateway]).set(0);
            }
        }
        for (gateway, &count) in by_gateway {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            family.with_label_values(&[&**gateway]).set(count);
            since.fleet.insert(gateway.clone());
        }
    }

    /// A gateway is deleted: nothing more is said of its proxies.
    pub fn forget_fleet(&self, gateway: &str) {
        let families = &self.shared.families;
        if self.since().fleet.remove(gateway) {
            // Gone already, if ever.
            let _ = families
                .fleet
                .fleet_connected
                .remove_label_values(&[gateway]);
        }
        for result in FleetRecords::ALL {
            let _ = families
                .fleet
                .fleet_records
                .remove_label_values(&[gateway, result.as_str()]);
        }
    }

    pub fn fleet_config(&self, result: FleetConfig) {
        self.shared.fleet_config.at(result).inc();
    }

    pub fn fleet_ack(&self, result: FleetAck) {
        self.shared.fleet_acks.at(result).inc();
    }

    pub fn fleet_records(&self, gateway: &str, result: FleetRecords, count: u64) {
        self.shared
            .families
            .fleet
            .fleet_records
            .with_label_values(&[gateway, result.as_str()])
            .inc_by(count);
    }

    pub fn fleet_relay_failed(&self) {
        self.shared
            .families
            .fleet
            .fleet_relay_failures
            .with_label_values::<&str>(&[])
            .inc();
    }
}
