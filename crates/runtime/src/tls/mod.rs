//! TLS on both sides, with rustls on aws-lc-rs: versions 1.2 and 1.3, tickets for resumption, certificates
//! that can be replaced without dropping a session.

mod client;
mod identity;
mod resolver;
mod self_signed;
mod server;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::{Roots, Verification, client_config};
pub use identity::Identity;
pub use resolver::CertResolver;
pub use self_signed::self_signed;
pub use server::{handshake_error, mail_server_config, server_config};

/// The one crypto provider. It is handed to each configuration, never installed for the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
