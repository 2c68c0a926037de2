//! Seam 2, the answer: what the peer is told, and why.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::field_path::FieldPath;
use crate::op::Op;
use crate::snapshot::{Enforcement, ObjectRef};
use crate::time::{Millis, Timestamp};

/// What to do, and everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What the peer is told.
    pub verdict: Verdict,
    /// The message's class after this event; never better than before it.
    pub class: Class,
    /// What each rule that applied saw and said, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Counter operations to apply afterwards, whatever the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Op>,
    /// Whether the (claimed) account's network is known good: answered by counters at `Login` and `LoginSucceeded`, then
    /// as the event's account says.
    #[serde(default, skip_serializing_if = "crate::event::Network::is_new")]
    pub network: crate::event::Network,
}

impl Decision {
    /// Whether the account is restricted, or was by this: people may ask about it by its id.
    #[must_use]
    pub fn restricts(&self) -> bool {
        let restricted = Said::Noted(Reason::Restricted);
        self.findings
            .iter()
            .any(|finding| finding.said == restricted)
    }

    /// What the content of the message was found to be at this event, enforced or not; what an engine is sure of is spam.
    #[must_use]
    pub fn content(&self) -> Class {
        let of = |finding: &Finding| match finding.said {
            Said::Worsen(class, Reason::ContentMatched) => class,
            Said::Reject(Reason::ContentRefused) => Class::Spam,
            _ => Class::Unclassified,
        };
        self.findings.iter().map(of).max().unwrap_or_default()
    }
}

/// What happens to the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Go on. From the header stage on, `Ruleset::route` says where to.
    Allow,
    /// Go on after a pause.
    Delay(Millis),
    /// Refuse for now (4xx).
    Defer(Refusal),
    /// Refuse (5xx).
    Reject(Refusal),
}

impl Verdict {
    /// The refusal, if it is one.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Defer(refusal) | Self::Reject(refusal) => Some(refusal),
            Self::Allow | Self::Delay(_) => None,
        }
    }
}

/// What the peer is told: safe text, nothing that helps an attacker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Reply code (RFC 5321).
    pub code: u16,
    /// Enhanced status code (RFC 3463).
    pub enhanced: (u8, u16, u16),
    /// Words for people, without the decision id, which the session appends.
    pub text: Cow<'static, str>,
    /// Why, from the closed list that metrics and desks use.
    pub reason: Reason,
    /// When resending could succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// Why a rule refused or rerouted: the kinds of abuse and trouble, as metrics name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// A limit is used up.
    RateExceeded,
    /// Too many recipients for one message.
    TooManyRecipients,
    /// Too many addresses in To and Cc.
    TooManyVisibleRecipients,
    /// The account is locked after wrong passwords.
    AccountLocked,
    /// The source is locked after wrong passwords.
    SourceLocked,
    /// Logins from there are refused.
    CountryRefused,
    /// The account lets nobody in from there: it says so, or says nothing where that is what saying nothing means.
    AbroadRefused,
    /// The envelope sender is not the account's.
    SenderMismatch,
    /// The header From is not the account's.
    HeaderFromMismatch,
    /// The message is too large.
    TooLarge,
    /// A bare CR or LF where the policy refuses them.
    BareNewline,
    /// The recipient's domain does not exist.
    UnknownDomain,
    /// The recipient's domain takes no mail.
    NullMx,
    /// An attachment of a refused type.
    AttachmentBlocked,
    /// The message was classified, and the policy refuses its class.
    ClassRefused,
    /// A content engine is sure that it is phishing or malware.
    ContentRefused,
    /// A decoy account was touched.
    DecoyTouched,
    /// A wrong password.
    WrongPassword,
    /// Counters, store, configuration, DNS or a scanner did not answer.
    DependencyFailed,
    /// A content rule matched or an engine scored (worsens the class).
    ContentMatched,
    /// The source's country or network sets the class.
    SourceClass,
    /// The account is restricted: by a rule, or by somebody at the desk.
    Restricted,
    /// A signal of abuse reached its mark.
    AbuseSignal,
}

/// What classification says of a message. It only worsens along the way.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Class {
    /// No classification applies.
    #[default]
    Unclassified,
    /// Nothing found.
    Clean,
    /// Not sure.
    Suspect,
    /// Looks like spam.
    Spam,
}

impl Class {
    pub(crate) const fn is_unclassified(&self) -> bool {
        matches!(self, Self::Unclassified)
    }
}

/// What one part of one rule saw and said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The object that the rule came from.
    pub object: Arc<ObjectRef>,
    /// Which part of it, as a field path, e.g. `spec.limits[Recipients per 1h]`.
    pub part: FieldPath,
    /// What it said.
    pub said: Said,
    /// What it saw, in words with figures, e.g. `201 of 200`. No secret, no content.
    pub saw: Cow<'static, str>,
    /// The enforcement under which it was judged; `Enforce` is left out of records.
    #[serde(default, skip_serializing_if = "Enforcement::is_enforced")]
    pub enforcement: Enforcement,
}

/// One rule's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// Nothing against it.
    Pass,
    /// Nothing against it, but something to know of: a lock was set, a decoy was touched.
    Noted(Reason),
    /// An exemption applies, so that it neither refuses nor reroutes.
    Exempt,
    /// Makes the class at least this.
    Worsen(Class, Reason),
    /// Refuse for now. Under `Shadow` this was only observed.
    Defer(Reason),
    /// Refuse. Under `Shadow` this was only observed.
    Reject(Reason),
    /// Could not be judged; what its `onUnavailable` says was done.
    Unjudged,
}
