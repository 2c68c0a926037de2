//! The configuration of a listener, and what a failed handshake is counted as.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert};
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

/// As [`server_config`], for mail: key exchanges that a recording of today's traffic will not be broken by come first, tickets
/// are good at every listener of the process, and a client that names another protocol than SMTP is refused (RFC 7301), so that
/// nobody's browser can be made to talk to us under a certificate that it trusts.
///
/// # Errors
/// The crypto provider cannot make keys for tickets.
pub fn mail_server_config(
    resolver: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(mail_provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = shared_ticketer()?;
    config.send_tls13_tickets = 1;
    config.alpn_protocols = vec![b"smtp".to_vec()];
    Ok(Arc::new(config))
}

fn mail_provider() -> Arc<CryptoProvider> {
    use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, SECP384R1, X25519, X25519MLKEM768};
    Arc::new(CryptoProvider {
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1, SECP384R1],
        ..rustls::crypto::aws_lc_rs::default_provider()
    })
}

/// The keys of tickets: of this process alone, and replaced every few hours.
fn shared_ticketer() -> Result<Arc<dyn ProducesTickets>, Error> {
    static SHARED: OnceLock<Arc<dyn ProducesTickets>> = OnceLock::new();
    if let Some(shared) = SHARED.get() {
        return Ok(shared.clone());
    }
    let made = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(SHARED.get_or_init(|| made).clone())
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
