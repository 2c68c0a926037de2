//! What can go wrong here. Each message names the file or secret and what is wrong with it, and never its content.

use std::io;
use std::path::PathBuf;

/// Errors that an operator sees; no peer is ever told any of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read { path: PathBuf, source: io::Error },

    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },

    /// A certificate or key that does not serve. `origin` names the secret or the file.
    #[error("{origin}: {fault}")]
    Certificate {
        origin: String,
        fault: CertificateFault,
    },

    /// A rustls configuration that cannot be built.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),

    #[error("a self-signed certificate for {name}: {source}")]
    SelfSigned { name: String, source: rcgen::Error },

    /// A country or ASN database that does not serve.
    #[error("{path}: {fault}", path = path.display())]
    CountryDatabase { path: PathBuf, fault: DatabaseFault },

    #[error("log filter {filter:?}: {source}")]
    LogFilter {
        filter: String,
        source: tracing_subscriber::filter::ParseError,
    },

    #[error("logs are set up already")]
    LogsTwice,

    #[error("signals cannot be listened for: {0}")]
    Signals(io::Error),
}

impl Error {
    /// Whether trying again soon may well succeed though nothing was mended.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::CountryDatabase {
                fault: DatabaseFault::Unsteady,
                ..
            }
        )
    }
}

/// What is wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    #[error("there is no certificate in it (no PEM block CERTIFICATE)")]
    NoCertificate,
    #[error(
        "there is no private key in it (no PEM block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)"
    )]
    NoKey,
    #[error("it is not PEM: {0}")]
    NotPem(rustls_pki_types::pem::Error),
    #[error("the certificate cannot be parsed: {0}")]
    Malformed(String),
    #[error("the private key cannot be used: {0}")]
    UnusableKey(rustls::Error),
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    #[error("the certificate expired on {on}")]
    Expired { on: String },
    #[error("the certificate is not valid before {from}")]
    NotYetValid { from: String },
    #[error("there is no usable authority certificate in it")]
    NoAuthority,
}

/// What is wrong with a country or ASN database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseFault {
    #[error("it is not a MaxMind-format database: {0}")]
    Malformed(maxminddb::MaxMindDbError),
    #[error("it holds neither countries nor autonomous systems (type {0:?})")]
    NothingOfUse(String),
    #[error("it changed while it was read; it is read again when it rests")]
    Unsteady,
    #[error("it is {bytes} bytes long, and {limit} is the most")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("it cannot be mapped: {0}")]
    Map(String),
}
