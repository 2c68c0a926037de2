//! What is in force: snapshots, certificates, country databases.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::{CountryData, Load};

#[derive(Debug)]
pub(in crate::metrics) struct Configuration {
    pub(in crate::metrics) generation: IntGaugeVec,
    pub(in crate::metrics) source_untrusted: IntGaugeVec,
    pub(in crate::metrics) config_age: GaugeVec,
    pub(in crate::metrics) config_loads: IntCounterVec,
    pub(in crate::metrics) config_invalid: IntGaugeVec,
    pub(in crate::metrics) certificate_expiry: IntGaugeVec,
    pub(in crate::metrics) country_age: GaugeVec,
    pub(in crate::metrics) country_loads: IntCounterVec,
}

impl Configuration {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            generation: r.gauges(
                "sekisho_snapshot_generation",
                &[object("gateway")],
                "Generation of the snapshot in force.",
            ),
            source_untrusted: r.gauges(
                "sekisho_gateway_source_untrusted",
                &[object("gateway")],
                "1 while most sessions come from the cluster's own addresses: rules that go by addresses or countries do not act on these.",
            ),
            config_age: r.float_gauges(
                "sekisho_proxy_config_age_seconds",
                &[object("gateway")],
                "Time since the snapshot in force was last known to be the newest.",
            ),
            config_loads: r.counters(
                "sekisho_config_loads_total",
                &[object("gateway"), closed::<Load>("result")],
                "Snapshots offered to the proxy; after a failed one the last good one stays in force.",
            ),
            config_invalid: r.gauges(
                "sekisho_config_object_invalid",
                &[object("kind"), object("namespace"), object("name")],
                "1 for each object that is invalid now and keeps the last good rules it had.",
            ),
            certificate_expiry: r.gauges(
                "sekisho_certificate_expiry_timestamp_seconds",
                &[object("secret")],
                "When the certificate of a listener expires, in seconds since 1970.",
            ),
            country_age: r.float_gauges(
                "sekisho_country_database_age_seconds",
                &[closed::<CountryData>("data")],
                "Time since the database in use was built. Absent for the embedded registry table, which does not say.",
            ),
            country_loads: r.counters(
                "sekisho_country_database_loads_total",
                &[closed::<Load>("result")],
                "Loads of country databases; after a failed one the last good one stays in use.",
            ),
        }
    }
}
