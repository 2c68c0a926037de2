//! One shard's map from keys to values of one sort, which forgets what is over a few places at a time.

use hashbrown::HashTable;
use sekisho_policy::Key;

use super::budget::Budgets;

/// Something that is kept under a key until it is over.
pub(super) trait Value {
    /// Whether nothing that any caller may still ask for would be lost with it.
    fn is_over(&self, latest: u64) -> bool;

    /// How much of the budget for entries it holds.
    fn entries(&self) -> usize;
}

#[derive(Debug)]
struct Slot<V> {
    hash: u64,
    key: Key,
    value: V,
}

#[derive(Debug)]
pub(super) struct Table<V> {
    slots: HashTable<Slot<V>>,
    /// Where the next sweep begins.
    hand: usize,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            slots: HashTable::new(),
            hand: 0,
        }
    }
}

impl<V: Value> Table<V> {
    pub(super) fn find(&self, hash: u64, key: &Key) -> Option<&V> {
        self.slots
            .find(hash, |slot| slot.key == *key)
            .map(|slot| &slot.value)
    }

    pub(super) fn find_mut(&mut self, hash: u64, key: &Key) -> Option<&mut V> {
        self.slots
            .find_mut(hash, |slot| slot.key == *key)
            .map(|slot| &mut slot.value)
    }

    pub(super) fn contains(&self, hash: u64, key: &Key) -> bool {
        self.find(hash, key).is_some()
    }

    /// The value of `key`, which `make` supplies if there is none.
    pub(super) fn obtain(&mut self, hash: u64, key: &Key, make: impl FnOnce() -> V) -> &mut V {
        let slot = self
            .slots
            .entry(hash, |slot| slot.key == *key, |slot| slot.hash)
            .or_insert_with(|| Slot {
                hash,
                key: key.clone(),
                value: make(),
            });
        &mut slot.into_mut().value
    }

    pub(super) fn remove(&mut self, hash: u64, key: &Key, budgets: &Budgets) {
        if let Ok(found) = self.slots.find_entry(hash, |slot| slot.key == *key) {
            free(&found.remove().0, budgets);
        }
    }

    /// Looks at the next `places` places of the table, used or not, drops what is over, and says how many it looked at.
    pub(super) fn sweep(&mut self, places: usize, latest: u64, budgets: &Budgets) -> usize {
        let places = places.min(self.slots.num_buckets());
        for _ in 0..places {
            self.hand = (self.hand + 1) % self.slots.num_buckets();
            if let Ok(found) = self.slots.get_bucket_entry(self.hand)
                && found.get().value.is_over(latest)
            {
                free(&found.remove().0, budgets);
            }
        }
        places
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

fn free<V: Value>(slot: &Slot<V>, budgets: &Budgets) {
    budgets.of(&slot.key).free(slot.value.entries());
}
