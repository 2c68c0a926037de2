//! How the next hop's certificate is judged.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::provider;
use crate::Error;
use crate::error::CertificateFault as Fault;

/// Whether the next hop must prove who it is.
#[derive(Clone, Copy, Debug)]
pub enum Verification<'a> {
    /// Any certificate will do: it keeps listeners out, not impostors (RFC 7435).
    Opportunistic,
    /// The certificate must be for the name we connect to and lead to one of these authorities.
    Required(Roots<'a>),
}

/// The authorities that are trusted.
#[derive(Clone, Copy, Debug)]
pub enum Roots<'a> {
    /// Mozilla's list, compiled in.
    WebPki,
    /// Those in this PEM; `origin` is the secret or file to name in errors.
    Pem { origin: &'a str, pem: &'a [u8] },
}

/// TLS 1.2 and 1.3 towards a next hop.
///
/// # Errors
/// The authorities cannot be read, or none of them can be used.
pub fn client_config(verification: Verification<'_>) -> Result<Arc<ClientConfig>, Error> {
    let verifier: Arc<dyn ServerCertVerifier> = match verification {
        Verification::Opportunistic => Arc::new(AnyCertificate(provider())),
        Verification::Required(roots) => by_roots(roots)?,
    };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn by_roots(roots: Roots<'_>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let (origin, store) = match roots {
        Roots::WebPki => (
            "the built-in list",
            RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        ),
        Roots::Pem { origin, pem } => (origin, read_roots(origin, pem)?),
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider())
        .build()
        .map_err(|_| Error::Certificate {
            origin: origin.to_owned(),
            fault: Fault::NoAuthority,
        })
}

fn read_roots(origin: &str, pem: &[u8]) -> Result<RootCertStore, Error> {
    let fault = |fault| Error::Certificate {
        origin: origin.to_owned(),
        fault,
    };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| fault(Fault::NotPem(e)))?;
        store
            .add(certificate)
            .map_err(|e| fault(Fault::Malformed(e.to_string())))?;
    }
    if store.is_empty() {
        return Err(fault(Fault::NoAuthority));
    }
    Ok(store)
}

/// Takes any certificate, and still checks that the peer holds its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
