//! Restrictions by account, counted by level.

use std::collections::HashMap;

use sekisho_policy::restriction::Origin;
use sekisho_policy::states::Change;
use sekisho_policy::{Account, Restriction, Timestamp};
use serde::{Deserialize, Serialize};

use super::place;

/// The most restrictions by rules that the store tells of: some 100 MB.
pub(super) const MOST: usize = 250_000;
/// Beside them has room what is imposed here, so that it bites here whatever others fill the store with,
pub(super) const OWN: usize = 25_000;
/// and what people say.
pub(super) const DESK: usize = 25_000;
/// The most restrictions by rules of one account. The worst of them stay.
pub(super) const MOST_OF_ACCOUNT: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Book {
    accounts: HashMap<Account, Vec<Entry>>,
    /// How many of each level there are.
    levels: [usize; 4],
    /// How many of them the desk imposed.
    desk: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) restriction: Restriction,
    pub(super) told: Told,
    /// What the store said otherwise while this waits, at which revision. The answer to what is told here may be an older word.
    heard: Option<Box<(u64, Change)>>,
}

/// How far the store has heard of a restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Told {
    /// It is the store's own word.
    Known,
    /// Not yet.
    Waiting,
    /// Its answer of this revision knew of it. What it says of an older one did not.
    At(u64),
    /// It was the word of another store, which is gone. It holds until this one says otherwise.
    Kept,
}

impl Entry {
    pub(super) fn new(restriction: Restriction, told: Told) -> Self {
        Self {
            restriction,
            told,
            heard: None,
        }
    }

    /// Keeps a word of the store that the answer to what is told here may be older than.
    pub(super) fn hear(&mut self, revision: u64, change: Change) {
        if self.told == Told::Waiting {
            self.heard = Some(Box::new((revision, change)));
        }
    }

    /// What the store said of it after that revision.
    pub(super) fn heard_after(&self, revision: u64) -> Option<Change> {
        let (at, change) = self.heard.as_deref()?;
        (*at > revision).then(|| change.clone())
    }

    /// The store answered for it.
    pub(super) fn settle(&mut self, told: Told) {
        self.told = told;
        self.heard = None;
    }

    fn is_desk(&self) -> bool {
        self.restriction.origin == Origin::Desk
    }

    fn is_as(&self, other: &Self) -> bool {
        self.told == other.told && self.restriction == other.restriction
    }
}

impl Book {
    pub(super) fn accounts(&self) -> usize {
        self.accounts.len()
    }

    pub(super) const fn levels(&self) -> [usize; 4] {
        self.levels
    }

    pub(super) fn len(&self) -> usize {
        self.levels.iter().sum()
    }

    /// Whether there is room for one that the store tells of.
    pub(super) fn has_room(&self, account: &Account, origin: &Origin) -> bool {
        self.has_room_within(MOST, account, origin)
    }

    /// Whether there is room for one that holds here whatever the store says.
    pub(super) fn has_room_of_own(&self, account: &Account, origin: &Origin) -> bool {
        self.has_room_within(MOST + OWN, account, origin)
    }

    fn has_room_within(&self, most: usize, account: &Account, origin: &Origin) -> bool {
        let has_place = match origin {
            Origin::Desk => self.desk < DESK,
            Origin::Rule(_) => self.len() - self.desk < most,
        };
        has_place || self.entry(account, origin).is_some()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Account, &[Entry])> {
        self.accounts
            .iter()
            .map(|(account, entries)| (account, &entries[..]))
    }

    pub(super) fn of(&self, account: &Account) -> &[Entry] {
        self.accounts.get(account).map_or(&[], Vec::as_slice)
    }

    pub(super) fn entry(&self, account: &Account, origin: &Origin) -> Option<&Entry> {
        let mut entries = self.of(account).iter();
        entries.find(|entry| entry.restriction.origin == *origin)
    }

    pub(super) fn entry_mut(&mut self, account: &Account, origin: &Origin) -> Option<&mut Entry> {
        let mut entries = self.accounts.get_mut(account)?.iter_mut();
        entries.find(|entry| entry.restriction.origin == *origin)
    }

    /// It takes the place of the one of the same origin. Where rules have too many of one account, the mildest goes.
    pub(super) fn put(&mut self, account: &Account, entry: Entry) {
        self.remove(account, &entry.restriction.origin);
        self.count_in(&entry);
        let Some(entries) = self.accounts.get_mut(account) else {
            self.accounts.insert(account.clone(), vec![entry]);
            return;
        };
        entries.push(entry);
        let by_rules = || entries.iter().enumerate().filter(|(_, one)| !one.is_desk());
        if by_rules().count() > MOST_OF_ACCOUNT {
            let mildest = by_rules().min_by_key(|(_, one)| one.restriction.weight());
            if let Some((at, _)) = mildest {
                let gone = entries.swap_remove(at);
                self.count_out(&gone);
            }
        }
    }

    fn count_in(&mut self, entry: &Entry) {
        self.levels[place(entry.restriction.level)] += 1;
        self.desk += usize::from(entry.is_desk());
    }

    fn count_out(&mut self, entry: &Entry) {
        self.levels[place(entry.restriction.level)] -= 1;
        self.desk -= usize::from(entry.is_desk());
    }

    pub(super) fn remove(&mut self, account: &Account, origin: &Origin) {
        let Some(entries) = self.accounts.get_mut(account) else {
            return;
        };
        let place_of = |entry: &Entry| entry.restriction.origin == *origin;
        let gone = entries.iter().position(place_of);
        let gone = gone.map(|at| entries.swap_remove(at));
        if entries.is_empty() {
            self.accounts.remove(account);
        }
        if let Some(gone) = gone {
            self.count_out(&gone);
        }
    }

    /// Removes all that is known of an account.
    pub(super) fn forget(&mut self, account: &Account) {
        for gone in self.accounts.remove(account).unwrap_or_default() {
            self.count_out(&gone);
        }
    }

    /// Removes what is over and does not wait for the store; tells whose it was.
    pub(super) fn sweep(&mut self, now: Timestamp, mut gone: impl FnMut(&Account)) {
        let (levels, desk) = (&mut self.levels, &mut self.desk);
        self.accounts.retain(|account, entries| {
            let before = entries.len();
            entries.retain(|entry| {
                let goes = !entry.restriction.holds_at(now) && entry.told != Told::Waiting;
                if goes {
                    levels[place(entry.restriction.level)] -= 1;
                    *desk -= usize::from(entry.is_desk());
                }
                !goes
            });
            if entries.len() < before {
                gone(account);
            }
            !entries.is_empty()
        });
    }

    /// Whether it says the same of an account as another does.
    pub(super) fn agrees(&self, other: &Self, account: &Account) -> bool {
        let (ours, theirs) = (self.of(account), other.of(account));
        let is_there = |entry: &Entry| theirs.iter().any(|their| their.is_as(entry));
        ours.len() == theirs.len() && ours.iter().all(is_there)
    }
}
