//! Sender and recipient checks that SubmissionPolicy and CountryRule share.

use crate::decision::Said;
use crate::event::{FromHeader, HeaderFacts, TransactionFacts};
use crate::plan::Plan;
use crate::reply;
use crate::ruleset::RuleView;
use crate::saw;

/// MAIL: the envelope sender must be the account's. `<>` is every account's, for read receipts; see
/// [`ask_null_sender_recipients`] and [`ask_header_from`] for its price.
pub(crate) fn ask_envelope_sender<'a>(
    rule: RuleView<'a>,
    part: &'static str,
    plan: &mut Plan<'a>,
    transaction: &TransactionFacts,
) {
    let owner = plan.event.account.as_ref().map(|account| &account.name);
    match (owner, &transaction.sender) {
        (None, _) => plan.refuse(rule, part, reply::sender_mismatch(), "nobody is logged in"),
        (Some(_), None) => plan.say(rule, part, Said::Pass, "the null sender, for one recipient"),
        (Some(account), Some(sender)) if plan.rules.senders().owns(account, sender) => {
            plan.say(
                rule,
                part,
                Said::Pass,
                "the sender is an address of the account",
            );
        }
        (Some(_), Some(_)) => plan.refuse(
            rule,
            part,
            reply::sender_mismatch(),
            "the sender is no address of the account",
        ),
    }
}

/// RCPT: `<>` may go to one recipient only.
pub(crate) fn ask_null_sender_recipients<'a>(
    rule: RuleView<'a>,
    part: &'static str,
    plan: &mut Plan<'a>,
    transaction: &TransactionFacts,
) {
    if transaction.sender.is_none() && transaction.recipients >= 1 {
        plan.refuse(
            rule,
            part,
            reply::too_many_recipients(),
            "a second recipient for the null sender",
        );
    }
}

/// RCPT: one more recipient than `limit`.
pub(crate) fn ask_recipients<'a>(
    rule: RuleView<'a>,
    part: &'static str,
    plan: &mut Plan<'a>,
    transaction: &TransactionFacts,
    limit: u32,
) {
    let saw = saw::of(
        transaction.recipients.into(),
        limit.into(),
        " accepted before",
    );
    if transaction.recipients >= limit {
        plan.refuse(rule, part, reply::too_many_recipients(), saw);
    } else {
        plan.say(rule, part, Said::Pass, saw);
    }
}

/// Headers: From must be one address of the account; none, several or a malformed one never are.
pub(crate) fn ask_header_from<'a>(
    rule: RuleView<'a>,
    part: &'static str,
    plan: &mut Plan<'a>,
    facts: &HeaderFacts,
) {
    match misaligned(plan, facts) {
        Some(saw) => plan.refuse(rule, part, reply::header_from_mismatch(), saw),
        None => plan.say(rule, part, Said::Pass, "From is an address of the account"),
    }
}

/// Why the header From is not the account's, if it is not.
fn misaligned(plan: &Plan<'_>, facts: &HeaderFacts) -> Option<&'static str> {
    match (&facts.from, &plan.event.account) {
        (_, None) => Some("nobody is logged in"),
        (FromHeader::Missing, _) => Some("there is no From"),
        (FromHeader::Several, _) => Some("there is more than one From"),
        (FromHeader::Malformed, _) => Some("From is no plain address"),
        (FromHeader::One(author), Some(account))
            if plan.rules.senders().owns(&account.name, author) =>
        {
            None
        }
        (FromHeader::One(_), Some(_)) => Some("From is no address of the account"),
    }
}
