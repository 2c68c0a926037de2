//! Whom a rule is about, by the accounts' own settings.

use serde::{Deserialize, Serialize};

/// Whom a rule is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppliesTo {
    /// Everybody, whatever is set.
    #[default]
    Everyone,
    /// Accounts that asked for it.
    OptedIn,
    /// Accounts that did not refuse it: also those that have no settings.
    NotOptedOut,
}

impl AppliesTo {
    /// Whether no setting is asked.
    #[must_use]
    pub const fn is_everyone(&self) -> bool {
        matches!(self, Self::Everyone)
    }
}
