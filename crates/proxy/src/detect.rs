//! Signs of abuse, as metrics count them: whatever a rule saw, whether or not it was enforced.

use sekisho_policy::decision::{Decision, Reason, Said};
use sekisho_policy::event::Event;
use sekisho_policy::snapshot::Kind;
use sekisho_policy::{Class, Finding};
use sekisho_runtime::metrics::{Detection, GatewayMetrics, Label as _};

/// Counts each kind of sign once for the event.
pub(crate) fn from_findings(metrics: &GatewayMetrics, event: &Event, decision: &Decision) {
    let mut seen = 0_u32;
    for sign in decision.findings.iter().filter_map(sign) {
        let bit = 1 << sign.index();
        if seen & bit == 0 {
            metrics.detected(sign);
        }
        seen |= bit;
    }
    let before = event
        .transaction
        .as_ref()
        .map_or(Class::Unclassified, |transaction| transaction.class);
    if decision.class == Class::Spam && before != Class::Spam {
        metrics.detected(Detection::SpamVerdict);
    }
}

fn sign(finding: &Finding) -> Option<Detection> {
    let (Said::Noted(reason)
    | Said::Worsen(_, reason)
    | Said::Defer(reason)
    | Said::Reject(reason)) = finding.said
    else {
        return None;
    };
    Some(match reason {
        // Over a limit that restricts, or would: the account is not restricted yet.
        Reason::Restricted if finding.object.kind == Kind::RateLimit => Detection::RateExceeded,
        Reason::RateExceeded => Detection::RateExceeded,
        Reason::TooManyRecipients => Detection::TooManyRecipients,
        Reason::TooManyVisibleRecipients => Detection::TooManyVisibleRecipients,
        Reason::AccountLocked => Detection::AccountLocked,
        Reason::SourceLocked => Detection::SourceLocked,
        Reason::CountryRefused | Reason::AbroadRefused => Detection::CountryRefused,
        Reason::SenderMismatch | Reason::HeaderFromMismatch => Detection::SenderMismatch,
        Reason::AttachmentBlocked => Detection::AttachmentBlocked,
        Reason::DecoyTouched => Detection::DecoyAccount,
        // Bare newlines are counted where they are seen, whether or not a policy refuses them.
        Reason::BareNewline
        | Reason::TooLarge
        | Reason::UnknownDomain
        | Reason::NullMx
        | Reason::ClassRefused
        | Reason::ContentRefused
        | Reason::WrongPassword
        | Reason::DependencyFailed
        | Reason::ContentMatched
        | Reason::SourceClass
        | Reason::AbuseSignal => return None,
        Reason::Restricted => Detection::RestrictedAccount,
    })
}
