//! Where clients come in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cidr, Name, SecretRef};

/// One port on which clients come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.name.size() <= 15",
        "message": "must be at most 15 characters, because a port of a Service takes this name",
        "fieldPath": ".name",
    },
    {
        "rule": "self.tls != 'Off' || !has(self.certificateRefs)",
        "message": "certificateRefs has no use on a listener with tls Off",
        "fieldPath": ".certificateRefs",
    },
]))]
pub struct Listener {
    /// What rules, records and metrics call it.
    pub name: Name,

    /// The TCP port. 587 and 465 are those of submission (RFC 6409, RFC 8314).
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// How TLS begins. StartTls: with the command STARTTLS. Implicit: with the first byte. Off: never.
    #[serde(default)]
    pub tls: ListenerTls,

    /// Secrets of type kubernetes.io/tls with a certificate chain and its key. With several, the name that the client
    /// asks for chooses. Standalone, a self-signed certificate is made where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub certificate_refs: Vec<SecretRef>,

    /// Whether a load balancer in front tells the client's address in a PROXY header (version 1 or 2).
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,

    /// Networks whose hosts may pass on the address and the login of their own users by XCLIENT, in CIDR notation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub xclient_from: Vec<Cidr>,
}

/// How TLS begins on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ListenerTls {
    /// With the command STARTTLS (RFC 3207).
    #[default]
    StartTls,
    /// With the first byte (RFC 8314).
    Implicit,
    /// Never.
    Off,
}

/// Whether sessions begin with a PROXY header. It is required or forbidden, never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.mode == 'Required' ? has(self.from) : !has(self.from)",
    "message": "from belongs to mode Required, which needs it: the load balancer's own addresses, because a client in these networks can claim any address",
}]))]
pub struct ProxyProtocol {
    /// Required: every session begins with a PROXY header. Off: none does.
    #[serde(default)]
    pub mode: ProxyProtocolMode,

    /// With mode Required: the load balancer's own addresses, in CIDR notation. Others are turned away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub from: Vec<Cidr>,
}

/// Whether sessions begin with a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ProxyProtocolMode {
    /// None does.
    #[default]
    Off,
    /// Every one does.
    Required,
}
