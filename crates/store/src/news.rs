//! Who waits for changes in a namespace hears of those that this process made or heard of.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A number for each namespace that somebody waits for, which changes with what is told. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct News(Arc<Mutex<HashMap<String, watch::Sender<u64>>>>);

impl News {
    pub(crate) fn of(&self, namespace: &str) -> watch::Receiver<u64> {
        let mut all = self.lock();
        if let Some(sender) = all.get(namespace) {
            return sender.subscribe();
        }
        all.retain(|_, sender| sender.receiver_count() > 0);
        let sender = watch::Sender::new(0);
        let receiver = sender.subscribe();
        all.insert(namespace.to_owned(), sender);
        receiver
    }

    /// Changes the number, and wakes who waits if that is so.
    pub(crate) fn tell(&self, namespace: &str, change: impl FnOnce(&mut u64) -> bool) {
        if let Some(sender) = self.lock().get(namespace) {
            sender.send_if_modified(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
