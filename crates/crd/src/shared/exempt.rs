//! Whom a rule leaves alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountGlob, Cidr, ReverseSuffix};

/// Sources and accounts that a rule leaves alone: one matching entry in any list is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exempt {
    /// Networks, in CIDR notation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub networks: Vec<Cidr>,

    /// Numbers of autonomous systems. They are known only where the gateway names an ASN database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(range(min = 1, max = 4294967295_u32)), extend("x-kubernetes-list-type" = "set"))]
    pub asns: Vec<u32>,

    /// Ends of reverse DNS names, from a label boundary on: `.google.com`. A name counts only when it resolves back to
    /// the source's address; while DNS is failing nobody is exempt. Exempts from refusals, never from limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub reverse_names: Vec<ReverseSuffix>,

    /// Account names, in which `*` stands for any text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub accounts: Vec<AccountGlob>,
}
