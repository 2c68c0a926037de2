//! `CountryRule` as the data plane sees it.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{AppliesTo, Limit, SenderCheck};
use crate::decision::Class;
use crate::event::Country;

/// What a source country changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountryRule {
    /// Which sources it is about; `abroad` is already lowered to `Except(home)`.
    pub from: From,
    /// Whom it does not refuse (limits and signals still count them).
    #[serde(default)]
    pub exempt: Exempt,
    /// Whose sessions, by the account's setting `loginsFromAbroad`.
    #[serde(default, skip_serializing_if = "AppliesTo::is_everyone")]
    pub applies_to: AppliesTo,
    /// Whether logins from there are refused.
    pub login: LoginFrom,
    /// Whether envelope and header senders must be the account's.
    pub sender: SenderCheck,
    /// Most recipients of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_message: Option<u32>,
    /// Limits by account, for what comes from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// The best class that a message from there can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_at_least: Option<Class>,
}

/// A set of source countries. An unknown country is in `Unknown` only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// One of these.
    Countries(Vec<Country>),
    /// A known country that is none of these.
    Except(Vec<Country>),
    /// No country is known.
    Unknown,
}

/// Whom a rule does not refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Exempt {
    /// Source networks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// Autonomous systems.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asns: Vec<u32>,
    /// Suffixes of forward-confirmed reverse names, matched at a label boundary, in lower case with a leading dot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reverse_names: Vec<String>,
    /// Globs over accounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
}

impl Exempt {
    /// Whether it names nobody.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether logins are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum LoginFrom {
    #[default]
    Allow,
    Refuse,
}
