//! The default next hop.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DomainName, HostPort, SecretRef};

/// The MTA that mail goes on to where no route says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.caRef) || has(self.serverName)) || self.tls == 'Required' || self.tls == 'Implicit'",
    "message": "a certificate is looked at only with tls: Required or Implicit; set it, or leave caRef and serverName out",
    "fieldPath": ".tls",
}]))]
pub struct Upstream {
    /// Where it listens. With several, those that answer share the mail in proportion to their weights; one that is busier or
    /// far slower than the others gets less.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    pub endpoints: Vec<Endpoint>,

    /// Whether TLS is used. Off: never. Opportunistic: by STARTTLS where it is offered, without checking the certificate.
    /// Required: by STARTTLS always, and the certificate must be valid. Implicit: from the first octet, as on port 465, and
    /// the certificate must be valid. Valid is one for the host of the address, or for serverName.
    #[serde(default)]
    pub tls: UpstreamTls,

    /// The name that the certificates must be for, where that is not the host of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<DomainName>,

    /// The Secret whose ca.crt holds the authorities, as PEM, of which one must have issued the certificate. Without it they
    /// are Mozilla's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<SecretRef>,

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

    /// Its share of the mail, in proportion to the weights of the others; 0 takes some only while no other answers.
    #[serde(default = "Endpoint::default_weight")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: u32,
}

impl Endpoint {
    fn default_weight() -> u32 {
        1
    }
}

/// Whether TLS is used towards a next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum UpstreamTls {
    /// Never.
    Off,
    /// By STARTTLS where it is offered, without checking the certificate (RFC 7435).
    #[default]
    Opportunistic,
    /// By STARTTLS always, with a valid certificate.
    Required,
    /// From the first octet, with a valid certificate (RFC 8314 3.3).
    Implicit,
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
