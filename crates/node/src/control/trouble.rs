//! What can be wrong on the way to the control plane, each with what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;

/// Why the control plane did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("--ca {path}: {source}; the control plane puts it beside the snapshot once it runs", path = path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("--ca {0}")]
    Ca(sekisho_runtime::Error),
    #[error("--token-file {path}: {why}; the pod needs a projected service-account token of the audience sekisho-control", path = path.display())]
    Token { path: PathBuf, why: String },
    #[error("{0} is no name that a certificate can be for; mend --control")]
    Name(String),
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error(
        "{address} is not trusted: {source}; its certificate must be for the name in --control and lead to an authority in --ca"
    )]
    Tls { address: String, source: io::Error },
    #[error("{what} took longer than {} s", .within.as_secs())]
    Late {
        what: &'static str,
        within: Duration,
    },
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("the answer is too large or was broken off: {0}")]
    Body(String),
    #[error("{}", said(*.status, .detail))]
    Answered {
        status: StatusCode,
        detail: String,
        retry_after: Option<Duration>,
    },
}

/// What kind of trouble it is: each is logged once until it changes.
pub(super) type Kind = (std::mem::Discriminant<Trouble>, u16);

impl Trouble {
    pub(super) fn kind(&self) -> Kind {
        let status = match self {
            Self::Answered { status, .. } => status.as_u16(),
            _ => 0,
        };
        (std::mem::discriminant(self), status)
    }

    /// How long the control plane asked to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the other side merely ended a connection, as it does when one has grown old.
    pub(super) fn is_hang_up(&self) -> bool {
        matches!(self, Self::Broken(error) if error.is_incomplete_message() || error.is_closed() || error.is_canceled())
    }
}

fn said(status: StatusCode, detail: &str) -> String {
    let remedy = match status.as_u16() {
        401 => {
            "it does not take this pod's token: check its audience (sekisho-control) and that the pod still exists"
        }
        403 => {
            "this pod may not have that gateway's configuration: check --gateway and the pod's labels"
        }
        404 => {
            "it has no snapshot of that gateway yet: check that the MailGateway exists and is Accepted"
        }
        406 => "its snapshot is newer than this proxy reads: update the proxy",
        429 => "it asks to be left alone for a while",
        503 => "that replica is not ready; another is asked",
        _ => "that is no answer to expect; check its log and version",
    };
    format!("the control plane answers {status}: {remedy}. It says: {detail}")
}
