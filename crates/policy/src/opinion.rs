//! What content engines say of a message: scores and names, never content.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most symbols of one opinion that are kept; those with the greatest weight.
pub const MAX_SYMBOLS: usize = 16;

/// What one engine says of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Opinion {
    /// It examined the message.
    Scored(Score),
    /// It did not manage this message; `onUnavailable.message` says what that means.
    Failed(EngineFault),
    /// It cannot be reached, or has failed so often that it is not asked for a while; `onUnavailable.classifier` says what
    /// that means.
    Out,
}

/// An engine's verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// In thousandths; the higher, the worse.
    pub points: i64,
    /// Whether the engine itself would have refused the message, which then is spam whatever its points are.
    #[serde(default, skip_serializing_if = "EngineVerdict::passes")]
    pub verdict: EngineVerdict,
    /// What led to it, the weightiest first; at most [`MAX_SYMBOLS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<Symbol>,
}

/// What the engine itself would have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineVerdict {
    /// Let it pass, marked or not.
    #[default]
    Pass,
    /// Refuse it.
    Reject,
}

impl EngineVerdict {
    /// Whether the engine would have let the message pass.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Pass)
    }
}

/// One thing that an engine found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// The engine's name for it.
    pub name: Box<str>,
    /// Its part in the points, in thousandths; absent where the engine does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<i64>,
}

/// Why an engine did not manage a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EngineFault {
    /// It did not answer in time.
    Timeout,
    /// It was asked as many things at once as it may be, for as long as it is waited for.
    Busy,
    /// It said that it failed.
    Refused,
    /// It closed the connection early.
    Broken,
    /// Its answer makes no sense, or is far too long.
    BadAnswer,
}

impl fmt::Display for EngineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "did not answer in time",
            Self::Busy => "was busy",
            Self::Refused => "said that it failed",
            Self::Broken => "closed the connection",
            Self::BadAnswer => "gave no sensible answer",
        })
    }
}
