//! What a client that is under TLS can bind its proof to (RFC 5929, RFC 9266): nobody between us could forward it to another server.

use tokio_rustls::rustls::ProtocolVersion;

use super::super::Session;
use super::super::stream::{Secured, Stream, Transport};

/// Of `tls-exporter` (RFC 9266 section 2).
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";
const LENGTH: usize = 32;

impl<S: Transport> Session<S> {
    /// Whether there is a channel to bind to: TLS that ends here.
    pub(super) fn can_bind(&self) -> bool {
        self.secured().is_some()
    }

    /// The data of the binding of that name.
    pub(super) fn channel_binding(&self, name: &str) -> Option<Vec<u8>> {
        let secured = self.secured()?;
        let tls = secured.stream.get_ref().1;
        match name {
            // TLS 1.2 has the same exporter, but it is unique only with an extension that peers may leave out.
            "tls-exporter" if tls.protocol_version() == Some(ProtocolVersion::TLSv1_3) => tls
                .export_keying_material(vec![0; LENGTH], LABEL, None)
                .ok(),
            "tls-server-end-point" => secured.end_point.as_deref().map(<[u8]>::to_vec),
            _ => None,
        }
    }

    fn secured(&self) -> Option<&Secured<S>> {
        match self.wire.stream() {
            Stream::Tls(secured) => Some(secured),
            Stream::Plain(_) | Stream::Gone => None,
        }
    }
}
