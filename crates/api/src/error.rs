//! What can go wrong with the server itself. What a request did wrong is a [`crate::problem::Problem`].

use std::net::SocketAddr;

/// Errors that an operator sees.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for HTTP on {address}: {source}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },

    #[error("cannot serve the fleet over TLS: {0}")]
    Tls(#[from] sekisho_runtime::Error),

    #[error("a bearer token is one line of 16 to 256 visible ASCII characters without spaces")]
    BadToken,
}
