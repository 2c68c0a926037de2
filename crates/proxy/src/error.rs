//! Why a gateway cannot start or a snapshot cannot be put in force. The last good one stays.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// The state folder cannot be used.
    #[error("{path}: the state folder cannot be used: {source}", path = path.display())]
    State {
        /// What of it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has the state folder.
    #[error("another sekisho uses the state folder {path}; end it, or choose another folder with --state", path = .0.display())]
    StateTaken(PathBuf),
}

impl Error {
    /// What would mend it, where that is not in the message.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        let Self::Bind { source, .. } = self else {
            return None;
        };
        Some(match source.kind() {
            io::ErrorKind::AddrInUse => {
                "end what listens there, or give the listener another port in the MailGateway"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE, or in a pod the sysctl net.ipv4.ip_unprivileged_port_start=0; grant it, or give the listener another port in the MailGateway"
            }
            io::ErrorKind::AddrNotAvailable => "--listen must be an address of this machine",
            _ => return None,
        })
    }

    pub(crate) fn upstream(error: crate::upstream::LoadError) -> Self {
        Self::Upstream(Box::new(error))
    }

    pub(crate) fn accounts(error: crate::auth::LoadFault) -> Self {
        Self::Accounts(Box::new(error))
    }
}
