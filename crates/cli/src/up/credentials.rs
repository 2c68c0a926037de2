//! What relays are logged in to with: the Secrets of the files, as they are now.

use sekisho_compile::ObjectKey;
use sekisho_compile::files::SecretValue;
use sekisho_proxy::Credentials;
use zeroize::Zeroizing;

use super::secrets::Secrets;

/// Where the logins of one gateway come from.
#[derive(Debug)]
pub(super) struct FileCredentials {
    pub(super) namespace: String,
    pub(super) secrets: Secrets,
}

impl Credentials for FileCredentials {
    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        let secret = self.secrets.of(&ObjectKey::new(&*self.namespace, secret))?;
        let value = secret.data.get(key).map(SecretValue::expose)?;
        Some(Zeroizing::new(value.to_vec()))
    }

    fn label(&self, secret: &str) -> String {
        format!("Secret {}/{secret}", self.namespace)
    }
}
