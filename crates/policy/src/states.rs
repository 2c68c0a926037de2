//! What crosses on the state channel: impositions from proxies, and what holds to proxies.

use serde::{Deserialize, Serialize};

use crate::address::Account;
use crate::restriction::{Origin, Restriction};

/// What a proxy wants an account to be restricted to. The same one may come again, and is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Imposition {
    /// Whom.
    pub account: Account,
    /// How.
    pub restriction: Restriction,
}

/// What is so from now on of one account and one origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Whom it is about.
    pub account: Account,
    /// Whose restriction it is about.
    pub origin: Origin,
    /// The restriction; `None` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
    /// Where there is no restriction: why.
    #[serde(default, skip_serializing_if = "Absence::is_release")]
    pub absence: Absence,
}

/// Why there is no restriction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Absence {
    /// Somebody released it, or its time is over.
    #[default]
    Release,
    /// It was not taken: too many stand, or it is over by the clock of who keeps them. It holds where it was imposed, and nowhere
    /// else; nobody was pardoned.
    Untaken,
}

impl Absence {
    fn is_release(&self) -> bool {
        *self == Self::Release
    }
}

/// One answer to who asks what changed since a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct States {
    /// What to ask for the next time.
    pub revision: u64,
    /// What the changes are added to.
    pub onto: Onto,
    /// Whether there is more to be asked for at once.
    pub rest: Rest,
    /// What is so now, in the order in which it came about.
    pub changes: Vec<Change>,
}

/// What the changes of an answer are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Onto {
    /// To nothing: all that was known before is to be forgotten once there is no more to come.
    Nothing,
    /// To what was known at the revision that was asked about.
    Known,
}

/// Whether an answer is the last for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// There is nothing more.
    Nothing,
    /// There is more.
    More,
}

/// Whether a question goes on with an answer that was not the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// It stands for itself.
    #[default]
    First,
    /// It is about what comes after another part, which may be of the whole.
    Next,
}
