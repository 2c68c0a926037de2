//! Which sessions and messages a rule looks at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountGlob, Cidr, CountryCode, Name};

/// Narrows a rule: every list that is given must hold, and within a list one entry is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.accounts) || has(self.networks) || has(self.countries) || has(self.listeners) || has(self.when)",
    "message": "names nothing: give at least one of accounts, networks, countries, listeners and when, or leave match out to match everything",
}]))]
pub struct Match {
    /// Account names, in which `*` stands for any text: `*@shop.example.jp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1024))]
    pub accounts: Vec<AccountGlob>,

    /// Networks that the client's address is in, in CIDR notation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 1024))]
    pub networks: Vec<Cidr>,

    /// Countries that the client's address is registered in, by their two capital letters of ISO 3166-1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "set"))]
    pub countries: Vec<CountryCode>,

    /// Names of the gateway's listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub listeners: Vec<Name>,

    /// A CEL expression over `account`, `source` and `message` for what the lists can't say. A bounded subset of CEL,
    /// checked when the object is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub when: Option<String>,
}
