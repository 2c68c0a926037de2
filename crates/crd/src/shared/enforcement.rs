//! How far a rule goes, and for whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a rule's verdict does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// The verdict binds.
    #[default]
    Enforce,
    /// The rule decides and is recorded, and the mail passes as if it were not there.
    Shadow,
    /// The rule is not evaluated.
    Off,
}

/// Whether a rule that refuses too many known-good sessions falls back to `Shadow` by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Brake {
    /// Trips when more than 1 % of the known-good sessions of 5 minutes, and at least 20, are refused by this rule.
    #[default]
    Default,
    /// Never trips.
    Off,
}

/// Which accounts a rule applies to, by the account's own setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AppliesTo {
    /// Every account, whatever its setting.
    #[default]
    Everyone,
    /// Accounts that asked for it.
    OptedIn,
    /// Accounts that did not refuse it.
    NotOptedOut,
}
