//! What requests about accounts have in common: whose account is meant, on whose word something is done, what is wrong with how it
//! was asked, and where account states are kept.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use sekisho_policy::restriction::MAX_WHY;
use sekisho_policy::{Account, Timestamp};
use sekisho_store::{AccountStates, Mandate, StoreError};
use serde::Deserialize;

use crate::problem::Problem;
use crate::state::App;

/// The most octets of an account's name.
const LONGEST_NAME: usize = 512;
/// The most characters of who did something.
const LONGEST_WHO: usize = 100;
const DEFAULT_NAMESPACE: &str = "default";

/// Which namespace's account is meant, and how much is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    pub(crate) namespace: Option<String>,
    pub(crate) limit: Option<u32>,
}

/// An account, and the namespace whose gateways know it.
pub(crate) struct Whose {
    pub(crate) namespace: String,
    pub(crate) account: Account,
}

impl Whose {
    pub(crate) fn namespace(named: Option<String>) -> Result<String, Problem> {
        let namespace = named.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
        if !crate::fleet::is_part(&namespace) {
            return Err(Problem::bad_request("that is no name of a namespace"));
        }
        Ok(namespace)
    }

    pub(crate) fn read(account: &str, namespace: Option<String>) -> Result<Self, Problem> {
        let namespace = Self::namespace(namespace)?;
        let account = Account::canonical(account, None);
        if !is_account(&account) {
            return Err(Problem::bad_request("that is no name of an account"));
        }
        Ok(Self { namespace, account })
    }
}

/// Whether an account could be called so.
pub(crate) fn is_account(account: &Account) -> bool {
    let name = account.as_str();
    (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

pub(crate) fn mandate(app: &App, who: &str, why: &str) -> Result<Mandate, Problem> {
    let plain = |text: &str, most: usize| {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= most;
        (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    Ok(Mandate {
        at: Timestamp(app.clock.now_ms()),
        who: plain(who, LONGEST_WHO).ok_or_else(|| {
            Problem::bad_request("say who does it in `who`: one line of 100 characters at most")
        })?,
        why: plain(why, MAX_WHY).ok_or_else(|| {
            Problem::bad_request("say why in `why`: one line of 300 characters at most")
        })?,
    })
}

pub(crate) fn bad_query(error: QueryRejection) -> Problem {
    Problem::new(error.status(), error.body_text())
}

pub(crate) fn bad_json(error: JsonRejection) -> Problem {
    Problem::new(error.status(), error.body_text())
}

pub(crate) fn states(app: &App) -> Result<&AccountStates, Problem> {
    app.accounts.as_ref().ok_or_else(no_states)
}

/// What a control plane without a store says.
pub(crate) fn no_states() -> Problem {
    Problem::not_found(
        "no restrictions or settings of accounts are kept: this control plane was started without --store and --accounts-database",
    )
}

/// What is said where the store fails; the log has the rest.
pub(crate) fn unavailable(error: StoreError) -> Problem {
    tracing::error!(%error, "account states cannot be read or written");
    let detail = "account states cannot be read or written now; the log says why";
    Problem::unavailable(detail, 2)
}
