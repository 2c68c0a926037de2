//! Who somebody is: accounts files and the upstream MTA, asked in order.
//!
//! The first that knows the account decides. An accounts file knows its accounts; the upstream does not say whether it
//! knows one, so its no is passed on to the next. That a backend could not be asked is remembered: if nobody after it
//! accepts, the answer is "try again", which costs an honest user a moment and a guesser his guess.

pub mod accounts_file;
mod fleet_key;
mod hash;
mod hash_pool;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_policy::snapshot::{AuthBackend, Authentication};
use sekisho_smtp::Reply;
use sekisho_smtp::sasl::Credentials;
use tokio::time::Instant;

pub use accounts_file::AccountsError;
pub(crate) use accounts_file::{AccountsFile, Refresh};
pub use fleet_key::FleetKey;
pub(crate) use hash_pool::Busy;
pub use hash_pool::HashPool;

use crate::upstream::{self, Caller, LoginAnswer, NextHops};
use accounts_file::Found;

/// What the backends say of a password.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is right.
    Accepted(Account),
    /// It is wrong, or there is no such account: nobody is told which.
    Refused,
    /// Who would know could not be asked.
    Unavailable(Failure),
}

/// Why nobody could say.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Too many passwords are being checked.
    Busy(Busy),
    /// The upstream could not be asked.
    Upstream(upstream::Failure),
}

impl Failure {
    /// What the client is told: the same for all, and for accounts that do not exist.
    pub(crate) fn reply(&self) -> Reply {
        Reply::new(
            454,
            (4, 7, 0),
            "Temporary authentication failure; please try again later",
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(busy) => busy.fmt(f),
            Self::Upstream(failure) => failure.fmt(f),
        }
    }
}

/// The backends of one snapshot.
#[derive(Debug)]
pub(crate) struct Backends {
    backends: Vec<Backend>,
    default_domain: Option<String>,
    pool: HashPool,
}

#[derive(Clone, Debug)]
enum Backend {
    Upstream,
    AccountsFile(Arc<AccountsFile>),
}

impl Backends {
    /// The backends of a snapshot. A file that `previous` has is taken over as it is there, good or not by now.
    ///
    /// # Errors
    /// A file that is new cannot be used.
    pub(crate) fn load(
        authentication: &Authentication,
        pool: HashPool,
        previous: Option<&Self>,
    ) -> Result<Self, AccountsError> {
        let default_domain = authentication.default_domain.as_deref();
        let backend = |backend: &AuthBackend| match backend {
            AuthBackend::Upstream => Ok(Backend::Upstream),
            AuthBackend::AccountsFile(path) => {
                let path = Path::new(path);
                let before = previous.and_then(|previous| previous.file(path, default_domain));
                let file = match before {
                    Some(file) => Arc::clone(file),
                    None => Arc::new(AccountsFile::open(path, default_domain)?),
                };
                Ok(Backend::AccountsFile(file))
            }
        };
        let backends = authentication
            .backends
            .iter()
            .map(backend)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            backends,
            default_domain: default_domain.map(Into::into),
            pool,
        })
    }

    fn file(&self, path: &Path, default_domain: Option<&str>) -> Option<&Arc<AccountsFile>> {
        self.files().find(|file| file.is(path, default_domain))
    }

    fn files(&self) -> impl Iterator<Item = &Arc<AccountsFile>> {
        self.backends.iter().filter_map(|backend| match backend {
            Backend::AccountsFile(file) => Some(file),
            Backend::Upstream => None,
        })
    }

    /// Reads files again that changed. Blocks for as long as that takes; what failed keeps what it had.
    pub(crate) fn refresh(&self) -> Vec<Result<Refresh, AccountsError>> {
        self.files().map(|file| file.refresh()).collect()
    }

    /// Checks a password. Whether the account may log in at all was decided before.
    pub(crate) async fn check(
        &self,
        credentials: &Credentials,
        caller: &Caller,
        hops: &NextHops,
        deadline: Instant,
    ) -> Verdict {
        let account =
            Account::canonical(&credentials.authentication, self.default_domain.as_deref());
        let mut failure = None;
        for backend in &self.backends {
            match backend {
                Backend::AccountsFile(file) => {
                    match self.check_file(file, &account, credentials, deadline).await {
                        Ok(Answer::Right) => return Verdict::Accepted(account),
                        Ok(Answer::Wrong) => return Verdict::Refused,
                        Ok(Answer::Unknown) => {}
                        // The same whether the account is known or not.
                        Err(busy) => return Verdict::Unavailable(Failure::Busy(busy)),
                    }
                }
                Backend::Upstream => match hops.log_in(caller, credentials, deadline).await {
                    Ok(LoginAnswer::Accepted) => return Verdict::Accepted(account),
                    Ok(LoginAnswer::Refused) => {}
                    Err(unavailable) => failure = Some(Failure::Upstream(unavailable)),
                },
            }
        }
        failure.map_or(Verdict::Refused, Verdict::Unavailable)
    }

    async fn check_file(
        &self,
        file: &AccountsFile,
        account: &Account,
        credentials: &Credentials,
        deadline: Instant,
    ) -> Result<Answer, Busy> {
        let password = credentials.password.clone();
        let found = file.find(account);
        self.pool
            .run(deadline, move || match found {
                Found::Known(hash) if hash.matches(password.expose()) => Answer::Right,
                Found::Known(_) => Answer::Wrong,
                Found::Unknown(hash) => {
                    // Only the time it takes is wanted.
                    std::hint::black_box(hash.matches(password.expose()));
                    Answer::Unknown
                }
            })
            .await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Right,
    Wrong,
    Unknown,
}
