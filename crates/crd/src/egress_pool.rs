//! `EgressPool`: addresses that mail leaves from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{ClientIdentity, DomainName, Duration, HostPort, Name, SecretRef, Status, UpstreamTls};

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
    "rule": "!(has(self.credentialsRef) || has(self.oauth)) || self.tls == 'Required' || self.tls == 'Implicit' || self.address.matches('^(127\\\\.[0-9.]+|\\\\[::1\\\\]):[0-9]+$')",
    "message": "credentials cross a network only with tls: Required or Implicit; set it, or leave credentialsRef and oauth out",
    "fieldPath": ".tls",
}, {
    "rule": "!(has(self.credentialsRef) && has(self.oauth))",
    "message": "a relay is logged in to in one way: leave credentialsRef or oauth out",
    "fieldPath": ".oauth",
}, {
    "rule": "!(has(self.caRef) || has(self.serverName)) || self.tls == 'Required' || self.tls == 'Implicit'",
    "message": "a certificate is looked at only with tls: Required or Implicit; set it, or leave caRef and serverName out",
    "fieldPath": ".tls",
}]))]
pub struct Relay {
    /// host:port; an IPv6 address stands in brackets.
    pub address: HostPort,

    /// Whether TLS is used. Off: never. Opportunistic: by STARTTLS where it is offered, without checking the certificate.
    /// Required: by STARTTLS always, and the certificate must be valid. Implicit: from the first octet, as on port 465, and
    /// the certificate must be valid. Valid is one for the host of the address, or for serverName.
    #[serde(default)]
    pub tls: UpstreamTls,

    /// The name that the certificate must be for, where that is not the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<DomainName>,

    /// The Secret whose ca.crt holds the authorities, as PEM, of which one must have issued the certificate. Without it they
    /// are Mozilla's list. While it is not there, the member takes no mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<SecretRef>,

    /// The Secret with which the proxy logs in to the relay: username and password (type kubernetes.io/basic-auth) for AUTH
    /// PLAIN or LOGIN, or username and token for AUTH XOAUTH2. It needs tls: Required or Implicit, unless the relay has a
    /// loopback address. While it is not there, the member takes no mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,

    /// Logs in to the relay by AUTH XOAUTH2 with a token that the proxy fetches when it needs one, in place of
    /// credentialsRef.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,

    /// How the client's address and login are passed on. Xclient: by Postfix's XCLIENT command. ProxyV2: in a PROXY
    /// header; each connection then carries one message. None: not at all, as is right for relays of others.
    #[serde(default)]
    pub client_identity: ClientIdentity,

    /// Header fields that are added to each message, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "header_fields")]
    pub headers: BTreeMap<String, String>,
}

/// Where tokens for a relay come from (OAuth 2.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// The token endpoint: https://host/path. Its certificate must be valid for the host.
    #[schemars(length(min = 9, max = 1024), regex(pattern = forms::TOKEN_URL))]
    pub token_url: String,

    /// What the token is asked for, like https://outlook.office365.com/.default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = forms::SCOPE))]
    pub scope: Option<String>,

    /// The Secret with username (whose mailbox sends), client_id and client_secret: tokens are asked for by the client
    /// credentials grant. With a refresh_token beside them it is the refresh token grant. While it is not there, the member
    /// takes no mail.
    pub credentials_ref: SecretRef,
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
