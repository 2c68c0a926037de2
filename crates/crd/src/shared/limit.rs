//! A count in a window.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Never more than `count` of `unit` in any stretch of time as long as `per`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limit {
    /// What is counted: Messages and Bytes (of messages that the next hop took), Recipients (charged at each RCPT, given
    /// back when the message is refused), Connections (when a session opens), Attempts (logins, never given back),
    /// UnknownRecipients (recipients that the next hop does not know) or FirstTimeRecipients (recipients that the
    /// account never wrote to).
    pub unit: LimitUnit,

    /// The most that is let through. There is no value for "no limit": leave the limit out.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub count: u64,

    /// The length of the window, which slides: hours, minutes and seconds, like 24h, 1h30m or 45s.
    pub per: Duration,
}

/// What a [`Limit`] counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum LimitUnit {
    /// Messages that the next hop took.
    Messages,
    /// Recipients, charged at RCPT and given back when the message is refused.
    Recipients,
    /// Octets of messages that the next hop took.
    Bytes,
    /// Sessions, charged when one opens.
    Connections,
    /// Login attempts, successful or not; never given back.
    Attempts,
    /// Recipients that the next hop does not know.
    UnknownRecipients,
    /// Recipients that the account never wrote to before.
    FirstTimeRecipients,
}

impl LimitUnit {
    /// The name as written in `unit:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "Messages",
            Self::Recipients => "Recipients",
            Self::Bytes => "Bytes",
            Self::Connections => "Connections",
            Self::Attempts => "Attempts",
            Self::UnknownRecipients => "UnknownRecipients",
            Self::FirstTimeRecipients => "FirstTimeRecipients",
        }
    }
}
