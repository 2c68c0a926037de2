//! Seam 1: the only thing that crosses from control to data plane.
//!
//! Canonical JSON: integers only, keys sorted, lists in a defined order; equal objects give equal bytes and one digest.
//! No limiter, cache, clock or secret value inside; secrets are named. A rule of an unknown kind is refused
//! by [`crate::Ruleset::load`]; an unknown field is a description and is ignored.

mod abuse_rule;
mod applies_to;
mod authentication;
mod channel;
mod country_rule;
mod gateway;
mod limits;
mod login_guard;
mod pool;
mod rate_limit;
mod submission;

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::event::Country;
use crate::expr::Expr;

pub use abuse_rule::*;
pub use applies_to::*;
pub use authentication::*;
pub use channel::*;
pub use country_rule::*;
pub use gateway::*;
pub use limits::*;
pub use login_guard::*;
pub use pool::*;
pub use rate_limit::*;
pub use submission::*;

/// The schema of the body that this version writes. Control serves it and the one before.
pub const SCHEMA: u32 = 1;

/// A snapshot on its way: the body and what names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Grows with each change: the larger of last + 1 and the time in milliseconds.
    pub generation: u64,
    /// SHA-256 of the canonical body, in lower-case hex.
    pub digest: String,
    /// The body.
    pub snapshot: Snapshot,
}

/// One gateway's complete configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// [`SCHEMA`] of the writer.
    pub schema: u32,
    /// The checkpoint itself.
    pub gateway: Gateway,
    /// The rules in evaluation order.
    pub rules: Vec<Rule>,
    /// The pools that routes name, by name.
    pub pools: BTreeMap<String, Pool>,
}

/// The object that a rule, a finding or a counter came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    /// `RateLimit/default/per-account`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

/// The kinds of objects that can be at work in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the kind of that name")]
pub enum Kind {
    MailGateway,
    SubmissionPolicy,
    CountryRule,
    RateLimit,
    LoginGuard,
    EgressPool,
    AbuseRule,
    NotificationChannel,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a rule's opinion does.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Enforcement {
    /// It acts.
    #[default]
    Enforce,
    /// It is decided and recorded, and lets pass.
    Shadow,
    /// It is not looked at.
    Off,
}

impl Enforcement {
    pub(crate) const fn is_enforced(&self) -> bool {
        matches!(self, Self::Enforce)
    }
}

/// Whether a rule that refuses too many known-good sessions falls back to `Shadow`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Brake {
    #[default]
    Default,
    Off,
}

/// One rule and the object it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Where it came from.
    pub object: ObjectRef,
    /// What its opinion does.
    pub enforcement: Enforcement,
    /// Whether the brake watches it.
    pub brake: Brake,
    /// To what it applies.
    #[serde(
        rename = "match",
        default,
        skip_serializing_if = "Match::is_everything"
    )]
    pub applies: Match,
    /// What it asks.
    #[serde(flatten)]
    pub spec: RuleSpec,
}

/// To what a rule applies: all that is given must hold; an empty list asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Match {
    /// Globs over canonical account names: `*` any run of characters, `?` one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// The source lies in one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// The source's country is one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// The listener is one of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// The lowered CEL expression is true. Something not known at a stage is neither true nor false: the rule does not apply there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<Expr>,
}

impl Match {
    /// Whether it asks nothing.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// The kinds of rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", content = "spec")]
pub enum RuleSpec {
    /// What every message must keep to.
    SubmissionPolicy(SubmissionPolicy),
    /// What a source country changes.
    CountryRule(CountryRule),
    /// Never more than N in W.
    RateLimit(RateLimit),
    /// Password errors.
    LoginGuard(LoginGuard),
    /// Signals that add up to a restriction.
    AbuseRule(AbuseRule),
}
