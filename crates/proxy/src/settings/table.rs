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
    /// What to ask for next.
    revision: u64,
    part: Part,
    /// Up to where all was heard, and of which store.
    heard: u64,
    store: Option<Box<str>>,
    /// Whether a whole was ever heard to its end.
    was_heard: bool,
    /// Whether a whole is being heard, and of which store.
    hears_whole: bool,
    coming: Option<Box<str>>,
    /// Accounts that the last whole should have named, and did not.
    missing: usize,
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

/// Where an answer comes from, and how far it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) revision: u64,
    pub(super) horizon: u64,
    pub(super) is_last: bool,
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

    /// Up to where all was heard.
    pub(super) const fn heard(&self) -> u64 {
        self.heard
    }

    /// Of which store.
    pub(super) fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    pub(super) const fn missing(&self) -> usize {
        self.missing
    }

    pub(super) const fn question(&self) -> (u64, Part) {
        (self.revision, self.part)
    }

    pub(super) fn ask_for_whole(&mut self) {
        self.revision = 0;
        self.part = Part::First;
        self.hears_whole = false;
        self.coming = None;
    }

    /// Whether an answer goes on with what was heard before. That of another store does not: then its whole is asked for.
    pub(super) fn goes_on(&mut self, onto: Onto, store: Option<&str>) -> bool {
        let before = if self.hears_whole {
            self.coming.as_deref()
        } else {
            self.store.as_deref()
        };
        let goes_on = onto == Onto::Nothing || !is_other(before, store);
        if !goes_on {
            self.ask_for_whole();
        }
        goes_on
    }

    pub(super) fn find(&self, key: &Key) -> Option<Arc<AccountSettings>> {
        let entry = self.entries.find(hash(key), |entry| entry.key == *key)?;
        self.shapes.at(entry.place())
    }

    /// Begins to take an answer over; whether it is of a whole.
    pub(super) fn begin(&mut self, onto: Onto, store: Option<&str>) -> bool {
        if onto == Onto::Nothing {
            self.hears_whole = true;
            self.coming = store.map(Box::from);
            for entry in self.entries.iter_mut() {
                entry.packed &= !SEEN;
            }
        }
        if !self.hears_whole && self.store.is_none() {
            self.store = store.map(Box::from);
        }
        self.hears_whole
    }

    /// Takes an answer over: what to ask for next, and, where it was the last of a whole, what is gone.
    pub(super) fn end(&mut self, end: End) {
        self.revision = end.revision;
        self.part = if end.is_last { Part::First } else { Part::Next };
        if !self.hears_whole {
            self.heard = end.revision;
        } else if end.is_last {
            self.end_whole(end);
        }
    }

    /// What a whole does not name was reset, if it is of the store that was heard before, and that may have forgotten resets since.
    /// Else it still knows of each, and tells it next: what it says nothing of was not reset, but lost. So neither an empty store in
    /// the place of the one before, nor one that was restored from a backup, makes anybody forget.
    fn end_whole(&mut self, end: End) {
        self.hears_whole = false;
        let coming = self.coming.take();
        let is_same =
            !is_other(self.store.as_deref(), coming.as_deref()) && end.revision >= self.heard;
        let heard = if is_same { self.heard } else { 0 };
        if !self.was_heard || (is_same && heard < end.horizon) {
            self.forget_others();
        } else {
            self.revision = heard.max(end.horizon).max(1).min(end.revision);
        }
        self.was_heard = true;
        self.heard = self.revision;
        self.store = coming.or_else(|| self.store.take());
        let unseen = self.entries.iter().filter(|entry| !entry.was_seen());
        let missing = unseen.count();
        if missing > 0 && self.missing == 0 {
            tracing::error!(
                count = missing,
                "the control plane's store is another one, or has lost what accounts had set: what it does not know stays as it was"
            );
        }
        self.missing = missing;
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
                if !self.hears_whole && !known.get().was_seen() {
                    self.missing = self.missing.saturating_sub(1);
                }
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

    /// Goes on with a line of the journal.
    pub(super) fn went_on(&mut self, revision: u64) {
        self.revision = revision;
        self.heard = revision;
    }

    /// What was written down, of a run that had heard a whole.
    pub(super) fn unpacked(
        (revision, store): (u64, Option<Box<str>>),
        shapes: &[AccountSettings],
        entries: impl ExactSizeIterator<Item = (Key, u32)>,
    ) -> Self {
        let mut table = Self {
            revision,
            heard: revision,
            store,
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

/// Whether two stores are not the same. One that does not say its name may be any.
fn is_other(before: Option<&str>, now: Option<&str>) -> bool {
    matches!((before, now), (Some(before), Some(now)) if before != now)
}

/// Keys are hashes already.
fn hash(key: &Key) -> u64 {
    let (first, _) = key.split_at(8);
    first
        .iter()
        .fold(0, |hash, &octet| hash << 8 | u64::from(octet))
}
