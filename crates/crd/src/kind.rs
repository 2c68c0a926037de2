//! The closed list of kinds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// A kind of the group `sekisho.dev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// One checkpoint: listeners, who may come in, where mail goes on to.
    MailGateway,
    /// What every message must keep to.
    SubmissionPolicy,
    /// What a source country changes.
    CountryRule,
    /// Never more than a count in any window.
    RateLimit,
    /// Locks after password errors.
    LoginGuard,
    /// Addresses that mail leaves from.
    EgressPool,
    /// Signals that add up to a restriction.
    AbuseRule,
    /// Who hears of a restriction.
    NotificationChannel,
}

impl Kind {
    /// Every kind, in the order in which they are documented.
    pub const ALL: [Self; 8] = [
        Self::MailGateway,
        Self::SubmissionPolicy,
        Self::CountryRule,
        Self::RateLimit,
        Self::LoginGuard,
        Self::EgressPool,
        Self::AbuseRule,
        Self::NotificationChannel,
    ];

    /// The name as written in `kind:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MailGateway => "MailGateway",
            Self::SubmissionPolicy => "SubmissionPolicy",
            Self::CountryRule => "CountryRule",
            Self::RateLimit => "RateLimit",
            Self::LoginGuard => "LoginGuard",
            Self::EgressPool => "EgressPool",
            Self::AbuseRule => "AbuseRule",
            Self::NotificationChannel => "NotificationChannel",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| Error::UnknownKind(text.to_owned()))
    }
}
