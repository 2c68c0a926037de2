//! What the counters may use of memory, shared by all shards.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Limits;

#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    keys: AtomicUsize,
    entries: AtomicUsize,
    /// Additions that found no room for their key.
    refused: AtomicU64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            keys: AtomicUsize::new(0),
            entries: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn is_out_of_keys(&self) -> bool {
        self.keys.load(Ordering::Relaxed) >= self.limits.keys
    }

    pub(super) fn take_key(&self) -> bool {
        take(&self.keys, self.limits.keys)
    }

    pub(super) fn free_keys(&self, count: usize) {
        self.keys.fetch_sub(count, Ordering::Relaxed);
    }

    pub(super) fn take_entry(&self) -> bool {
        take(&self.entries, self.limits.entries)
    }

    pub(super) fn free_entries(&self, count: usize) {
        if count > 0 {
            self.entries.fetch_sub(count, Ordering::Relaxed);
        }
    }

    pub(super) fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn entries(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

fn take(used: &AtomicUsize, limit: usize) -> bool {
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
        (used < limit).then_some(used + 1)
    })
    .is_ok()
}
