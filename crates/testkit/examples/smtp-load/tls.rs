//! The client's side of TLS: any certificate will do, because it is the server's speed that is measured.

use std::sync::Arc;

use sekisho_testkit::trusting_client;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;

use crate::options::Handshake;

pub(crate) fn connector(handshake: Handshake) -> TlsConnector {
    let mut config = trusting_client();
    config.resumption = match handshake {
        Handshake::Full => Resumption::disabled(),
        Handshake::Resumed => Resumption::in_memory_sessions(4096),
    };
    TlsConnector::from(Arc::new(config))
}
