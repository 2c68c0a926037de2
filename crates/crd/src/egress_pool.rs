//! `EgressPool`: addresses that mail leaves from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{DomainName, Duration, HostPort, Name, SecretRef, Status, UpstreamTls};

/// Addresses that mail leaves from.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "EgressPool",
    namespaced,
    shortname = "epool",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "Addresses that mail leaves from. The routes of a SubmissionPolicy name pools.",
    printcolumn(name = "Selection", type_ = "string", json_path = ".spec.selection"),
    printcolumn(name = "Relay", type_ = "string", json_path = ".spec.relay.address")
)]
#[serde(rename_all = "camelCase")]
pub struct EgressPoolSpec {
    /// The ways out. With none, mail for this pool is deferred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub members: Vec<Member>,

    /// The next hop of members that name none of their own. Without it, that is the gateway's upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,

    /// Bounds on connections.
    #[serde(default)]
    pub concurrency: Concurrency,

    /// The most messages that leave by this pool in any window, from each proxy. No bound if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<PoolRate>,

    /// How a member is chosen for a message. Weighted: by chance, in proportion to the weights. StickyByAccount: the same
    /// for the same account. StickyByRecipientDomain: the same for the same domain of the first recipient.
    #[serde(default)]
    pub selection: Selection,
}

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.sourceAddress) || has(self.relay)",
    "message": "is no way out of its own: give sourceAddress, relay or both",
}]))]
pub struct Member {
    /// What records and metrics call it.
    pub name: Name,

    /// The local address that connections leave from: one address of the machine, none that stands for any or many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ip_address")]
    pub source_address: Option<IpAddr>,

    /// What it calls itself in EHLO; the proxy's host name if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo_name: Option<DomainName>,

    /// Its share of the mail, in proportion to the weights of the others; 0 takes none.
    #[serde(default = "Member::default_weight")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: u32,

    /// Its own next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

impl Member {
    fn default_weight() -> u32 {
        1
    }
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.credentialsRef) || self.tls == 'Required' || self.address.matches('^(127\\\\.[0-9.]+|\\\\[::1\\\\]):[0-9]+$')",
    "message": "credentials cross a network only with tls: Required; set it, or leave credentialsRef out",
    "fieldPath": ".tls",
}]))]
pub struct Relay {
    /// host:port; an IPv6 address stands in brackets.
    pub address: HostPort,

    /// Whether TLS is used. Off: never. Opportunistic: where it is offered, without checking the certificate. Required:
    /// always, and the certificate must be valid for the host of the address.
    #[serde(default)]
    pub tls: UpstreamTls,

    /// The Secret of type kubernetes.io/basic-auth (username and password) with which the proxy logs in to the relay, by AUTH
    /// PLAIN or LOGIN. It needs tls: Required, unless the relay has a loopback address. While it is not there, the member
    /// takes no mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,

    /// Header fields that are added to each message, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "header_fields")]
    pub headers: BTreeMap<String, String>,
}

/// Bounds on the connections of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// The most connections at once, from each proxy.
    #[serde(default = "Concurrency::default_connections")]
    #[schemars(range(min = 1, max = 10000))]
    pub connections: u32,

    /// The most messages over one connection.
    #[serde(default = "Concurrency::default_per_connection")]
    #[schemars(range(min = 1, max = 10000))]
    pub per_connection: u32,
}

impl Concurrency {
    fn default_connections() -> u32 {
        50
    }

    fn default_per_connection() -> u32 {
        100
    }
}

impl Default for Concurrency {
    fn default() -> Self {
        Self {
            connections: Self::default_connections(),
            per_connection: Self::default_per_connection(),
        }
    }
}

/// The most messages in any window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolRate {
    /// How many messages.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub messages: u64,

    /// The length of the window, which slides.
    pub per: Duration,
}

/// How a member is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Selection {
    /// By chance, in proportion to the weights.
    #[default]
    Weighted,
    /// The same for the same account.
    StickyByAccount,
    /// The same for the same domain of the first recipient.
    StickyByRecipientDomain,
}

fn ip_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 2,
        "maxLength": 45,
        "x-kubernetes-validations": [{ "rule": "isIP(self)", "message": "must be an IPv4 or IPv6 address" }],
    })
}

/// The names are not bounded here: the API server reckons with keys of any length, and would find a rule over them too
/// dear. `compile` checks them.
fn header_fields(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "type": "string",
            "maxLength": 512,
            "pattern": forms::HEADER_VALUE,
        },
    })
}
