//! `MailGateway` as the data plane sees it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Authentication, GatewayLimits, HostPort, ObjectRef};
use crate::event::Country;
use crate::time::Millis;

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Where it came from.
    pub object: ObjectRef,
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// Who may.
    pub authentication: Authentication,
    /// The default next hop.
    pub upstream: Upstream,
    /// Which countries are home.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub home: Vec<Country>,
    /// Everything from the end of the client's data to the final dot at the next hop.
    pub after_data: Millis,
    /// What failures of dependencies mean.
    pub on_unavailable: OnUnavailable,
    /// What records and headers show of people.
    pub privacy: Privacy,
    /// Whether messages carry a field with their class and pool.
    #[serde(default)]
    pub verdict_header: VerdictHeader,
    /// Whether messages carry a keyed hash of their account.
    #[serde(default, skip_serializing_if = "AccountHeader::is_omitted")]
    pub account_header: AccountHeader,
    /// What clients may cost.
    #[serde(default, skip_serializing_if = "GatewayLimits::is_default")]
    pub limits: GatewayLimits,
    /// Path of a MaxMind-format country database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_database: Option<String>,
    /// Path of a MaxMind-format ASN database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn_database: Option<String>,
    /// Where tallies of limits and locks are kept.
    #[serde(default, skip_serializing_if = "CountersKept::is_default")]
    pub counters: CountersKept,
    /// The addresses of the cluster's own nodes and pods. While most sessions come from these, the gateway is behind
    /// something that hides its clients, and address rules do not act on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_networks: Vec<IpNet>,
}

/// Where tallies are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CountersKept {
    /// In the memory of each proxy.
    #[default]
    Memory,
    /// In Redis, shared by all proxies.
    Redis(RedisCounters),
}

impl CountersKept {
    fn is_default(&self) -> bool {
        *self == Self::Memory
    }

    /// The Secret that says where, if it takes one.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Memory => None,
            Self::Redis(redis) => Some(&redis.secret),
        }
    }
}

/// Which Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisCounters {
    /// The Secret with the server's URL and who we are there, by name.
    pub secret: String,
    /// One server or a Cluster.
    #[serde(default)]
    pub topology: RedisTopology,
    /// Whether proxies charge busy limits ahead.
    #[serde(default, skip_serializing_if = "CounterLeases::is_disabled")]
    pub leases: CounterLeases,
}

/// Whether busy limits are charged in slices ahead of their use, so that most events need no round trip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CounterLeases {
    /// Each event is asked.
    #[default]
    Disabled,
    /// Busy limits are charged ahead.
    Enabled,
}

impl CounterLeases {
    fn is_disabled(&self) -> bool {
        *self == Self::Disabled
    }
}

/// One server or a Cluster of Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedisTopology {
    /// One server.
    #[default]
    Single,
    /// A Cluster.
    Cluster,
}

/// Where clients come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its name within the gateway.
    pub name: String,
    /// TCP port.
    pub port: u16,
    /// How TLS begins.
    pub tls: ListenerTls,
    /// Secrets that hold certificates, by name; none means a self-signed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<String>,
    /// Networks that must, and alone may, begin with a PROXY header; absent means that none may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_from: Option<Vec<IpNet>>,
    /// Networks that may use XCLIENT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xclient_from: Vec<IpNet>,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ListenerTls {
    #[default]
    StartTls,
    Implicit,
    Off,
}

/// The default next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// Whether TLS is used.
    pub tls: UpstreamTls,
    /// What certificates must be.
    #[serde(flatten)]
    pub trust: Trust,
    /// How the client's identity is passed on.
    pub client_identity: ClientIdentity,
    /// When recipients are asked of the next hop.
    pub recipient_check: RecipientCheck,
}

/// One address of the next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it listens.
    #[serde(flatten)]
    pub address: HostPort,
    /// Its share of the mail; zero takes some only while no other answers.
    #[serde(default = "Endpoint::one", skip_serializing_if = "Endpoint::is_one")]
    pub weight: u32,
}

impl Endpoint {
    const fn one() -> u32 {
        1
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
    fn is_one(weight: &u32) -> bool {
        *weight == Self::one()
    }
}

impl From<HostPort> for Endpoint {
    fn from(address: HostPort) -> Self {
        Self {
            address,
            weight: Self::one(),
        }
    }
}

/// What the certificate of a next hop must be, where it is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trust {
    /// The Secret with the authorities, in `ca.crt`; absent are those of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<String>,
    /// The name that it must be for; absent is the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// Whether TLS is used towards a next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UpstreamTls {
    /// Never.
    Off,
    /// By STARTTLS where offered, without verification (RFC 7435).
    #[default]
    Opportunistic,
    /// By STARTTLS always, verified.
    Required,
    /// From the first octet, verified.
    Implicit,
}

impl UpstreamTls {
    /// Whether the next hop proves who it is.
    #[must_use]
    pub fn is_verified(self) -> bool {
        matches!(self, Self::Required | Self::Implicit)
    }
}

/// How the client's identity is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ClientIdentity {
    #[default]
    None,
    Xclient,
    ProxyV2,
}

impl ClientIdentity {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde passes it")]
    pub(super) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// When recipients are asked of the next hop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientCheck {
    /// At RCPT, of an open transaction.
    #[default]
    AtRcpt,
    /// At the end of the message; RCPT is answered by the proxy.
    AtEnd,
}

/// What failures of dependencies mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnUnavailable {
    /// Configuration that can no longer be read.
    pub config: OnConfigUnavailable,
    /// A message that could not be examined.
    pub message: OnMessageUnexamined,
    /// A content engine that is out altogether.
    #[serde(default = "OnMessageUnexamined::route_clean")]
    pub classifier: OnMessageUnexamined,
}

impl Default for OnUnavailable {
    fn default() -> Self {
        Self {
            config: OnConfigUnavailable::default(),
            message: OnMessageUnexamined::default(),
            classifier: OnMessageUnexamined::route_clean(),
        }
    }
}

/// What it means that configuration can no longer be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnConfigUnavailable {
    /// The last rules stay in force.
    #[default]
    Keep,
    /// They only observe.
    Shadow,
    /// New transactions get 451.
    Refuse,
}

/// What becomes of a message that could not be examined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnMessageUnexamined {
    /// Its class stays.
    RouteClean,
    /// It is at least suspect.
    #[default]
    RouteSuspect,
    /// It is spam.
    RouteSpam,
    /// 451 4.3.0.
    Defer,
}

impl OnMessageUnexamined {
    const fn route_clean() -> Self {
        Self::RouteClean
    }
}

/// What records and headers show of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// Recipients in records.
    pub recipients: RecipientPrivacy,
    /// The client's address in the Received field.
    pub client_address_in_received: ReceivedPrivacy,
}

/// Recipients in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientPrivacy {
    /// The local part as a keyed hash.
    #[default]
    Hashed,
    /// As they are.
    Plain,
}

/// The client's address in the Received field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ReceivedPrivacy {
    #[default]
    Include,
    Omit,
}

/// Whether messages carry a field with their class and pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VerdictHeader {
    /// They do not.
    #[default]
    Omit,
    /// They do.
    Include,
}

/// Whether messages carry a keyed hash of their account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountHeader {
    /// They do not.
    #[default]
    Omit,
    /// They do, in `X-Sekisho-Account`.
    Hashed,
}

impl AccountHeader {
    fn is_omitted(&self) -> bool {
        *self == Self::Omit
    }
}
