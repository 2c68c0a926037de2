//! `NotificationChannel` as the snapshot has it: with the steps that name it.

use serde::{Deserialize, Serialize};

use super::ObjectRef;

/// Who hears of a restriction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// Where it came from.
    pub object: ObjectRef,
    /// Where a message is posted: `http` or `https`.
    pub url: String,
    /// The name of the Secret whose `secret` messages are signed with.
    pub secret: String,
}
