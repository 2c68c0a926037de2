//! `EgressPool` as the data plane sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ClientIdentity, Limit, ObjectRef, Trust, UpstreamTls};

/// Addresses that mail leaves from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Where it came from.
    pub object: ObjectRef,
    /// At least one.
    pub members: Vec<Member>,
    /// Connections at once from this proxy.
    pub max_connections: u32,
    /// Messages over one connection before it is closed.
    pub messages_per_connection: u32,
    /// Most messages in any window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit>,
    /// How a member is chosen.
    pub selection: Selection,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name within the pool.
    pub name: String,
    /// The local address that connections leave from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<IpAddr>,
    /// What it says in EHLO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helo_name: Option<String>,
    /// Its share of the pool's messages; zero takes none.
    pub weight: u32,
    /// The relay; absent is the gateway's upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
}

impl Member {
    /// Whether connections can leave from `address` at all. The system takes the unspecified addresses to mean any of its
    /// own, and binds to addresses of groups too: what then leaves from where is chance.
    #[must_use]
    pub fn can_leave_from(address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        !(address.is_unspecified() || address.is_multicast() || is_broadcast)
    }
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relay {
    /// Where it listens.
    pub address: HostPort,
    /// Whether TLS is used.
    pub tls: UpstreamTls,
    /// What its certificate must be.
    #[serde(flatten)]
    pub trust: Trust,
    /// The Secret, of the pool's namespace, with which the proxy logs in; its value never stands in a snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// Where tokens to log in with come from, in place of `credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuth>,
    /// How the client's identity is passed on.
    #[serde(default, skip_serializing_if = "ClientIdentity::is_none")]
    pub client_identity: ClientIdentity,
    /// Header fields added to each message.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// Where tokens for a relay come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OAuth {
    /// The token endpoint.
    pub token_url: String,
    /// What the token is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The Secret with `username`, `client_id`, `client_secret` and perhaps `refresh_token`.
    pub credentials: String,
}

/// How a pool's member is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Selection {
    #[default]
    Weighted,
    StickyByAccount,
    StickyByRecipientDomain,
}

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
