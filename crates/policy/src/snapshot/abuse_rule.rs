//! `AbuseRule` as the data plane sees it.

use serde::{Deserialize, Serialize};

use super::{Channel, Exempt};
use crate::restriction::Level;
use crate::signal::Signal;
use crate::time::Millis;

/// Signals that add up to a restriction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbuseRule {
    /// Whose doings are not counted.
    #[serde(default, skip_serializing_if = "Exempt::is_nobody")]
    pub exempt: Exempt,
    /// What is counted; each signal once.
    pub signals: Vec<SignalMark>,
    /// Points are gone so long after they were awarded.
    pub decay: Millis,
    /// Each further restriction of a step lasts so many times longer.
    pub growth: u32,
    /// None of them lasts longer, and after so long without one the first length is back.
    pub max_for: Millis,
    /// What points lead to, the lowest first.
    pub ladder: Vec<LadderStep>,
}

/// From where on a signal is worth points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalMark {
    /// What is counted.
    pub signal: Signal,
    /// So many award points.
    pub count: u64,
    /// Within this time.
    pub per: Millis,
    /// Awarded once in `per`.
    pub points: u32,
}

/// A step of the ladder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LadderStep {
    /// From so many points on.
    pub at: u32,
    /// Only while points of each of these have not faded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Signal>,
    /// How much the account is restricted.
    pub level: Level,
    /// For how long the first time; `None` until somebody releases it.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub term: Option<Millis>,
    /// With `Limit`: how many recipients in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
    /// Who hears of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Channel>,
}
