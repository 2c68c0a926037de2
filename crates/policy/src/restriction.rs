//! What an account may not do now, until when, why, and who said so.

use serde::{Deserialize, Serialize};

use crate::id::DecisionId;
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Timestamp};

/// How much an account is restricted. Each level is worse than those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Nothing is refused; people look at it.
    Watch,
    /// It may send, but little.
    Limit,
    /// Its messages are spam, whatever they look like: they leave by the pool for spam, and by no other.
    Quarantine,
    /// It may log in, and send nothing.
    Suspend,
}

/// One restriction of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restriction {
    /// How much.
    pub level: Level,
    /// Since when.
    pub since: Timestamp,
    /// When it lifts by itself; `None` where somebody has to release it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who said so. An account has one restriction of each origin; a later one takes the place of the earlier.
    pub origin: Origin,
    /// Why, in words for the desk; never anything that the account's mail contains.
    pub why: Box<str>,
    /// The decision that led to it, if it was a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// With `Limit`: how many recipients in an hour. `None` is [`LIMITED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
}

/// What an account with the level `Limit` may send where nothing else is said: recipients in an hour.
pub const LIMITED: u32 = 10;

/// Who restricted an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A rule, whose name it is.
    Rule(ObjectRef),
    /// Somebody at the desk; who is in the audit trail.
    Desk,
}

impl Restriction {
    /// Whether it holds at that moment.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.since <= now && self.until.is_none_or(|until| now < until)
    }

    /// How long it was meant to last; `None` where somebody has to release it.
    #[must_use]
    pub fn term(&self) -> Option<Millis> {
        self.until.map(|until| until.since(self.since))
    }
}
