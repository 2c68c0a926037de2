//! Header fields that the gateway writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Header fields that the gateway writes into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayHeaders {
    /// Whether the next hop is told what came of a message, in a field X-Sekisho-Verdict with its class, its pool and the
    /// decision's id. Omit: it is not. Include: it is, and every message is held to its end, when the class is known.
    /// Fields whose name begins with X-Sekisho- are always removed from what clients send.
    #[serde(default)]
    pub verdict: VerdictHeader,

    /// Whether messages tell whose they are to whoever has this installation's key, in a field X-Sekisho-Account with a
    /// keyed hash of the account: an abuse report then names the account, and nobody else can read it. Omit: they do not.
    /// Hashed: they do.
    #[serde(default)]
    pub account: AccountHeader,
}

/// Whether messages carry a keyed hash of their account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AccountHeader {
    /// They do not.
    #[default]
    Omit,
    /// They do.
    Hashed,
}

/// Whether a message carries a field with its class and pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum VerdictHeader {
    /// It does not.
    #[default]
    Omit,
    /// It does.
    Include,
}
