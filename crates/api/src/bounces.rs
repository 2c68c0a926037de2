//! `POST /v1/bounces`: what a next hop found out after it had taken a message. Whoever handles bounces posts them here, one or many;
//! those that say that a recipient does not exist count as the signal UnknownRecipients of the account that wrote to it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use sekisho_policy::errand::Bounced;
use sekisho_policy::record::{End, Record};
use sekisho_policy::{Account, DecisionId};
use sekisho_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::asked::{bad_json, is_account};
use crate::problem::Problem;
use crate::state::{App, Unanswered};

/// The most bounces of one request.
const MOST: usize = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounces {
    bounces: Vec<Bounce>,
}

/// One recipient that was not reached (RFC 3464 2.3).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounce {
    /// The status of the report, like 5.1.1.
    status: String,
    /// The id that the message was accepted under, as its 250 and `X-Sekisho-Verdict` say it.
    id: Option<DecisionId>,
    /// Or, on the word of whoever posts it, whose message it was,
    account: Option<String>,
    /// and by which gateway it came (`namespace/name`).
    gateway: Option<String>,
}

/// Whose messages came back, and by which gateway they had come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Whose {
    gateway: String,
    account: Account,
    /// The message, and how many it went to; `None` is on somebody's word.
    message: Option<(DecisionId, u64)>,
}

/// What became of them.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Told {
    /// Counted as unknown recipients.
    counted: u64,
    /// Not the recipient's fault, or not for ever.
    other: u64,
    /// More than the message went to: they are known already.
    known: u64,
    /// Of messages that nobody knows or that did not leave, or of accounts that nobody has.
    strange: u64,
}

pub(crate) async fn post(
    State(app): State<App>,
    posted: Result<Json<Bounces>, JsonRejection>,
) -> Result<Json<Told>, Problem> {
    let Json(Bounces { bounces }) = posted.map_err(bad_json)?;
    if bounces.len() > MOST {
        return Err(Problem::bad_request(format!(
            "post {MOST} bounces at a time at most"
        )));
    }
    let mut told = Told::default();
    let mut counts: BTreeMap<Whose, u64> = BTreeMap::new();
    for bounce in bounces {
        match says_unknown(&bounce.status) {
            None => {
                return Err(Problem::bad_request(
                    "a status is three numbers, like 5.1.1 (RFC 3463)",
                ));
            }
            Some(false) => told.other += 1,
            Some(true) => match whose(&app, bounce).await? {
                Some(whose) => *counts.entry(whose).or_default() += 1,
                None => told.strange += 1,
            },
        }
    }
    for (whose, count) in counts {
        let message = whose
            .message
            .map(|(id, recipients)| Bounced { id, recipients });
        let (gateway, account) = (&whose.gateway, &whose.account);
        let counted = app.running.bounced(gateway, account, count, message).await;
        match counted.map_err(|unanswered| broken_off(unanswered, &told))? {
            Some(counted) => {
                told.counted += counted;
                told.known += count.saturating_sub(counted);
            }
            None => told.strange += count,
        }
    }
    Ok(Json(told))
}

/// What is said where the data plane cannot count now, and what is to be known before the same is posted again.
fn broken_off(unanswered: Unanswered, told: &Told) -> Problem {
    let Unanswered { why, may_be_done } = unanswered;
    let these = match may_be_done {
        true => "these may be counted all the same",
        false => "these are not counted",
    };
    let before = match told.counted {
        0 => String::new(),
        count => format!(", {count} others of this request are"),
    };
    let detail = format!(
        "{why}: {these}{before}. Of messages that are named by `id` no more count than they have recipients, however often they are posted; those by `account` count each time"
    );
    Problem::unavailable(detail, 5)
}

/// Whether a status says that there is no such recipient; `None` if it is none. X.1.7 and X.1.8 speak of the sender.
fn says_unknown(status: &str) -> Option<bool> {
    let mut parts = status.split('.').map(str::parse::<u16>);
    let code = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    if parts.next().is_some() {
        return None;
    }
    Some(matches!(code, (5, 1, detail) if !matches!(detail, 7 | 8)))
}

/// Through which gateway whose message came; `None` if it is nobody's, or never left.
async fn whose(app: &App, bounce: Bounce) -> Result<Option<Whose>, Problem> {
    match (bounce.id, bounce.account, bounce.gateway) {
        (Some(id), None, None) => {
            let Some(store) = &app.store else {
                return Err(Problem::bad_request(
                    "there is no ledger to look the id up in: name the account and the gateway",
                ));
            };
            let found = store.record(id).await.map_err(unreadable)?;
            Ok(found.and_then(|found| of_record(&found.record)))
        }
        (None, Some(account), Some(gateway)) => {
            if !app.access.knows_who_asks() {
                return Err(Problem::forbidden(
                    "a bounce by account is somebody's word: start the server with --http-token-file, or name the message in `id`",
                ));
            }
            let account = Account::canonical(&account, None);
            let whose = Whose {
                gateway,
                account,
                message: None,
            };
            Ok(Some(whose).filter(|whose| is_account(&whose.account)))
        }
        (None, Some(_), None) => Err(Problem::bad_request(
            "say in `gateway` by which one it came (namespace/name)",
        )),
        (None, None, _) => Err(Problem::bad_request(
            "say in `id` which message it was, or in `account` and `gateway` whose",
        )),
        (Some(_), ..) => Err(Problem::bad_request(
            "`id` says whose message it was: leave out `account` and `gateway`",
        )),
    }
}

/// A message that a next hop took, or may have taken. Of one that was refused nothing can come back.
fn of_record(record: &Record) -> Option<Whose> {
    if !matches!(record.end, End::Delivered(_) | End::Uncertain(_)) {
        return None;
    }
    // Which recipients were accepted may be left out; how many, the last step says.
    let facts = record
        .steps
        .iter()
        .filter_map(|step| step.event.transaction.as_ref());
    let recipients = facts.map(|facts| u64::from(facts.recipients)).next_back();
    let gateway = &record.gateway;
    Some(Whose {
        gateway: format!("{}/{}", gateway.namespace, gateway.name),
        account: record.account.clone()?,
        message: Some((record.id, recipients.unwrap_or(0))),
    })
}

fn unreadable(error: StoreError) -> Problem {
    tracing::error!(%error, "the ledger cannot be read");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the ledger cannot be read now; the log says why",
    )
    .retry_after(2)
}

#[cfg(test)]
mod tests {
    use super::says_unknown;

    #[test]
    fn which_statuses_speak_of_the_recipient() {
        let table = [
            ("5.1.1", Some(true)),
            ("5.1.10", Some(true)),
            ("5.1.8", Some(false)),
            ("4.1.1", Some(false)),
            ("5.2.2", Some(false)),
            ("5.7.1", Some(false)),
            ("5.1", None),
            ("5.1.1.1", None),
            ("five", None),
        ];
        for (status, says) in table {
            assert_eq!(says_unknown(status), says, "{status}");
        }
    }
}
