//! What the peer is told, one function for each row of the table of replies. Safe text: nothing that helps an attacker.

use std::borrow::Cow;

use crate::decision::{Reason, Refusal, Said};
use crate::restriction::Level;
use crate::snapshot::Unit;
use crate::time::{Millis, Timestamp};

impl Refusal {
    /// The same, as a finding says it.
    pub(crate) const fn said(&self) -> Said {
        if self.code < 500 {
            Said::Defer(self.reason)
        } else {
            Said::Reject(self.reason)
        }
    }
}

const fn refusal(
    code: u16,
    enhanced: (u8, u16, u16),
    text: &'static str,
    reason: Reason,
) -> Refusal {
    Refusal {
        code,
        enhanced,
        text: Cow::Borrowed(text),
        reason,
        retry_at: None,
    }
}

/// A wrong password, and a login that is refused without looking at it: word for word the same, so that it is no oracle.
pub(crate) const fn bad_credentials(reason: Reason) -> Refusal {
    refusal(535, (5, 7, 8), "Authentication credentials invalid", reason)
}

/// A lock of an account, a source or both, existing accounts or not: all alike.
pub(crate) const fn locked(reason: Reason, until: Timestamp) -> Refusal {
    let mut refusal = refusal(
        454,
        (4, 7, 0),
        "Temporary authentication failure; please try again later",
        reason,
    );
    refusal.retry_at = Some(until);
    refusal
}

pub(crate) const fn sender_mismatch() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "Sender address does not match the account",
        Reason::SenderMismatch,
    )
}

pub(crate) const fn header_from_mismatch() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "From header does not match the account",
        Reason::HeaderFromMismatch,
    )
}

pub(crate) const fn too_large() -> Refusal {
    refusal(552, (5, 3, 4), "Message too large", Reason::TooLarge)
}

pub(crate) const fn too_many_recipients() -> Refusal {
    refusal(
        452,
        (4, 5, 3),
        "Too many recipients",
        Reason::TooManyRecipients,
    )
}

pub(crate) const fn too_many_visible_recipients() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "Too many addresses in To and Cc",
        Reason::TooManyVisibleRecipients,
    )
}

pub(crate) const fn unknown_domain() -> Refusal {
    refusal(
        550,
        (5, 1, 2),
        "Recipient domain does not exist",
        Reason::UnknownDomain,
    )
}

/// RFC 7505 section 4.
pub(crate) const fn null_mx() -> Refusal {
    refusal(
        556,
        (5, 1, 10),
        "Recipient domain takes no mail",
        Reason::NullMx,
    )
}

pub(crate) const fn domain_unavailable() -> Refusal {
    refusal(
        451,
        (4, 4, 3),
        "Recipient domain cannot be looked up now",
        Reason::DependencyFailed,
    )
}

pub(crate) const fn bare_newline() -> Refusal {
    refusal(
        550,
        (5, 6, 0),
        "Bare CR or LF in the message",
        Reason::BareNewline,
    )
}

pub(crate) const fn attachment_blocked() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "Attachment of a refused type",
        Reason::AttachmentBlocked,
    )
}

pub(crate) const fn class_refused() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "Message refused by content policy",
        Reason::ClassRefused,
    )
}

pub(crate) const fn content_refused() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "Message refused as phishing or malware",
        Reason::ContentRefused,
    )
}

/// A session that is open, and whose account is used from where it wants nobody to be let in from.
pub(crate) const fn abroad() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "This account does not take logins from where you are",
        Reason::AbroadRefused,
    )
}

/// Whoever is suspended, and whoever is quarantined where there is nothing but clean ways: resending cannot help.
pub(crate) const fn restricted() -> Refusal {
    refusal(
        550,
        (5, 7, 1),
        "This account may not send mail at present, contact your provider",
        Reason::Restricted,
    )
}

pub(crate) const fn dependency_failed() -> Refusal {
    refusal(
        451,
        (4, 3, 0),
        "Temporary failure, try again later",
        Reason::DependencyFailed,
    )
}

/// What is over a limit: the reply depends on where the session stands and on whether resending can help.
#[derive(Clone, Copy)]
pub(crate) struct Exceeded {
    pub(crate) unit: Unit,
    pub(crate) at: Timestamp,
    /// When the cost fits; `None` if not known.
    pub(crate) retry_at: Option<Timestamp>,
}

impl Exceeded {
    /// 450 4.7.1; before the greeting 421, which alone is 4xx there (RFC 5321 section 4.3.2).
    pub(crate) fn defer(self) -> Refusal {
        let code = if self.unit == Unit::Connections {
            421
        } else {
            450
        };
        let what = format!("{}, try again {}", self.what(), self.when());
        self.refusal(code, (4, 7, 1), what.into())
    }

    /// 550 5.7.1; before the greeting 554.
    pub(crate) fn reject(self) -> Refusal {
        let code = if self.unit == Unit::Connections {
            554
        } else {
            550
        };
        self.refusal(code, (5, 7, 1), self.what().into())
    }

    /// The account is restricted from now on: as it will hear, or what the limit says where that would let it through.
    pub(crate) fn restrict(self, level: Level) -> Refusal {
        match level {
            Level::Suspend => restricted(),
            Level::Watch | Level::Limit | Level::Quarantine => Refusal {
                reason: Reason::Restricted,
                ..self.defer()
            },
        }
    }

    /// The cost alone is over the limit: however long one waits, resending the same cannot help.
    pub(crate) fn never(self) -> Refusal {
        match self.unit {
            Unit::Bytes => self.refusal(
                552,
                (5, 3, 4),
                "Message too large for the sending limit".into(),
            ),
            _ => self.reject(),
        }
    }

    /// The pool's own rate, which is not the sender's doing: 451 4.4.5 (RFC 3463, congestion).
    pub(crate) fn congested(self) -> Refusal {
        self.refusal(
            451,
            (4, 4, 5),
            format!("Outgoing rate used up, try again {}", self.when()).into(),
        )
    }

    fn refusal(self, code: u16, enhanced: (u8, u16, u16), text: Cow<'static, str>) -> Refusal {
        Refusal {
            code,
            enhanced,
            text,
            reason: Reason::RateExceeded,
            retry_at: self.retry_at,
        }
    }

    const fn what(self) -> &'static str {
        match self.unit {
            Unit::Messages => "Too many messages",
            Unit::Recipients => "Too many recipients sent to",
            Unit::Bytes => "Too much data sent",
            Unit::Connections => "Too many connections",
            Unit::Attempts => "Too many login attempts",
        }
    }

    /// In whole minutes, then hours: enough for people and programs, too coarse to time an attack by.
    fn when(self) -> String {
        let Some(retry_at) = self.retry_at else {
            return "later".into();
        };
        let Millis(wait) = retry_at.since(self.at);
        let minutes = wait.div_ceil(Millis::MINUTE.0).max(1);
        match minutes {
            1 => "in a minute".into(),
            2..=90 => format!("in {minutes} minutes"),
            _ => format!("in {} hours", wait.div_ceil(Millis::HOUR.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_coarse_and_never_too_short() {
        let at = Timestamp(1_000);
        for (wait, expected) in [
            (0, "in a minute"),
            (1, "in a minute"),
            (60_000, "in a minute"),
            (60_001, "in 2 minutes"),
            (90 * 60_000, "in 90 minutes"),
            (90 * 60_000 + 1, "in 2 hours"),
            (24 * 3_600_000, "in 24 hours"),
        ] {
            let exceeded = Exceeded {
                unit: Unit::Recipients,
                at,
                retry_at: Some(at.plus(Millis(wait))),
            };
            assert_eq!(exceeded.when(), expected, "{wait}");
            assert_eq!(
                exceeded.defer().text,
                format!("Too many recipients sent to, try again {expected}")
            );
        }
    }
}
