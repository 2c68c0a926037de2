//! What relays are logged in to with: the Secrets of the files, as they are now.

use sekisho_compile::ObjectKey;
use sekisho_compile::files::SecretValue;
use sekisho_proxy::{Credentials, CredentialsPending, Login};

use super::secrets::Secrets;

/// Where the logins of one gateway come from.
#[derive(Debug)]
pub(super) struct FileCredentials {
    pub(super) namespace: String,
    pub(super) secrets: Secrets,
}

impl Credentials for FileCredentials {
    fn of_secret(&self, name: &str) -> Result<Login, CredentialsPending> {
        let label = format!("Secret {}/{name}", self.namespace);
        let Some(secret) = self.secrets.of(&ObjectKey::new(&*self.namespace, name)) else {
            return Err(CredentialsPending::missing(label));
        };
        let value = |key: &str| secret.data.get(key).map(SecretValue::expose);
        Login::from_values(&label, value("username"), value("password"))
    }
}
