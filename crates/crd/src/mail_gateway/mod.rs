//! `MailGateway`: one checkpoint.

mod authentication;
mod headers;
mod limits;
mod listener;
mod login_services;
mod pods;
mod service;
mod upstream;

pub use authentication::*;
pub use headers::*;
pub use limits::*;
pub use listener::*;
pub use login_services::*;
pub use pods::*;
pub use service::*;
pub use upstream::*;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CountryCode, Duration, SecretRef, Status};

/// One checkpoint: listeners, who may come in, and where mail goes on to.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "MailGateway",
    namespaced,
    shortname = "mgw",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "One checkpoint for submitted mail: its listeners, who may come in, and where mail goes on to.",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.listeners.all(a, self.listeners.exists_one(b, b.port == a.port))",
        "message": "two listeners have the same port",
        "fieldPath": ".listeners",
    },
    {
        "rule": "self.mode != 'Sidecar' || !has(self.replicas)",
        "message": "replicas belongs to mode Gateway: with Sidecar there is one proxy for each pod",
        "fieldPath": ".replicas",
    },
    {
        "rule": "self.mode != 'Sidecar' || !has(self.service)",
        "message": "service belongs to mode Gateway: a sidecar is reached within its pod alone",
        "fieldPath": ".service",
    },
    {
        "rule": "self.mode != 'Sidecar' || !has(self.pods) || !(has(self.pods.nodeSelector) || has(self.pods.tolerations) || has(self.pods.priorityClassName) || has(self.pods.labels) || has(self.pods.annotations))",
        "message": "with mode Sidecar only pods.resources has an effect, because the pods are not the gateway's own",
        "fieldPath": ".pods",
    },
    {
        "rule": "self.mode != 'Sidecar' || !has(self.blockBypass) || self.blockBypass.namespaces == 'Same'",
        "message": "with mode Sidecar only namespaces Same can be, because pods of other namespaces cannot have the sidecar",
        "fieldPath": ".blockBypass",
    },
]))]
pub struct MailGatewaySpec {
    /// Where the proxy runs. Gateway: in a Deployment of its own, behind a Service. Sidecar: injected into the pods
    /// labelled sekisho.dev/gateway with this gateway's name.
    #[serde(default)]
    pub mode: GatewayMode,

    /// How many proxies run in mode Gateway; 1 if not given. With more than one, Memory counters limit each proxy alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub replicas: Option<u32>,

    /// Where clients come in.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub listeners: Vec<Listener>,

    /// Who may come in.
    #[serde(default)]
    pub authentication: Authentication,

    /// The default next hop.
    pub upstream: Upstream,

    /// Where the tallies of limits and locks are kept.
    #[serde(default)]
    pub counters: Counters,

    /// Where countries and autonomous systems of addresses are looked up. Without it, a table of registry data that is
    /// built in says the countries, and autonomous systems are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo: Option<Geo>,

    /// The countries that count as home in the rules of this gateway, by their two capital letters of ISO 3166-1; every
    /// other known country is abroad.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub home: Vec<CountryCode>,

    /// How long things may take.
    #[serde(default)]
    pub deadlines: Deadlines,

    /// What the failure of something that the gateway depends on means for mail.
    #[serde(default)]
    pub on_unavailable: OnUnavailable,

    /// What records and header fields show of people.
    #[serde(default)]
    pub privacy: Privacy,

    /// Header fields that the gateway writes.
    #[serde(default)]
    pub headers: GatewayHeaders,

    /// What clients may cost: connections, errors, time, memory.
    #[serde(default)]
    pub limits: GatewayLimits,

    /// The Service in front of the proxies of mode Gateway. Of no effect without a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<GatewayService>,

    /// How the proxies run as pods. Of no effect without a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<GatewayPods>,

    /// Keeps other pods from reaching mail servers other than through this gateway. Without it nothing does. Of no effect without a
    /// cluster, or where its network plugin does not enforce NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_bypass: Option<BlockBypass>,
}

/// Where the proxy of a gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum GatewayMode {
    /// In a Deployment of its own, behind a Service.
    #[default]
    Gateway,
    /// Injected into labelled pods.
    Sidecar,
}

/// Where tallies are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.type == 'Redis' ? has(self.secretRef) : !has(self.secretRef)",
        "message": "secretRef belongs to type Redis, which needs it, and to no other",
    },
    {
        "rule": "self.type == 'Redis' || !has(self.topology)",
        "message": "topology belongs to type Redis",
        "fieldPath": ".topology",
    },
    {
        "rule": "self.type == 'Redis' || !has(self.leases)",
        "message": "leases belong to type Redis",
        "fieldPath": ".leases",
    },
]))]
pub struct Counters {
    /// Memory: in each proxy, so that every replica counts alone. Redis: shared by all replicas.
    #[serde(default, rename = "type")]
    pub type_: CountersType,

    /// With type Redis: the Secret that holds the address and the credentials. `url` is redis://HOST:PORT/DATABASE, or rediss://
    /// with TLS; with topology Cluster it may name several servers, separated by spaces. `username` and `password` are those of
    /// Redis's access control list. `ca.crt` holds the authorities that are trusted instead of Mozilla's, `tls.crt` and `tls.key` what
    /// the proxies show of themselves. All but `url` may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,

    /// With type Redis: Single for one server, or one address behind which the one that is written to is found; Cluster for a Redis
    /// Cluster. Single if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<RedisTopology>,

    /// With type Redis: whether proxies charge busy limits ahead. Off if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leases: Option<CounterLeases>,
}

/// With type Redis: Enabled has proxies charge busy limits ahead, a slice at a time, so that most events need no round trip. No limit is
/// ever exceeded by it. Near a limit, what one proxy holds and has not used can for a second or two refuse what came to another, and
/// what was used comes back up to 10.2 seconds later. Enable it when all proxies are of a version that knows it. Disabled if not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CounterLeases {
    /// Each event asks Redis.
    #[default]
    Disabled,
    /// Proxies charge slices of busy limits ahead.
    Enabled,
}

/// What Redis is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RedisTopology {
    /// One server.
    #[default]
    Single,
    /// A Redis Cluster.
    Cluster,
}

/// The implementations of counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CountersType {
    /// In the memory of each proxy.
    #[default]
    Memory,
    /// In Redis.
    Redis,
}

/// Databases of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.countryDatabase) || has(self.asnDatabase)",
    "message": "names no database: give countryDatabase or asnDatabase, or leave geo out",
}]))]
pub struct Geo {
    /// A database of countries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_database: Option<GeoDatabase>,

    /// A database of autonomous systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn_database: Option<GeoDatabase>,
}

/// A file in the MaxMind format (.mmdb), read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeoDatabase {
    /// The path of a file in the MaxMind format, in the proxy's container or, standalone, relative to the folder of the
    /// YAML file. It is read again when it changes.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(self.afterData) >= duration('5s') && duration(self.afterData) <= duration('10m')",
    "message": "must be at least 5s and at most 10m; common clients give up after 100s",
    "fieldPath": ".afterData",
}]))]
pub struct Deadlines {
    /// From the end of a message to its final dot at the next hop: everything that the gateway itself does in between.
    /// Past it the client is told to try again. Common clients give up after 100s.
    #[serde(default = "Deadlines::default_after_data")]
    pub after_data: Duration,
}

impl Deadlines {
    fn default_after_data() -> Duration {
        "45s".parse().expect("45s is a duration")
    }
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            after_data: Self::default_after_data(),
        }
    }
}

/// What the failure of a dependency means for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnUnavailable {
    /// When configuration can no longer be read. Keep: the last rules stay in force. Shadow: they are recorded and let
    /// pass. Refuse: mail is deferred.
    #[serde(default)]
    pub config: OnConfigUnavailable,

    /// When one message cannot be examined as the rules ask. RouteClean: it passes as it was classified so far.
    /// RouteSuspect: it is suspect at least. RouteSpam: it is spam. Defer: the client is told to try again.
    #[serde(default)]
    pub message: OnMessageUnexamined,

    /// When a content engine cannot be reached, or has failed so often that it is not asked for a while: RouteClean,
    /// RouteSuspect, RouteSpam or Defer, as for `message`.
    #[serde(default)]
    pub classifier: OnClassifierUnavailable,
}

/// What it means that configuration can no longer be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnConfigUnavailable {
    /// The last rules stay in force.
    #[default]
    Keep,
    /// The last rules are recorded and let pass.
    Shadow,
    /// Mail is deferred.
    Refuse,
}

/// What becomes of a message that cannot be examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnMessageUnexamined {
    /// It passes as it was classified so far.
    RouteClean,
    /// It is suspect at least.
    #[default]
    RouteSuspect,
    /// It is spam.
    RouteSpam,
    /// The client is told to try again.
    Defer,
}

/// What becomes of mail while a content engine is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnClassifierUnavailable {
    /// It passes as it was classified so far.
    #[default]
    RouteClean,
    /// It is suspect at least.
    RouteSuspect,
    /// It is spam.
    RouteSpam,
    /// The client is told to try again.
    Defer,
}

/// What records and header fields show of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// How records name recipients. Hashed: the local part as a keyed hash. Plain: as they are.
    #[serde(default)]
    pub recipients: RecipientPrivacy,

    /// Whether the Received field shows the client's address: Include or Omit.
    #[serde(default)]
    pub client_address_in_received: ReceivedPrivacy,
}

/// How records name recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RecipientPrivacy {
    /// The local part as a keyed hash.
    #[default]
    Hashed,
    /// As they are.
    Plain,
}

/// Whether the Received field shows the client's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ReceivedPrivacy {
    /// It does.
    #[default]
    Include,
    /// It does not.
    Omit,
}
