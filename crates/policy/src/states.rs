//! What crosses on the state channel: impositions from proxies, and what holds to proxies.

use serde::{Deserialize, Serialize};

use crate::address::Account;
use crate::restriction::{Origin, Restriction};
use crate::time::{Millis, Span, Timestamp};

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
    /// When somebody else may have used the account: what it logged in from then is not known to be good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disowned: Option<Span>,
}

/// So long before the first restriction an incident is taken to have begun: nobody notices at once.
pub const UNNOTICED: Millis = Millis(7 * Millis::DAY.0);

/// When somebody else may have used an account that is released from everything at `at`. It began `ago` before, as whoever releases it
/// says, or else [`UNNOTICED`] before the first restriction. Without either nobody did: a lock says that passwords were wrong.
#[must_use]
pub fn incident(at: Timestamp, ago: Option<Millis>, first: Option<Timestamp>) -> Option<Span> {
    let before = |time: Timestamp, span: Millis| Timestamp(time.0.saturating_sub(span.0));
    let from = match (ago, first) {
        (Some(Millis(0)), _) | (None, None) => return None,
        (Some(ago), _) => before(at, ago),
        (None, Some(first)) => before(first.min(at), UNNOTICED),
    };
    Some(Span { from, to: at })
}

/// What is still to be told of two releases: both spans where they touch, else the later one. Who heard of the earlier has noted it.
#[must_use]
pub fn disowned_by_both(earlier: Option<Span>, later: Option<Span>) -> Option<Span> {
    match (earlier, later) {
        (Some(earlier), Some(later)) if earlier.touches(&later) => Some(earlier.joined(&later)),
        (_, Some(later)) => Some(later),
        (earlier, None) => earlier,
    }
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
