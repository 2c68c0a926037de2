//! The Secrets of the files.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use sekisho_compile::ObjectKey;
use sekisho_compile::files::Secret;

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
