//! The Secrets of the files.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sekisho_api::Answer;
use sekisho_compile::ObjectKey;
use sekisho_compile::files::{Secret, SecretValue};
use zeroize::Zeroizing;

use crate::herald::Signing;

/// The Secrets of the files as they were last read. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Arc<RwLock<BTreeMap<ObjectKey, Secret>>>);

impl Secrets {
    /// Takes what the files hold now; whether that is something else than before.
    pub(super) fn replace(&self, secrets: BTreeMap<ObjectKey, Secret>) -> bool {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differs = *held != secrets;
        *held = secrets;
        differs
    }

    /// The Secret of that name, if there is one.
    pub(super) fn of(&self, key: &ObjectKey) -> Option<Secret> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }
}

impl Signing for Secrets {
    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Answer<'a, Result<Zeroizing<Vec<u8>>, String>> {
        let secret = self.of(&ObjectKey::new(namespace, name));
        let value = secret.as_ref().and_then(|secret| secret.data.get("secret"));
        let value = value.map(|value| Zeroizing::new(SecretValue::expose(value).to_vec()));
        let value = value.ok_or_else(|| format!("the Secret {name} has no key named secret"));
        Box::pin(async { value })
    }
}
