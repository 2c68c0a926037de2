//! References to other objects of the namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Name;
use crate::values::forms;

/// A gateway that a rule attaches to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The API group of the target: sekisho.dev.
    #[serde(default)]
    pub group: TargetGroup,

    /// The kind of the target: MailGateway.
    #[serde(default)]
    pub kind: TargetKind,

    /// The name of the gateway, in the namespace of this object.
    pub name: Name,
}

/// The group of a [`TargetRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TargetGroup {
    /// `sekisho.dev`.
    #[default]
    #[serde(rename = "sekisho.dev")]
    Sekisho,
}

/// The kind of a [`TargetRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// `MailGateway`.
    #[default]
    MailGateway,
}

/// A Secret of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The name of the Secret, in the namespace of this object.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = forms::SECRET_NAME)
    )]
    pub name: String,
}
