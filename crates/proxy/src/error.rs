//! Why a gateway cannot start or a snapshot cannot be put in force. The last good one stays.

use std::io;
use std::net::SocketAddr;

/// Errors that an operator sees; no peer is ever told any of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The snapshot is older than the one in force.
    #[error("generation {offered} is older than {in_force}, which is in force")]
    Stale {
        /// The generation in force.
        in_force: u64,
        /// The one that was offered.
        offered: u64,
    },
    /// The snapshot is for another gateway.
    #[error("the snapshot is for {offered}, this is {ours}")]
    OtherGateway {
        /// The gateway that runs here.
        ours: String,
        /// The one that was offered.
        offered: String,
    },
    /// The rules cannot be put in force.
    #[error(transparent)]
    Rules(#[from] sekisho_policy::LoadError),
    /// The next hops cannot be set up.
    #[error("{0}")]
    Upstream(Box<dyn std::error::Error + Send + Sync>),
    /// Accounts cannot be read.
    #[error("{0}")]
    Accounts(Box<dyn std::error::Error + Send + Sync>),
    /// A listener cannot be opened.
    #[error("listener {listener}: cannot listen on {address}: {source}")]
    Bind {
        /// Its name.
        listener: String,
        /// Where it should listen.
        address: SocketAddr,
        /// Why it cannot.
        source: io::Error,
    },
    /// A listener has no usable certificate.
    #[error("listener {listener}: {source}")]
    Certificate {
        /// Its name.
        listener: String,
        /// What is wrong with which certificate.
        source: sekisho_runtime::Error,
    },
    /// TLS towards next hops cannot be set up.
    #[error(transparent)]
    Tls(#[from] sekisho_runtime::Error),
    /// The host's name cannot stand in a greeting.
    #[error(
        "{0:?} cannot be the name of a mail server: it needs 1 to 255 printable characters without spaces"
    )]
    HostName(String),
}

impl Error {
    pub(crate) fn upstream(error: crate::upstream::LoadError) -> Self {
        Self::Upstream(Box::new(error))
    }

    pub(crate) fn accounts(error: crate::auth::AccountsError) -> Self {
        Self::Accounts(Box::new(error))
    }
}
