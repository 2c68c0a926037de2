//! What the counters may use of memory, shared by all shards.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use sekisho_policy::{Key, key};

use super::Limits;

/// Signals of accounts have keys of their own, one for every so many of all others: who can make as many of those as he likes, by
/// failing to log in, does not turn signals off.
const OTHERS_FOR_EACH: usize = 4;

/// What there is for signals of accounts, and for everything else.
#[derive(Debug)]
pub(super) struct Budgets {
    others: Budget,
    signals: Budget,
}

impl Budgets {
    pub(super) fn new(limits: Limits) -> Self {
        let part = |of: usize| (of / OTHERS_FOR_EACH).max(1);
        let signals = Limits {
            keys: part(limits.keys),
            entries: part(limits.entries),
        };
        Self {
            others: Budget::new(limits),
            signals: Budget::new(signals),
        }
    }

    /// The one that a key is paid from.
    pub(super) fn of(&self, key: &Key) -> &Budget {
        if key::is_signal_of_account(key) {
            &self.signals
        } else {
            &self.others
        }
    }

    pub(super) fn both(&self) -> [&Budget; 2] {
        [&self.others, &self.signals]
    }

    pub(super) fn is_out_of_keys(&self) -> bool {
        self.both().into_iter().any(Budget::is_out_of_keys)
    }
}

#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    keys: AtomicUsize,
    entries: AtomicUsize,
    /// Additions that found no room for their key.
    refused: AtomicU64,
}

impl Budget {
    fn new(limits: Limits) -> Self {
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

    /// A key is gone, and what it held.
    pub(super) fn free(&self, entries: usize) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.free_entries(entries);
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
