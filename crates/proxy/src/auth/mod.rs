//! Who somebody is: backends, asked in order.
//!
//! The first that knows the account decides. An accounts file knows its accounts; a server behind us does not say whether it
//! knows one, so its no is passed on to the next. That a backend could not be asked is remembered: if nobody after it
//! accepts, the answer is "try again", which costs an honest user a moment and a guesser his guess.

pub mod accounts_file;
mod backends;
mod check;
mod contest;
mod dovecot;
mod fair_line;
mod fleet_key;
mod hash;
mod hash_pool;
mod http_answer;
mod http_service;
mod oidc;
mod places;
mod presented;
mod remote;
mod scram;
mod service_account;
#[cfg(test)]
pub(crate) mod stand;
mod stranger;
mod token;
mod upstream_names;

use std::fmt;
use std::sync::Arc;

use sekisho_policy::Account;
use sekisho_runtime::Clock;
use sekisho_runtime::metrics::LoginAnswer;
use sekisho_smtp::Reply;
use tokio_rustls::rustls::ClientConfig;

pub use accounts_file::AccountsError;
pub(crate) use accounts_file::{AccountsFile, Refresh};
pub(crate) use backends::{Asking, Backends};
pub(crate) use contest::{Bound, Contest, Proof, Turn};
pub(crate) use dovecot::DovecotFault;
pub use fleet_key::FleetKey;
pub(crate) use hash_pool::Busy;
use hash_pool::Client;
pub use hash_pool::HashPool;
pub(crate) use places::Places;
pub(crate) use presented::Presented;
pub(crate) use remote::RemoteFault;

use crate::dns::Dns;
use crate::gateway::Credentials;
use crate::outbound::UrlFault;
use crate::upstream;

/// What backends work with. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Tools {
    pub(crate) pool: HashPool,
    pub(crate) dns: Dns,
    /// What services without authorities of their own are spoken to with.
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) metrics: sekisho_runtime::metrics::GatewayMetrics,
    pub(crate) clock: Clock,
    /// Added to logins without a domain.
    pub(crate) default_domain: Option<Arc<str>>,
}

/// A backend that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadFault {
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error(transparent)]
    Url(#[from] UrlFault),
    #[error("{0}: passwords and tokens cross a network only by https")]
    InClear(String),
    #[error(
        "Dovecot: passwords cross a network in clear text only with dovecotSasl.clearText: Network"
    )]
    DovecotInClear,
    #[error("{0:?} cannot be the name of a header field")]
    HeaderName(String),
    #[error("{0}")]
    ClusterKeys(String),
}

/// What the backends say together.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// What was shown is right, and this account's.
    Accepted(Account),
    /// It is wrong, or there is no such account: nobody is told which.
    Refused,
    /// Who would know could not be asked.
    Unavailable(Failure),
    /// Whoever knows the account says that it is wrong, and somebody else could not be asked. The client hears what it hears of
    /// accounts that nobody here knows; that somebody guessed wrong counts.
    Masked(Failure),
}

/// What one backend says.
#[derive(Debug)]
pub(crate) enum Answer {
    /// What was shown is right, and this account's.
    Accepted(Account),
    /// It is wrong, and nobody else is to be asked: the account, or the issuer of the token, is this backend's.
    Refused,
    /// Another backend may know better.
    NotMine,
    /// It could not say.
    Unavailable(Failure),
}

impl Answer {
    /// How it is counted.
    fn label(&self) -> LoginAnswer {
        match self {
            Self::Accepted(_) => LoginAnswer::Accepted,
            Self::Refused => LoginAnswer::Refused,
            Self::NotMine => LoginAnswer::Passed,
            Self::Unavailable(_) => LoginAnswer::Unavailable,
        }
    }
}

/// Why nobody could say.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Too many passwords are being checked.
    Busy(Busy),
    /// A server behind us is busy with too many logins.
    Crowded,
    /// The upstream could not be asked.
    Upstream(upstream::Failure),
    /// Dovecot could not be asked.
    Dovecot(DovecotFault),
    /// The system gives no random octets.
    NoRandomness,
    /// Another service could not be asked, by name.
    Remote(Box<str>, RemoteFault),
}

impl Failure {
    fn remote(who: &str, fault: RemoteFault) -> Self {
        Self::Remote(who.into(), fault)
    }

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
            Self::Crowded => f.write_str(
                "too many logins are under way at a server behind us, in all or from this source",
            ),
            Self::Upstream(failure) => failure.fmt(f),
            Self::Dovecot(fault) => write!(f, "Dovecot's authentication service: {fault}"),
            Self::NoRandomness => f.write_str("the system gives no random octets"),
            Self::Remote(who, fault) => write!(f, "{who}: {fault}"),
        }
    }
}
