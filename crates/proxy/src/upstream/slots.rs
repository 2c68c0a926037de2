//! How many connections a pool may hold at once. The number can change while connections are open.
//!
//! A slot is held by a connection in use. Idle connections hold none, so that whoever waits gets the next one that
//! comes back; they count against the limit all the same, and make room for new ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More than any machine can open.
pub(super) const UNLIMITED: usize = Semaphore::MAX_PERMITS;

/// The connections that may be open at once.
#[derive(Debug)]
pub(super) struct Slots {
    semaphore: Arc<Semaphore>,
    in_use: AtomicUsize,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// Slots that were taken away while they were in use; they vanish as they come back.
    owed: usize,
}

/// The right to use one connection.
#[derive(Debug)]
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            semaphore: Arc::new(Semaphore::new(limit)),
            in_use: AtomicUsize::new(0),
            size: Mutex::new(Size { limit, owed: 0 }),
        }
    }

    /// Waits for a slot, in order of arrival.
    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        // The semaphore is never closed, so an error cannot come; a slot without a permit would still be harmless.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        self.in_use.fetch_add(1, Ordering::AcqRel);
        Slot {
            permit,
            slots: Arc::clone(self),
        }
    }

    /// Whether so many idle connections are within the limit, beside those in use.
    pub(super) fn have_room_for(&self, idle: usize) -> bool {
        self.in_use.load(Ordering::Acquire) + idle <= self.size().limit
    }

    /// Changes the number. Connections that are open stay so.
    pub(super) fn resize(&self, limit: usize) {
        let mut size = self.size();
        if limit >= size.limit {
            let grown = limit - size.limit;
            let forgiven = grown.min(size.owed);
            size.owed -= forgiven;
            self.semaphore.add_permits(grown - forgiven);
        } else {
            let shrunk = size.limit - limit;
            size.owed += shrunk - self.semaphore.forget_permits(shrunk);
        }
        size.limit = limit;
    }

    fn size(&self) -> std::sync::MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.in_use.fetch_sub(1, Ordering::AcqRel);
        let Some(permit) = self.permit.take() else {
            return;
        };
        let mut size = self.slots.size();
        if size.owed > 0 {
            size.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(slots: &Arc<Slots>) -> usize {
        slots.semaphore.available_permits()
    }

    #[tokio::test]
    async fn shrinking_waits_for_what_is_open() {
        let slots = Arc::new(Slots::new(3));
        let mut held = vec![slots.take().await, slots.take().await, slots.take().await];
        slots.resize(1);
        held.pop();
        held.pop();
        assert_eq!(free(&slots), 0);
        held.pop();
        assert_eq!(free(&slots), 1);
    }

    #[tokio::test]
    async fn growing_forgives_what_was_owed() {
        let slots = Arc::new(Slots::new(2));
        let held = [slots.take().await, slots.take().await];
        slots.resize(1);
        slots.resize(4);
        assert_eq!(free(&slots), 2);
        drop(held);
        assert_eq!(free(&slots), 4);
    }

    #[tokio::test]
    async fn idle_connections_count_beside_those_in_use() {
        let slots = Arc::new(Slots::new(2));
        let held = slots.take().await;
        assert!(slots.have_room_for(1));
        assert!(!slots.have_room_for(2));
        drop(held);
        assert!(slots.have_room_for(2));
    }
}
