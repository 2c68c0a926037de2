//! Metrics: one registry, typed handles whose labels are closed enums and object names, and the text that
//! `/metrics` serves. Take a handle once (per gateway, listener, pool, rule) and keep it: what it counts on
//! the way of a message allocates nothing and hashes no label.

mod describe;
mod families;
mod family;
mod fleet;
mod gateway;
mod guards;
pub mod labels;
mod operator;
mod restrictions;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, TextEncoder};

use families::Families;
use family::Series;
pub use gateway::{GatewayMetrics, ListenerMetrics, PoolMetrics, RuleMetrics};
pub use guards::{Buffered, Hashing, OpenConnection, OpenSession, SuspendedClassifier, Waiting};
pub use labels::*;

/// Says how the members of a gateway's pools are. It is asked each time that metrics are read, since a pause ends without
/// anything happening.
pub trait PoolMembers: std::fmt::Debug + Send + Sync {
    /// Names the pool (`namespace/name`) and the state of each member.
    fn each(&self, note: &mut dyn FnMut(&str, MemberState));
}

/// The `pool` label of the gateway's own upstream, and the `rule` label where no rule spoke.
/// No object can have this name.
pub const NO_NAME: &str = "-";

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Every metric of the process. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    families: Families,
    buffered: Series<IntGaugeVec, BufferPlace>,
    classified: Series<IntCounterVec, (Classifier, ClassifierResult)>,
    classifier_duration: Series<prometheus::HistogramVec, Classifier>,
    classifier_suspended: Series<IntGaugeVec, Classifier>,
    counter_latency: Series<prometheus::HistogramVec, CounterBackend>,
    counter_errors: Series<IntCounterVec, (CounterBackend, CounterError)>,
    counter_round_trips: Series<IntCounterVec, CounterBackend>,
    counter_covered: IntCounter,
    counter_leases: Series<IntCounterVec, CounterLease>,
    dns: Series<IntCounterVec, (DnsQuery, DnsResult)>,
    fleet_config: Series<IntCounterVec, FleetConfig>,
    fleet_acks: Series<IntCounterVec, FleetAck>,
    ledger: Series<IntCounterVec, LedgerResult>,
    restrictions: Series<IntGaugeVec, RestrictionLevel>,
    restrictions_waiting: IntGauge,
    restriction_results: Series<IntCounterVec, RestrictionResult>,
    notices: Series<IntCounterVec, NoticeResult>,
    settings: IntGauge,
    settings_unheard: IntGauge,
    country_loads: Series<IntCounterVec, Load>,
    hash_waiting: IntGauge,
    hash_wait: Histogram,
    hash_duration: Histogram,
    since: Mutex<Since>,
}

/// What is worked out when the metrics are read: distances of points in time (ms since 1970), and who knows of pools.
#[derive(Debug, Default)]
struct Since {
    config: BTreeMap<String, u64>,
    country: BTreeMap<CountryData, u64>,
    invalid: BTreeSet<(String, String, String)>,
    members: BTreeMap<String, Weak<dyn PoolMembers>>,
    /// Gateways with a series of connected proxies.
    fleet: BTreeSet<Arc<str>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry of its own with every family in it.
    pub fn new() -> Self {
        let families = Families::register();
        let Families {
            sessions,
            classification,
            accounts,
            counters,
            mail,
            passwords,
            configuration,
            fleet,
            process,
            ..
        } = &families;
        let none: Arc<[String]> = Arc::from([]);
        process
            .build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        // Resolved even if no password is ever checked, so that the series exist from the start.
        passwords.hash_shed.with_label_values::<&str>(&[]);
        Self {
            shared: Arc::new(Shared {
                buffered: Series::new(&sessions.buffered, &none),
                classified: Series::new(&classification.classified, &none),
                classifier_duration: Series::new(&classification.classifier_duration, &none),
                classifier_suspended: Series::new(&classification.classifier_suspended, &none),
                counter_latency: Series::new(&counters.counter_latency, &none),
                counter_errors: Series::new(&counters.counter_errors, &none),
                counter_round_trips: Series::new(&counters.counter_round_trips, &none),
                counter_covered: counters.counter_covered.with_label_values::<&str>(&[]),
                counter_leases: Series::new(&counters.counter_leases, &none),
                dns: Series::new(&mail.dns, &none),
                fleet_config: Series::new(&fleet.fleet_config, &none),
                fleet_acks: Series::new(&fleet.fleet_acks, &none),
                ledger: Series::new(&process.ledger, &none),
                restrictions: Series::new(&accounts.restrictions, &none),
                restrictions_waiting: accounts.restrictions_waiting.with_label_values::<&str>(&[]),
                restriction_results: Series::new(&accounts.restriction_results, &none),
                notices: Series::new(&accounts.notices, &none),
                settings: accounts.settings.with_label_values::<&str>(&[]),
                settings_unheard: accounts.settings_unheard.with_label_values::<&str>(&[]),
                country_loads: Series::new(&configuration.country_loads, &none),
                hash_waiting: passwords.hash_waiting.with_label_values::<&str>(&[]),
                hash_wait: passwords.hash_wait.with_label_values::<&str>(&[]),
                hash_duration: passwords.hash_duration.with_label_values::<&str>(&[]),
                since: Mutex::default(),
                families,
            }),
        }
    }

    /// The handle for one gateway (`namespace/name`).
    pub fn gateway(&self, name: &str) -> GatewayMetrics {
        GatewayMetrics::new(self.clone(), name)
    }

    /// The operations of one decision were applied in `took`.
    pub fn counters_applied(&self, backend: CounterBackend, took: Duration) {
        self.shared
            .counter_latency
            .at(backend)
            .observe(took.as_secs_f64());
    }

    pub fn counters_failed(&self, backend: CounterBackend, error: CounterError) {
        self.shared.counter_errors.at((backend, error)).inc();
    }

    pub fn counter_round_trips(&self, backend: CounterBackend, count: u64) {
        self.shared.counter_round_trips.at(backend).inc_by(count);
    }

    /// So many events were counted out of what was charged ahead.
    pub fn counter_events_covered(&self, count: u64) {
        if count > 0 {
            self.shared.counter_covered.inc_by(count);
        }
    }

    /// So many slices that were charged ahead ended like that.
    pub fn counter_leases(&self, fate: CounterLease, count: u64) {
        if count > 0 {
            self.shared.counter_leases.at(fate).inc_by(count);
        }
    }

    pub fn dns_lookup(&self, query: DnsQuery, result: DnsResult) {
        self.shared.dns.at((query, result)).inc();
    }

    pub fn ledger_records(&self, result: LedgerResult, count: u64) {
        self.shared.ledger.at(result).inc_by(count);
    }

    /// Accounts for bytes of a message held in `place` until the guard is dropped.
    pub fn buffered(&self, place: BufferPlace) -> Buffered {
        Buffered::new(self.shared.buffered.at(place).clone())
    }

    /// A content engine was to score a message.
    pub fn classified(&self, engine: Classifier, result: ClassifierResult) {
        self.shared.classified.at((engine, result)).inc();
    }

    pub fn classifier_took(&self, engine: Classifier, took: Duration) {
        self.shared
            .classifier_duration
            .at(engine)
            .observe(took.as_secs_f64());
    }

    /// A content engine is not asked until the guard is dropped.
    pub fn suspend_classifier(&self, engine: Classifier) -> SuspendedClassifier {
        SuspendedClassifier::new(self.shared.classifier_suspended.at(engine).clone())
    }

    /// A password check starts to wait for the hashing pool.
    pub fn password_check(&self) -> Waiting {
        Waiting::new(
            self.shared.hash_waiting.clone(),
            self.shared.hash_wait.clone(),
            self.shared.hash_duration.clone(),
        )
    }

    /// A password check was turned away because the hashing pool was full.
    pub fn password_check_shed(&self) {
        self.shared
            .families
            .passwords
            .hash_shed
            .with_label_values::<&str>(&[])
            .inc();
    }

    pub fn country_load(&self, result: Load) {
        self.shared.country_loads.at(result).inc();
    }

    /// When the database that answers `data` was built (ms since 1970), or that it does not say.
    pub fn country_built(&self, data: CountryData, built_ms: Option<u64>) {
        let mut since = self.since();
        match built_ms {
            Some(built) => {
                since.country.insert(data, built);
            }
            None => {
                since.country.remove(&data);
                // Absent already is as good as removed.
                let _ = self
                    .shared
                    .families
                    .configuration
                    .country_age
                    .remove_label_values(&[data.as_str()]);
            }
        }
    }

    /// When the certificate of a secret (`namespace/name`) expires, in seconds since 1970.
    pub fn certificate_expires(&self, secret: &str, at_seconds: i64) {
        self.shared
            .families
            .configuration
            .certificate_expiry
            .with_label_values(&[secret])
            .set(at_seconds);
    }

    /// Replaces the list of objects (kind, namespace, name) that are invalid now.
    pub fn invalid_objects<K, NS, N>(&self, now_invalid: impl IntoIterator<Item = (K, NS, N)>)
    where
        K: Into<String>,
        NS: Into<String>,
        N: Into<String>,
    {
        let family = &self.shared.families.configuration.config_invalid;
        let next: BTreeSet<_> = now_invalid
            .into_iter()
            .map(|(k, ns, n)| (k.into(), ns.into(), n.into()))
            .collect();
        let mut since = self.since();
        for (kind, namespace, name) in since.invalid.difference(&next) {
            let _ = family.remove_label_values(&[kind, namespace, name]);
        }
        for (kind, namespace, name) in &next {
            family.with_label_values(&[kind, namespace, name]).set(1);
        }
        since.invalid = next;
    }

    /// The text exposition format, with ages as of `now_ms` (ms since 1970).
    pub fn encode(&self, now_ms: u64) -> String {
        let mut since = self.since();
        self.work_out_ages(&since, now_ms);
        self.count_members(&mut since);
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String fails only for a family without series, and the registry leaves those out.
        if let Err(error) =
            TextEncoder::new().encode_utf8(&self.shared.families.registrar.gather(), &mut text)
        {
            tracing::error!(%error, "metrics could not be encoded in full");
        }
        text
    }

    fn count_members(&self, since: &mut Since) {
        let family = &self.shared.families.mail.pool_members;
        family.reset();
        since.members.retain(|gateway, members| {
            let Some(members) = members.upgrade() else {
                return false;
            };
            members.each(&mut |pool, state| {
                for other in MemberState::ALL {
                    // A state that nobody is in is a 0, or an alert would have nothing to compare.
                    family.with_label_values(&[gateway, pool, other.as_str()]);
                }
                family
                    .with_label_values(&[gateway, pool, state.as_str()])
                    .inc();
            });
            true
        });
    }

    fn work_out_ages(&self, since: &Since, now_ms: u64) {
        let families = &self.shared.families;
        for (gateway, at) in &since.config {
            families
                .configuration
                .config_age
                .with_label_values(&[gateway])
                .set(seconds_between(*at, now_ms));
        }
        for (data, built) in &since.country {
            families
                .configuration
                .country_age
                .with_label_values(&[data.as_str()])
                .set(seconds_between(*built, now_ms));
        }
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Since> {
        self.shared
            .since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ages fit 52 bits of milliseconds"
)]
fn seconds_between(then_ms: u64, now_ms: u64) -> f64 {
    now_ms.saturating_sub(then_ms) as f64 / 1000.0
}

/// The list of metrics as Markdown: the body of `docs/metrics.md`.
pub fn describe() -> String {
    describe::markdown(&Families::register().registrar.descriptions())
}
