//! The configuration of a listener, and what a failed handshake is counted as.

use std::io;
use std::sync::Arc;

use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{AlertDescription, ServerConfig};

use super::provider;
use crate::Error;
use crate::metrics::HandshakeError;

/// TLS 1.2 and 1.3, certificates from `resolver`, sessions resumed by tickets whose keys this process alone
/// holds and rotates. Nothing is kept per client.
///
/// # Errors
/// The crypto provider cannot make keys for tickets.
pub fn server_config(resolver: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    // Mail programs open one connection after another; a second ticket would only cost memory and bytes.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The kind under which a handshake that ended with `error` is counted.
pub fn handshake_error(error: &io::Error) -> HandshakeError {
    use rustls::Error as Tls;
    if error.kind() == io::ErrorKind::TimedOut {
        return HandshakeError::Timeout;
    }
    match error.get_ref().and_then(|e| e.downcast_ref::<Tls>()) {
        Some(Tls::AlertReceived(
            AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion,
        )) => HandshakeError::Incompatible,
        Some(Tls::AlertReceived(_)) => HandshakeError::Alert,
        Some(Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol) => HandshakeError::Incompatible,
        Some(
            Tls::InvalidMessage(_) | Tls::InappropriateMessage { .. } | Tls::PeerMisbehaved(_),
        ) => HandshakeError::Malformed,
        Some(_) => HandshakeError::Other,
        None => HandshakeError::Closed,
    }
}
