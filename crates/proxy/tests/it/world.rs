//! A gateway to test: its snapshot built from parts, its services all of this process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_counters::Counters;
use sekisho_policy::record::Record;
use sekisho_policy::{Envelope, Snapshot};
use sekisho_proxy::{
    Certificates, Credentials, Dns, FleetKey, Gateway, GatewayConfig, HashPool, Ids, KnownSettings,
    Limits, MessageMemory, Restrictions, Services, ledger,
};
use sekisho_runtime::tls::{Identity, self_signed};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use sekisho_testkit::Sink;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// The name of the gateway's own upstream among the next hops.
pub(crate) const UPSTREAM: &str = "U";

/// 21 November 2026, 22:27:20 UTC.
pub(crate) const BEGINNING: u64 = 1_795_300_040_000;

/// What its snapshots are made of.
#[derive(Debug)]
pub(crate) struct Objects {
    snapshot: Value,
    limits: Value,
    generation: u64,
    secrets: Logins,
    /// Where names are asked; nobody answers on the discard port.
    pub(crate) dns: SocketAddr,
}

impl Objects {
    pub(crate) fn new() -> Self {
        let snapshot = json!({
            "schema": sekisho_policy::snapshot::SCHEMA,
            "gateway": {
                "object": { "kind": "MailGateway", "namespace": "mail", "name": "outbound" },
                "listeners": [{ "name": "submission", "port": 0, "tls": "Off" }],
                "authentication": { "requirement": "Optional", "backends": ["upstream"], "mechanisms": ["PLAIN", "LOGIN"] },
                "upstream": {
                    "endpoints": [], "tls": "Off", "clientIdentity": "None", "recipientCheck": "AtRcpt"
                },
                "afterData": 5000,
                "limits": { "tarpit": { "mode": "Never" } },
                "onUnavailable": { "config": "Keep", "message": "RouteSuspect" },
                "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" }
            },
            "rules": [],
            "pools": {}
        });
        Self {
            snapshot,
            limits: json!({}),
            generation: 0,
            secrets: Logins::default(),
            dns: ([127, 0, 0, 1], 9).into(),
        }
    }

    /// Sets an object, or a part of the gateway.
    pub(crate) fn set(&mut self, what: &str, name: &str, value: &Value) {
        match what {
            "limits" => merge(&mut self.limits, value),
            "gateway" => merge(&mut self.snapshot["gateway"], value),
            "listener" => merge(&mut self.snapshot["gateway"]["listeners"][0], value),
            "secret" => self.secrets.set(name, value),
            "pool" => {
                let mut pool = json!({
                    "object": { "kind": "EgressPool", "namespace": "mail", "name": name },
                    "members": [], "maxConnections": 10, "messagesPerConnection": 100, "selection": "Weighted"
                });
                merge(&mut pool, value);
                self.snapshot["pools"][name] = pool;
            }
            kind => self.set_rule(kind, name, value),
        }
    }

    /// `enforcement`, `brake` and `match` belong to the rule, the rest to its kind.
    fn set_rule(&mut self, kind: &str, name: &str, value: &Value) {
        let mut spec = defaults(kind);
        merge(&mut spec, value);
        let mut rule = json!({
            "object": { "kind": kind, "namespace": "mail", "name": name },
            "enforcement": "Enforce", "brake": "Default", "rule": kind
        });
        for own in ["enforcement", "brake", "match"] {
            if let Some(value) = spec.as_object_mut().and_then(|spec| spec.remove(own)) {
                rule[own] = value;
            }
        }
        rule["spec"] = spec;
        let Some(rules) = self.snapshot["rules"].as_array_mut() else {
            return;
        };
        rules.retain(|other| other["object"] != rule["object"]);
        rules.push(rule);
    }

    fn seal(
        &mut self,
        hops: &BTreeMap<String, SocketAddr>,
        accounts: &str,
    ) -> Result<Envelope, String> {
        self.generation += 1;
        let mut snapshot = self.snapshot.clone();
        resolve(&mut snapshot, hops, accounts);
        let endpoints = &mut snapshot["gateway"]["upstream"]["endpoints"];
        if endpoints.as_array().is_some_and(Vec::is_empty) {
            *endpoints = json!([address(&hops[UPSTREAM])]);
        }
        let snapshot: Snapshot =
            serde_json::from_value(snapshot).map_err(|error| error.to_string())?;
        Ok(Envelope::seal(self.generation, snapshot))
    }

    /// Each of the limits that the file names, in milliseconds or as a number.
    fn limits(&self) -> Limits {
        let millis = |name: &str, default: Duration| {
            self.limits[name]
                .as_u64()
                .map_or(default, Duration::from_millis)
        };
        let defaults = Limits::default();
        Limits {
            preamble: millis("preamble", defaults.preamble),
            early_talk: millis("earlyTalk", defaults.early_talk),
            command: millis("command", defaults.command),
            data_block: millis("dataBlock", defaults.data_block),
            envelope: millis("envelope", defaults.envelope),
            exchange: millis("exchange", defaults.exchange),
            contest: millis("contest", defaults.contest),
            grace: millis("grace", defaults.grace),
            unproven: millis("unproven", defaults.unproven),
            hop: millis("hop", defaults.hop),
            // Dialogues write down who connects to a next hop, so nobody else does.
            probe: millis("probe", Duration::from_secs(3600)),
            engine_pause: millis("enginePause", defaults.engine_pause),
            counters: millis("counters", defaults.counters),
            message: self.limits["message"].as_u64().unwrap_or(defaults.message),
            drained: self.limits["drained"].as_u64().unwrap_or(defaults.drained),
            ..defaults
        }
    }
}

/// What each kind has where the file says nothing.
fn defaults(kind: &str) -> Value {
    match kind {
        "SubmissionPolicy" => json!({
            "bareNewlines": "Normalize", "envelopeSender": "Any", "headerSender": "Any", "recipientDomains": "Any"
        }),
        "CountryRule" => json!({ "login": "Allow", "sender": "Any" }),
        "RateLimit" => {
            json!({ "key": ["Source"], "limits": [], "onExceed": "Defer", "onUnavailable": "LocalOnly" })
        }
        "LoginGuard" => json!({
            "lockGrowth": 2, "maxLock": 86_400_000,
            "knownGood": { "afterDays": 3, "keep": 2_592_000_000_u64 }
        }),
        "AbuseRule" => json!({ "decay": 86_400_000, "growth": 2, "maxFor": 2_592_000_000_u64 }),
        _ => json!({}),
    }
}

/// RFC 7396, without removal.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

/// `"hop:NAME"` becomes that next hop's address, `"engine:NAME"` that engine's, `"{accounts}"` the path of the file of accounts.
fn resolve(value: &mut Value, hops: &BTreeMap<String, SocketAddr>, accounts: &str) {
    match value {
        Value::String(text) if text == "{accounts}" => *value = json!(accounts),
        Value::String(text) => {
            let place = hops.get(text.strip_prefix("hop:").unwrap_or(text));
            if let Some(place) = place.filter(|_| text.contains(':')) {
                *value = address(place);
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| resolve(item, hops, accounts)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| resolve(field, hops, accounts)),
        _ => {}
    }
}

fn address(address: &SocketAddr) -> Value {
    json!({ "host": address.ip().to_string(), "port": address.port() })
}

#[derive(Debug)]
struct SelfSigned(TempDir);

impl Certificates for SelfSigned {
    /// Each Secret has a certificate of its own, for the host of its name.
    fn of_secret(&self, name: &str) -> Result<Identity, sekisho_runtime::Error> {
        let path = self.0.path().join(format!("{name}.pem"));
        self_signed(&path, &[format!("{name}.example.jp")], BEGINNING)
    }

    fn self_signed(&self) -> Result<Identity, sekisho_runtime::Error> {
        self_signed(
            &self.0.path().join("self-signed.pem"),
            &["mail.example.jp".to_owned()],
            BEGINNING,
        )
    }
}

/// The Secrets that relays are logged in to with; cloning shares them.
#[derive(Clone, Debug, Default)]
struct Logins(Arc<Mutex<BTreeMap<String, Value>>>);

impl Logins {
    fn set(&self, name: &str, value: &Value) {
        self.0
            .lock()
            .unwrap()
            .insert(name.to_owned(), value.clone());
    }
}

impl Credentials for Logins {
    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        let secrets = self.0.lock().unwrap();
        let value = secrets.get(secret)?[key].as_str()?;
        Some(Zeroizing::new(value.as_bytes().to_vec()))
    }

    fn label(&self, secret: &str) -> String {
        format!("Secret mail/{secret}")
    }
}

/// A gateway that runs.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) restrictions: Restrictions,
    pub(crate) settings: KnownSettings,
    pub(crate) shutdown: Shutdown,
    pub(crate) records: mpsc::Receiver<Box<Record>>,
    /// Where the certificates of Secrets are, as `NAME.pem`.
    pub(crate) certificates: PathBuf,
    hops: BTreeMap<String, SocketAddr>,
    accounts: String,
    _folder: TempDir,
}

impl World {
    /// In front of a next hop that takes everything.
    pub(crate) async fn before_a_sink(objects: &mut Objects) -> (Self, Sink) {
        let sink = Sink::start().await;
        (Self::before(objects, &sink).await, sink)
    }

    pub(crate) async fn before(objects: &mut Objects, sink: &Sink) -> Self {
        let hops = [("U".to_owned(), sink.address())].into();
        Self::start(objects, &hops, &[]).await.unwrap()
    }

    pub(crate) async fn start(
        objects: &mut Objects,
        hops: &BTreeMap<String, SocketAddr>,
        accounts: &[(String, String)],
    ) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let folder = TempDir::new().map_err(|error| text(&error))?;
        let path = folder.path().join("accounts");
        std::fs::write(&path, "").map_err(|error| text(&error))?;
        for (name, password) in accounts {
            let account = sekisho_policy::Account::canonical(name, None);
            sekisho_proxy::accounts_file::add(&path, &account, password.as_bytes())
                .map_err(|error| text(&error))?;
        }
        let accounts = path.display().to_string();
        let envelope = objects.seal(hops, &accounts)?;
        let metrics = Metrics::new();
        let key = FleetKey::new([7; 32]);
        let (ledger, records) = ledger::channel(1024, key.clone(), metrics.clone());
        let identities = SelfSigned(TempDir::new().map_err(|error| text(&error))?);
        let certificates = identities.0.path().to_owned();
        let (clock, shutdown) = (Clock::manual(BEGINNING), Shutdown::new());
        let restrictions = Restrictions::new(metrics.clone());
        let settings = KnownSettings::new(metrics.clone()).map_err(|error| text(&error))?;
        let services = Services {
            counters: Arc::new(Counters::memory(sekisho_counters::Limits::default())),
            restrictions: restrictions.clone(),
            settings: settings.clone(),
            dns: Dns::with_servers(&[objects.dns], metrics.clone())
                .map_err(|error| text(&error))?,
            hashing: HashPool::new(metrics.clone()),
            key,
            message_memory: MessageMemory::new(64 << 20),
            certificates: Arc::new(identities),
            credentials: Arc::new(objects.secrets.clone()),
            ledger,
            ids: Ids::seeded(1),
            clock: clock.clone(),
            metrics: metrics.clone(),
            health: Health::default(),
            shutdown: shutdown.clone(),
        };
        let mut config =
            GatewayConfig::new([127, 0, 0, 1].into(), "mail.example.jp", folder.path());
        config.limits = objects.limits();
        let gateway = Gateway::start(config, services, &envelope)
            .await
            .map_err(|error| text(&error))?;
        let (gateway, hops) = (Arc::new(gateway), hops.clone());
        Ok(Self {
            gateway,
            clock,
            metrics,
            restrictions,
            settings,
            shutdown,
            records,
            certificates,
            hops,
            accounts,
            _folder: folder,
        })
    }

    /// Puts what was changed in force.
    pub(crate) async fn apply(&self, objects: &mut Objects) -> Result<(), String> {
        let envelope = self.seal(objects)?;
        self.gateway
            .apply(&envelope)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// The next snapshot.
    pub(crate) fn seal(&self, objects: &mut Objects) -> Result<Envelope, String> {
        objects.seal(&self.hops, &self.accounts)
    }
}
