//! Header fields that the gateway writes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Header fields that the gateway writes into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayHeaders {
    /// Whether the next hop is told what came of a message, in a field X-Sekisho-Verdict with its class, its pool and the
    /// decision's id. Omit: it is not, and a field of that name that a client wrote goes on as it is. Include: it is, fields of that name that a client wrote are removed, and every
    /// message is held to its end, when the class is known.
    #[serde(default)]
    pub verdict: VerdictHeader,
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
