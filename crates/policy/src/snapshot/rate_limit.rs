//! `RateLimit` as the data plane sees it.

use serde::{Deserialize, Serialize};

use super::Match;
use crate::restriction::Level;
use crate::time::Millis;

/// Never more than `count` in any `per`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// What is counted apart; several make a tuple.
    pub key: Vec<KeyPart>,
    /// The limits.
    pub limits: Vec<Limit>,
    /// Other limits for some; the first whose match holds replaces `limits`. They share the rule's tallies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// What counts that accounts have of their own mean here.
    #[serde(default, skip_serializing_if = "OwnLimits::is_default")]
    pub own_limits: OwnLimits,
    /// What being over a limit means.
    pub on_exceed: OnExceed,
    /// With [`OnExceed::Restrict`], and only then: what the account may not do from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<Restrict>,
    /// What it means that counters do not answer.
    pub on_unavailable: OnCountersUnavailable,
}

/// One part of a limit's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum KeyPart {
    /// The authenticated account; without one the rule does not apply.
    Account,
    /// The source address.
    Source,
    /// Its /24 or /64.
    SourcePrefix,
    /// Its autonomous system; unknown ones share one tally.
    Asn,
    /// Its country; unknown ones share one tally.
    Country,
    /// The envelope sender's domain.
    SenderDomain,
    /// The recipient's domain (unit Recipients only).
    RecipientDomain,
    /// One tally for the gateway.
    Gateway,
}

/// `count` units in any `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is counted.
    pub unit: Unit,
    /// The most that any window may hold.
    pub count: u64,
    /// The window.
    pub per: Millis,
}

/// What limits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// Messages that the next hop took.
    Messages,
    /// Recipients, charged at RCPT.
    Recipients,
    /// Octets of messages that the next hop took.
    Bytes,
    /// Connections.
    Connections,
    /// Login attempts; they never come back.
    Attempts,
}

/// Other limits for some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Its name within the rule.
    pub name: String,
    /// For whom.
    #[serde(rename = "match")]
    pub applies: Match,
    /// The limits instead.
    pub limits: Vec<Limit>,
}

/// What counts that accounts have of their own mean to a rule whose key has the account in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnLimits {
    /// One that is lower than the rule's takes its place.
    #[default]
    Lower,
    /// One takes the place of the rule's, lower or higher.
    Replace,
    /// None does.
    Ignore,
}

impl OwnLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What being over a limit means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum OnExceed {
    #[default]
    Defer,
    Reject,
    RouteSuspect,
    RouteSpam,
    Restrict,
}

/// What an account that is over a limit may not do from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restrict {
    /// How much it is restricted.
    pub level: Level,
    /// For how long the first time; `None` until somebody releases it.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub term: Option<Millis>,
    /// With `Limit`: how many recipients in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
    /// Each further one lasts so many times longer.
    pub growth: u32,
    /// None of them lasts longer, and after so long without one the first length is back.
    pub max_for: Millis,
}

/// What it means that counters do not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCountersUnavailable {
    /// This proxy's own counters decide; where they are the ones that fail, as `Allow`.
    #[default]
    LocalOnly,
    /// 451 4.3.0.
    Defer,
    /// Let pass.
    Allow,
}
