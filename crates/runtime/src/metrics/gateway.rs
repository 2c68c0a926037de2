//! Handles for what belongs to one gateway: its listeners, rules and pools.

use std::sync::{Arc, Weak};
use std::time::Duration;

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};

use super::family::Series;
use super::guards::{OpenConnection, OpenSession};
use super::labels::{
    AuthResult, Class, CounterPart, Detection, Enforcement, HandshakeError, Label, Load,
    LoginAnswer, LoginService, Mechanism, Outcome, ReplyClass, Stage, Transport, UpstreamError,
    UpstreamPhase, Verb, Verdict,
};
use super::{Metrics, PoolMembers};

/// What one gateway counts. Cloning shares the series.
#[derive(Clone, Debug)]
pub struct GatewayMetrics {
    metrics: Metrics,
    series: Arc<GatewaySeries>,
}

#[derive(Debug)]
struct GatewaySeries {
    name: String,
    commands: Series<IntCounterVec, (Verb, ReplyClass)>,
    auth: Series<IntCounterVec, (Mechanism, AuthResult)>,
    login_services: Series<IntCounterVec, (LoginService, LoginAnswer)>,
    login_service_time: Series<HistogramVec, LoginService>,
    transactions: Series<IntCounterVec, Outcome>,
    detections: Series<IntCounterVec, Detection>,
    config_loads: Series<IntCounterVec, Load>,
    generation: IntGauge,
    source_untrusted: IntGauge,
}

impl GatewayMetrics {
    pub(super) fn new(metrics: Metrics, name: &str) -> Self {
        let families = &metrics.shared.families;
        let leading: Arc<[String]> = Arc::from([name.to_owned()]);
        let detections = Series::new(&families.policy.detections, &leading);
        for detection in Detection::ALL {
            // An alert on a rate needs the zero that came before the first one.
            detections.at(*detection);
        }
        let series = Arc::new(GatewaySeries {
            name: name.to_owned(),
            commands: Series::new(&families.sessions.commands, &leading),
            auth: Series::new(&families.sessions.auth, &leading),
            login_services: Series::new(&families.sessions.login_services, &leading),
            login_service_time: Series::new(&families.sessions.login_service_time, &leading),
            transactions: Series::new(&families.mail.transactions, &leading),
            detections,
            config_loads: Series::new(&families.configuration.config_loads, &leading),
            generation: families.configuration.generation.with_label_values(&[name]),
            source_untrusted: families
                .configuration
                .source_untrusted
                .with_label_values(&[name]),
        });
        Self { metrics, series }
    }

    /// The metrics of the whole process.
    pub fn process(&self) -> &Metrics {
        &self.metrics
    }

    pub fn listener(&self, name: &str) -> ListenerMetrics {
        let families = &self.metrics.shared.families;
        let leading = self.leading(name);
        ListenerMetrics(Arc::new(ListenerSeries {
            open: families
                .sessions
                .open
                .with_label_values(&[self.series.name.as_str(), name]),
            ended: Series::new(&families.sessions.ended, &leading),
            handshake_errors: Series::new(&families.sessions.handshake_errors, &leading),
        }))
    }

    /// The handle for one rule (`Kind/namespace/name`), or [`super::NO_NAME`].
    pub fn rule(&self, name: &str) -> RuleMetrics {
        RuleMetrics(Arc::new(Series::new(
            &self.metrics.shared.families.policy.decisions,
            &self.leading(name),
        )))
    }

    /// The handle for one pool (`namespace/name`), or [`super::NO_NAME`] for the gateway's own upstream.
    pub fn pool(&self, name: &str) -> PoolMetrics {
        let families = &self.metrics.shared.families;
        let leading = self.leading(name);
        PoolMetrics(Arc::new(PoolSeries {
            messages: Series::new(&families.mail.messages, &leading),
            bytes: Series::new(&families.mail.message_bytes, &leading),
            latency: Series::new(&families.mail.upstream_latency, &leading),
            errors: Series::new(&families.mail.upstream_errors, &leading),
            ejections: families
                .mail
                .ejections
                .with_label_values(&[self.series.name.as_str(), name]),
            connections: families
                .mail
                .upstream_connections
                .with_label_values(&[self.series.name.as_str(), name]),
        }))
    }

    pub fn command(&self, verb: Verb, reply: ReplyClass) {
        self.series.commands.at((verb, reply)).inc();
    }

    pub fn auth(&self, mechanism: Mechanism, result: AuthResult) {
        self.series.auth.at((mechanism, result)).inc();
    }

    /// A login service was asked; `took` is how long that was.
    pub fn login_service(&self, service: LoginService, answer: LoginAnswer, took: Duration) {
        self.series.login_services.at((service, answer)).inc();
        let time = self.series.login_service_time.at(service);
        time.observe(took.as_secs_f64());
    }

    pub fn transaction(&self, outcome: Outcome) {
        self.series.transactions.at(outcome).inc();
    }

    pub fn detected(&self, detection: Detection) {
        self.series.detections.at(detection).inc();
    }

    /// A snapshot of this generation is in force; it was the newest at `now_ms`.
    pub fn snapshot_loaded(&self, generation: u64, now_ms: u64) {
        self.series.config_loads.at(Load::Loaded).inc();
        self.series
            .generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.snapshot_current(now_ms);
    }

    /// A snapshot was refused; the last good one stays in force.
    pub fn snapshot_refused(&self) {
        self.series.config_loads.at(Load::Failed).inc();
    }

    /// The snapshot in force was known to be the newest at `now_ms` (ms since 1970).
    pub fn snapshot_current(&self, now_ms: u64) {
        self.metrics
            .since()
            .config
            .insert(self.series.name.clone(), now_ms);
    }

    /// Whether the addresses that sessions come from hide the clients.
    pub fn source_untrusted(&self, untrusted: bool) {
        self.series.source_untrusted.set(i64::from(untrusted));
    }

    /// So many parts of the shared counters are asked, and so many are not.
    pub fn counter_parts(&self, asked: usize, suspended: usize) {
        let parts = &self.metrics.shared.families.counters.counter_parts;
        for (state, count) in [
            (CounterPart::Asked, asked),
            (CounterPart::Suspended, suspended),
        ] {
            let gauge = parts.with_label_values(&[self.series.name.as_str(), state.as_str()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// The rule (`Kind/namespace/name`) is held in shadow from now on.
    pub fn brake_tripped(&self, rule: &str) {
        self.brake(rule).set(1);
    }

    pub fn brake_reset(&self, rule: &str) {
        self.brake(rule).set(0);
    }

    fn brake(&self, rule: &str) -> IntGauge {
        self.metrics
            .shared
            .families
            .policy
            .brakes
            .with_label_values(&[self.series.name.as_str(), rule])
    }

    /// `members` is asked of the pools from now on, for as long as it is there.
    pub fn watch_members(&self, members: Weak<dyn PoolMembers>) {
        let name = self.series.name.clone();
        self.metrics.since().members.insert(name, members);
    }

    fn leading(&self, name: &str) -> Arc<[String]> {
        Arc::from([self.series.name.clone(), name.to_owned()])
    }
}

/// What one listener counts.
#[derive(Clone, Debug)]
pub struct ListenerMetrics(Arc<ListenerSeries>);

#[derive(Debug)]
pub(super) struct ListenerSeries {
    pub(super) open: IntGauge,
    pub(super) ended: Series<IntCounterVec, Transport>,
    handshake_errors: Series<IntCounterVec, HandshakeError>,
}

impl ListenerMetrics {
    /// A session begins, protected like this; it ends with the guard.
    pub fn open_session(&self, transport: Transport) -> OpenSession {
        OpenSession::new(self.0.clone(), transport)
    }

    /// How many sessions are open now.
    pub fn open_sessions(&self) -> u64 {
        u64::try_from(self.0.open.get()).unwrap_or(0)
    }

    pub fn handshake_failed(&self, error: HandshakeError) {
        self.0.handshake_errors.at(error).inc();
    }
}

/// What one rule counts.
#[derive(Clone, Debug)]
pub struct RuleMetrics(Arc<Series<IntCounterVec, (Stage, Verdict, Enforcement)>>);

impl RuleMetrics {
    pub fn decided(&self, stage: Stage, verdict: Verdict, enforcement: Enforcement) {
        self.0.at((stage, verdict, enforcement)).inc();
    }
}

/// What one pool counts.
#[derive(Clone, Debug)]
pub struct PoolMetrics(Arc<PoolSeries>);

#[derive(Debug)]
struct PoolSeries {
    messages: Series<IntCounterVec, Class>,
    bytes: Series<IntCounterVec, Class>,
    latency: Series<HistogramVec, UpstreamPhase>,
    errors: Series<IntCounterVec, UpstreamError>,
    ejections: IntCounter,
    connections: IntGauge,
}

impl PoolMetrics {
    /// The next hop accepted a message of so many bytes.
    pub fn message(&self, class: Class, bytes: u64) {
        self.0.messages.at(class).inc();
        self.0.bytes.at(class).inc_by(bytes);
    }

    pub fn phase(&self, phase: UpstreamPhase, took: Duration) {
        self.0.latency.at(phase).observe(took.as_secs_f64());
    }

    pub fn failed(&self, error: UpstreamError) {
        self.0.errors.at(error).inc();
    }

    /// An endpoint was taken out: most of its last connections failed.
    pub fn ejected(&self) {
        self.0.ejections.inc();
    }

    /// A connection to the next hop is open until the guard is dropped.
    pub fn open_connection(&self) -> OpenConnection {
        OpenConnection::new(self.0.connections.clone())
    }
}
