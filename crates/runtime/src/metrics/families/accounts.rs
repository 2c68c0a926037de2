//! Restrictions of accounts, and what accounts have set.

use prometheus::{IntCounterVec, IntGaugeVec};

use crate::metrics::family::{Registrar, closed};
use crate::metrics::labels::{NoticeResult, RestrictionLevel, RestrictionResult};

#[derive(Debug)]
pub(in crate::metrics) struct Accounts {
    pub(in crate::metrics) restrictions: IntGaugeVec,
    pub(in crate::metrics) restrictions_waiting: IntGaugeVec,
    pub(in crate::metrics) restriction_results: IntCounterVec,
    pub(in crate::metrics) notices: IntCounterVec,
    pub(in crate::metrics) settings: IntGaugeVec,
    pub(in crate::metrics) settings_unheard: IntGaugeVec,
}

impl Accounts {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            restrictions: r.gauges(
                "sekisho_restrictions",
                &[closed::<RestrictionLevel>("level")],
                "Restrictions of accounts that this process knows of.",
            ),
            restrictions_waiting: r.gauges(
                "sekisho_restrictions_waiting",
                &[],
                "Restrictions that hold in this process and that the control plane's store has not taken yet.",
            ),
            restriction_results: r.counters(
                "sekisho_restrictions_imposed_total",
                &[closed::<RestrictionResult>("result")],
                "Restrictions that this process imposed, by what became of them.",
            ),
            notices: r.counters(
                "sekisho_notifications_total",
                &[closed::<NoticeResult>("result")],
                "Messages for NotificationChannels, by what became of them: `failed` counts attempts.",
            ),
            settings: r.gauges(
                "sekisho_account_settings",
                &[],
                "Accounts with settings of their own that this process knows of.",
            ),
            settings_unheard: r.gauges(
                "sekisho_account_settings_unheard",
                &[],
                "Namespaces of which this process never heard all settings of accounts: who has none yet is judged by the rules' defaults.",
            ),
        }
    }
}
