//! What the operator writes back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The types of the conditions that every kind has.
pub mod condition_type {
    /// The object is valid and attached.
    pub const ACCEPTED: &str = "Accepted";
    /// The proxies enforce it.
    pub const PROGRAMMED: &str = "Programmed";
}

/// The state of an object as the control plane sees it. What a rule did is asked of the API and of metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The `metadata.generation` that this status speaks of; -1 until somebody has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -1))]
    pub observed_generation: Option<i64>,

    /// Accepted: the object is valid and attached. Programmed: the proxies enforce it. Others say what to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,

    /// How many of the connected proxies enforce the newest rules of this object: 2/3 is two of three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^[0-9]+/[0-9]+$"))]
    pub programmed: Option<String>,
}

/// One aspect of the state, shaped like `metav1.Condition`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The aspect, like Accepted or Programmed.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,

    /// Whether it holds: True, False or Unknown.
    pub status: ConditionStatus,

    /// Why, in one word of CamelCase for programs.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,

    /// Why, in words for people.
    #[schemars(length(max = 32768))]
    pub message: String,

    /// The `metadata.generation` that this condition speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// When `status` last changed, as an RFC 3339 time.
    #[schemars(length(max = 64), extend("format" = "date-time"))]
    pub last_transition_time: String,
}

/// Whether a [`Condition`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}
