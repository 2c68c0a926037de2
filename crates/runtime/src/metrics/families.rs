//! The list of metrics: each family's name, labels and help, in one place. `docs/metrics.md` is made from it.

use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::family::{Registrar, closed, object};
use super::labels::{
    AuthResult, BufferPlace, Class, Classifier, ClassifierResult, CounterBackend, CounterError,
    CounterLease, CounterPart, CountryData, Detection, DnsQuery, DnsResult, Enforcement, FleetAck,
    FleetConfig, FleetRecords, HandshakeError, LedgerResult, Load, LoginAnswer, LoginService,
    Mechanism, MemberState, NoticeResult, Outcome, ReplyClass, RestrictionLevel, RestrictionResult,
    Stage, Transport, UpstreamError, UpstreamPhase, Verb, Verdict,
};

/// From a microsecond (memory) to a second (a remote store about to time out).
const COUNTER_BUCKETS: &[f64] = &[
    0.000_001, 0.000_005, 0.000_025, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0,
];
/// From a relay on the same machine to the longest wait of RFC 5321 that we allow.
const UPSTREAM_BUCKETS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// From a short message to the longest that an engine is waited for.
const CLASSIFIER_BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// From one small namespace to a large cluster at its start.
const DECISION_BUCKETS: &[f64] = &[
    0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
const HASH_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Debug)]
pub(super) struct Families {
    pub(super) registrar: Registrar,
    // Sessions
    pub(super) sessions: IntCounterVec,
    pub(super) sessions_open: IntGaugeVec,
    pub(super) handshake_errors: IntCounterVec,
    pub(super) commands: IntCounterVec,
    pub(super) auth: IntCounterVec,
    pub(super) login_services: IntCounterVec,
    pub(super) login_service_time: HistogramVec,
    pub(super) buffered: IntGaugeVec,
    // Classification
    pub(super) classified: IntCounterVec,
    pub(super) classifier_duration: HistogramVec,
    pub(super) classifier_suspended: IntGaugeVec,
    // Policy
    pub(super) decisions: IntCounterVec,
    pub(super) detections: IntCounterVec,
    pub(super) brakes: IntGaugeVec,
    pub(super) restrictions: IntGaugeVec,
    pub(super) restrictions_waiting: IntGaugeVec,
    pub(super) restriction_results: IntCounterVec,
    pub(super) notices: IntCounterVec,
    pub(super) settings: IntGaugeVec,
    pub(super) settings_unheard: IntGaugeVec,
    pub(super) counter_latency: HistogramVec,
    pub(super) counter_errors: IntCounterVec,
    pub(super) counter_round_trips: IntCounterVec,
    pub(super) counter_covered: IntCounterVec,
    pub(super) counter_leases: IntCounterVec,
    pub(super) counter_parts: IntGaugeVec,
    // Mail
    pub(super) messages: IntCounterVec,
    pub(super) message_bytes: IntCounterVec,
    pub(super) transactions: IntCounterVec,
    pub(super) upstream_latency: HistogramVec,
    pub(super) upstream_errors: IntCounterVec,
    pub(super) upstream_connections: IntGaugeVec,
    pub(super) ejections: IntCounterVec,
    pub(super) pool_members: IntGaugeVec,
    pub(super) dns: IntCounterVec,
    // Passwords
    pub(super) hash_waiting: IntGaugeVec,
    pub(super) hash_wait: HistogramVec,
    pub(super) hash_duration: HistogramVec,
    pub(super) hash_shed: IntCounterVec,
    // Configuration
    pub(super) generation: IntGaugeVec,
    pub(super) source_untrusted: IntGaugeVec,
    pub(super) config_age: GaugeVec,
    pub(super) config_loads: IntCounterVec,
    pub(super) config_invalid: IntGaugeVec,
    pub(super) certificate_expiry: IntGaugeVec,
    pub(super) country_age: GaugeVec,
    pub(super) country_loads: IntCounterVec,
    // The fleet, as the control plane sees it
    pub(super) fleet_connected: IntGaugeVec,
    pub(super) fleet_config: IntCounterVec,
    pub(super) fleet_acks: IntCounterVec,
    pub(super) fleet_records: IntCounterVec,
    pub(super) fleet_relay_failures: IntCounterVec,
    // The cluster, as the control plane sees it
    pub(super) operator_leads: IntGaugeVec,
    pub(super) operator_decisions: HistogramVec,
    pub(super) authority_expiry: IntGaugeVec,
    pub(super) pods_without_sidecar: IntGaugeVec,
    // Ledger and process
    pub(super) ledger: IntCounterVec,
    pub(super) build_info: IntGaugeVec,
}

impl Families {
    #[expect(clippy::too_many_lines, reason = "a flat list reads best in one piece")]
    pub(super) fn register() -> Self {
        let r = Registrar::default();
        #[cfg(target_os = "linux")]
        r.process();
        Self {
            sessions: r.counters(
                "sekisho_sessions_total",
                &[object("gateway"), object("listener"), closed::<Transport>("tls")],
                "SMTP sessions that ended, by how they were protected then.",
            ),
            sessions_open: r.gauges(
                "sekisho_sessions_open",
                &[object("gateway"), object("listener")],
                "SMTP sessions open now.",
            ),
            handshake_errors: r.counters(
                "sekisho_tls_handshake_errors_total",
                &[object("gateway"), object("listener"), closed::<HandshakeError>("kind")],
                "TLS handshakes with clients that failed.",
            ),
            commands: r.counters(
                "sekisho_commands_total",
                &[object("gateway"), closed::<Verb>("verb"), closed::<ReplyClass>("reply")],
                "SMTP commands received, by the first digit of the reply.",
            ),
            auth: r.counters(
                "sekisho_auth_total",
                &[object("gateway"), closed::<Mechanism>("mechanism"), closed::<AuthResult>("result")],
                "AUTH commands, by how they ended.",
            ),
            login_services: r.counters(
                "sekisho_login_service_requests_total",
                &[object("gateway"), closed::<LoginService>("service"), closed::<LoginAnswer>("answer")],
                "Logins that a web service, an identity provider's tokens or a cluster's tokens were to decide, by the answer.",
            ),
            login_service_time: r.histograms(
                "sekisho_login_service_duration_seconds",
                &[object("gateway"), closed::<LoginService>("service")],
                UPSTREAM_BUCKETS,
                "Time that such a decision took, whatever came of it.",
            ),
            buffered: r.gauges(
                "sekisho_buffered_bytes",
                &[closed::<BufferPlace>("place")],
                "Bytes of messages held until their verdict is known.",
            ),
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
            operator_leads: r.gauges(
                "sekisho_operator_leads",
                &[],
                "1 on the replica of the control plane that holds the lease and writes.",
            ),
            operator_decisions: r.histograms(
                "sekisho_operator_decision_duration_seconds",
                &[],
                DECISION_BUCKETS,
                "How long it took to compile what had changed and to decide what is to be written.",
            ),
            authority_expiry: r.gauges(
                "sekisho_authority_expiry_timestamp_seconds",
                &[],
                "When the authority that signs the control plane's certificates expires, in seconds since 1970; with provided certificates, when those do.",
            ),
            pods_without_sidecar: r.gauges(
                "sekisho_operator_pods_without_sidecar",
                &[object("namespace")],
                "Pods that ask for a sidecar by their label and have none. Absent where there are none.",
            ),
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
            registrar: r,
        }
    }
}
