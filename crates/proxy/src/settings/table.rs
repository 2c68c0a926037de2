//! Who has which settings: 21 octets for each account and free place, and what is different only once.

use std::sync::Arc;

use hashbrown::HashTable;
use sekisho_policy::AccountSettings;
use sekisho_policy::states::{Onto, Part};

use super::Maybe;
use super::shapes::Shapes;

/// The most accounts; the store takes no more either.
pub(super) const MOST: usize = 5_000_000;

/// A keyed hash of an account's name.
pub(super) type Key = [u8; 16];

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashTable<Entry>,
    shapes: Shapes,
    revision: u64,
    part: Part,
    /// Whether a whole was ever heard to its end.
    was_heard: bool,
    /// Whether a whole is being heard.
    hears_whole: bool,
    /// Whether it was said that there are too many.
    overflowed: bool,
}

/// Sixteen octets and four, without padding.
#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Key,
    /// The place among [`Shapes`]; the highest bit says whether the whole that was begun last has it.
    packed: u32,
}

const SEEN: u32 = 1 << 31;

impl Entry {
    const fn place(self) -> u32 {
        self.packed & !SEEN
    }

    const fn was_seen(self) -> bool {
        self.packed & SEEN != 0
    }
}

/// What is counted of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) accounts: usize,
    pub(super) heard: bool,
}

impl Table {
    pub(super) fn census(&self) -> Census {
        Census {
            accounts: self.entries.len(),
            heard: self.was_heard,
        }
    }

    pub(super) const fn was_heard(&self) -> bool {
        self.was_heard
    }

    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) const fn question(&self) -> (u64, Part) {
        (self.revision, self.part)
    }

    pub(super) const fn ask_for_whole(&mut self) {
        self.revision = 0;
        self.part = Part::First;
        self.hears_whole = false;
    }

    pub(super) fn find(&self, key: &Key) -> Option<Arc<AccountSettings>> {
        let entry = self.entries.find(hash(key), |entry| entry.key == *key)?;
        self.shapes.at(entry.place())
    }

    /// Begins to take an answer over; whether it is of a whole. What of that is never seen goes when it ends.
    pub(super) fn begin(&mut self, onto: Onto) -> bool {
        if onto == Onto::Nothing {
            self.hears_whole = true;
            for entry in self.entries.iter_mut() {
                entry.packed &= !SEEN;
            }
        }
        self.hears_whole
    }

    /// Takes an answer over: what to ask for next, and, where it was the last of a whole, what is gone.
    pub(super) fn end(&mut self, revision: u64, is_last: bool) {
        self.revision = revision;
        if !is_last {
            self.part = Part::Next;
            return;
        }
        self.part = Part::First;
        if std::mem::take(&mut self.hears_whole) {
            self.was_heard = true;
            self.forget_others();
        }
    }

    fn forget_others(&mut self) {
        let shapes = &mut self.shapes;
        self.entries.retain(|entry| {
            if !entry.was_seen() {
                shapes.give_back(entry.place());
            }
            entry.was_seen()
        });
        // After many went, their places would stay; that is only worth it where they are most.
        if self.entries.capacity() > 4 * self.entries.len().max(1024) {
            self.entries.shrink_to_fit(|entry| hash(&entry.key));
        }
    }

    pub(super) fn set(&mut self, key: Key, settings: Maybe<'_>) {
        match self
            .entries
            .find_entry(hash(&key), |entry| entry.key == key)
        {
            Ok(known) => {
                let before = known.get().place();
                match settings {
                    Some(settings) => {
                        known.into_mut().packed = self.shapes.take(settings) | SEEN;
                    }
                    None => drop(known.remove()),
                }
                self.shapes.give_back(before);
            }
            Err(_) => {
                if let Some(settings) = settings {
                    self.add(key, settings);
                }
            }
        }
    }

    fn add(&mut self, key: Key, settings: &AccountSettings) {
        if self.entries.len() >= MOST {
            if !std::mem::replace(&mut self.overflowed, true) {
                tracing::error!(
                    most = MOST,
                    "there are more settings of accounts than can be held: the rules' defaults hold for the others"
                );
            }
            return;
        }
        let packed = self.shapes.take(settings) | SEEN;
        let entry = Entry { key, packed };
        self.entries
            .insert_unique(hash(&key), entry, |entry| hash(&entry.key));
    }

    /// Everything as it is written down: the different settings, and who has which of them.
    pub(super) fn packed(&self) -> (Vec<Arc<AccountSettings>>, Vec<(Key, u32)>) {
        let mut places =
            vec![0_u32; self.shapes.iter().map(|(at, _)| at + 1).max().unwrap_or(0) as usize];
        let mut shapes = Vec::new();
        for (number, (at, settings)) in (0_u32..).zip(self.shapes.iter()) {
            places[at as usize] = number;
            shapes.push(settings.clone());
        }
        let entries = self.entries.iter();
        let entries = entries.map(|entry| (entry.key, places[entry.place() as usize]));
        (shapes, entries.collect())
    }

    /// What was written down, of a run that had heard a whole.
    pub(super) fn unpacked(
        revision: u64,
        shapes: &[AccountSettings],
        entries: impl ExactSizeIterator<Item = (Key, u32)>,
    ) -> Self {
        let mut table = Self {
            revision,
            was_heard: true,
            ..Self::default()
        };
        table
            .entries
            .reserve(entries.len(), |entry| hash(&entry.key));
        for (key, shape) in entries {
            table.set(key, shapes.get(shape as usize));
        }
        table
    }
}

/// Keys are hashes already.
fn hash(key: &Key) -> u64 {
    let (first, _) = key.split_at(8);
    first
        .iter()
        .fold(0, |hash, &octet| hash << 8 | u64::from(octet))
}
