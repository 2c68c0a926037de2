//! What crosses on the state channel: impositions from proxies, and what holds to proxies.

use serde::{Deserialize, Serialize};

use crate::address::Account;
use crate::restriction::{Origin, Restriction};
use crate::time::Timestamp;

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
    /// Where somebody released the account, rather than that time did: when, and from what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

/// That somebody released an account. It is told of where nothing stood, too: what a proxy imposed before and tells later is not
/// taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// When, by the store's clock. What was imposed until then is released.
    pub at: Timestamp,
    /// The store's revision of it: who knows of that or of a later one has heard of it.
    pub revision: u64,
    /// From what.
    #[serde(default, skip_serializing_if = "Extent::is_origin")]
    pub extent: Extent,
}

/// From what an account was released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Extent {
    /// From the change's origin.
    #[default]
    Origin,
    /// From every origin. The change names the desk, for readers that know no more.
    Account,
}

impl Extent {
    fn is_origin(&self) -> bool {
        *self == Self::Origin
    }
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
    /// Names the store, made with its tables. One of another name is another store, which knows nothing of what the one before
    /// said: what is missing there was not released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Box<str>>,
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
