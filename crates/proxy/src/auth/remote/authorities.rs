//! Whom the certificates of a service must lead to.

use std::sync::{Arc, Mutex, PoisonError};

use sekisho_runtime::tls::{Roots, Verification, client_config};
use tokio_rustls::rustls::ClientConfig;
use zeroize::Zeroizing;

use super::super::Tools;
use super::RemoteFault;

/// The key of a Secret with authorities.
const KEY: &str = "ca.crt";

/// The authorities of a Secret, read anew when they change, or those of the process.
#[derive(Debug)]
pub(in crate::auth) struct Authorities {
    secret: Option<String>,
    read: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    pem: Zeroizing<Vec<u8>>,
    config: Arc<ClientConfig>,
}

impl Authorities {
    pub(in crate::auth) fn new(secret: Option<&str>) -> Self {
        Self {
            secret: secret.map(str::to_owned),
            read: Mutex::default(),
        }
    }

    /// What a connection is made with. Sessions of TLS are resumed as long as it is the same.
    pub(in crate::auth) fn config(&self, tools: &Tools) -> Result<Arc<ClientConfig>, RemoteFault> {
        let Some(secret) = &self.secret else {
            return Ok(Arc::clone(&tools.tls));
        };
        let origin = tools.credentials.label(secret);
        let pem = tools.credentials.value(secret, KEY);
        let pem =
            pem.ok_or_else(|| RemoteFault::Authorities(format!("{origin} has no `{KEY}`")))?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = read.as_ref().filter(|read| read.pem == pem) {
            return Ok(Arc::clone(&same.config));
        }
        let roots = Roots::Pem {
            origin: &origin,
            pem: &pem,
        };
        let config = client_config(Verification::Required(roots));
        let config = config.map_err(|error| RemoteFault::Authorities(error.to_string()))?;
        *read = Some(Read {
            pem,
            config: Arc::clone(&config),
        });
        Ok(config)
    }
}
