//! Messages, next hops, and what is asked of DNS.

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::UPSTREAM_BUCKETS;
use crate::metrics::family::{Registrar, closed, object};
use crate::metrics::labels::{
    Class, DnsQuery, DnsResult, MemberState, Outcome, UpstreamError, UpstreamPhase,
};

#[derive(Debug)]
pub(in crate::metrics) struct Mail {
    pub(in crate::metrics) messages: IntCounterVec,
    pub(in crate::metrics) message_bytes: IntCounterVec,
    pub(in crate::metrics) transactions: IntCounterVec,
    pub(in crate::metrics) upstream_latency: HistogramVec,
    pub(in crate::metrics) upstream_errors: IntCounterVec,
    pub(in crate::metrics) upstream_connections: IntGaugeVec,
    pub(in crate::metrics) ejections: IntCounterVec,
    pub(in crate::metrics) pool_members: IntGaugeVec,
    pub(in crate::metrics) dns: IntCounterVec,
}

impl Mail {
    pub(super) fn register(r: &Registrar) -> Self {
        Self {
            messages: r.counters(
                "sekisho_messages_total",
                &[object("gateway"), object("pool"), closed::<Class>("class")],
                "Messages accepted by the next hop. The pool is \"-\" for the gateway's own upstream.",
            ),
            message_bytes: r.counters(
                "sekisho_message_bytes_total",
                &[object("gateway"), object("pool"), closed::<Class>("class")],
                "Bytes of the messages accepted by the next hop.",
            ),
            transactions: r.counters(
                "sekisho_transactions_total",
                &[object("gateway"), closed::<Outcome>("outcome")],
                "Mail transactions that ended, by outcome.",
            ),
            upstream_latency: r.histograms(
                "sekisho_upstream_duration_seconds",
                &[object("gateway"), object("pool"), closed::<UpstreamPhase>("phase")],
                UPSTREAM_BUCKETS,
                "Time that each step with the next hop took.",
            ),
            upstream_errors: r.counters(
                "sekisho_upstream_errors_total",
                &[object("gateway"), object("pool"), closed::<UpstreamError>("kind")],
                "Next hops that did not serve, by cause.",
            ),
            upstream_connections: r.gauges(
                "sekisho_upstream_connections",
                &[object("gateway"), object("pool")],
                "Connections to next hops open now, idle ones included.",
            ),
            ejections: r.counters(
                "sekisho_upstream_ejections_total",
                &[object("gateway"), object("pool")],
                "Endpoints of next hops that were taken out because most of their last connections failed.",
            ),
            pool_members: r.gauges(
                "sekisho_pool_members",
                &[object("gateway"), object("pool"), closed::<MemberState>("state")],
                "Members of each pool, by how they are now; for the pool `-`, endpoints of the gateway's upstream. A pool of which none is \
                 healthy sends nothing.",
            ),
            dns: r.counters(
                "sekisho_dns_lookups_total",
                &[closed::<DnsQuery>("query"), closed::<DnsResult>("result")],
                "DNS lookups, by purpose and result.",
            ),
        }
    }
}
