//! The default next hop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HostPort;

/// The MTA that mail goes on to where no route says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    /// Where it listens. With several, those that answer share the mail.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    pub endpoints: Vec<Endpoint>,

    /// Whether TLS is used. Off: never. Opportunistic: where it is offered, without checking the certificate. Required:
    /// always, and the certificate must be valid for the host of the address.
    #[serde(default)]
    pub tls: UpstreamTls,

    /// How the client's address and login are passed on. Xclient: by Postfix's XCLIENT command. ProxyV2: in a PROXY
    /// header. None: not at all.
    #[serde(default)]
    pub client_identity: ClientIdentity,

    /// When the next hop is asked about a recipient. AtRcpt: at RCPT, so that the client hears at once of one that is
    /// unknown. AtEnd: after the message; RCPT is answered by the gateway.
    #[serde(default)]
    pub recipient_check: RecipientCheck,
}

/// One address of the next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// host:port; an IPv6 address stands in brackets.
    pub address: HostPort,
}

/// Whether TLS is used towards a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum UpstreamTls {
    /// Never.
    Off,
    /// Where it is offered, without checking the certificate (RFC 7435).
    #[default]
    Opportunistic,
    /// Always, with a certificate that is valid for the host of the address.
    Required,
}

/// How the client's address and login are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ClientIdentity {
    /// Not at all.
    #[default]
    None,
    /// By Postfix's XCLIENT command.
    Xclient,
    /// In a PROXY header, version 2.
    ProxyV2,
}

/// When the next hop is asked about a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RecipientCheck {
    /// At RCPT.
    #[default]
    AtRcpt,
    /// After the message.
    AtEnd,
}
