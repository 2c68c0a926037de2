//! Certificates for listeners: from the Secrets of the files, else one made by ourselves.

use std::path::PathBuf;

use sekisho_compile::ObjectKey;
use sekisho_compile::files::SecretValue;
use sekisho_proxy::Certificates;
use sekisho_runtime::tls::{Identity, self_signed};
use sekisho_runtime::{Clock, Error};

use super::secrets::Secrets;

/// Where the certificates of one gateway come from.
#[derive(Debug)]
pub(super) struct FileCertificates {
    pub(super) namespace: String,
    pub(super) secrets: Secrets,
    /// The file that keeps the certificate made by ourselves.
    pub(super) own: PathBuf,
    /// The names and addresses that it is for.
    pub(super) names: Vec<String>,
    pub(super) clock: Clock,
}

impl Certificates for FileCertificates {
    fn of_secret(&self, name: &str) -> Result<Identity, Error> {
        let origin = format!("Secret {}/{name}", self.namespace);
        let secret = self.secrets.of(&ObjectKey::new(&*self.namespace, name));
        let value = |field: &str| {
            secret
                .as_ref()
                .and_then(|secret| secret.data.get(field))
                .map_or(&[][..], SecretValue::expose)
        };
        Identity::from_pem(
            &origin,
            value("tls.crt"),
            value("tls.key"),
            self.clock.now_ms(),
        )
    }

    fn self_signed(&self) -> Result<Identity, Error> {
        self_signed(&self.own, &self.names, self.clock.now_ms())
    }
}
