//! A part of the keys under one lock.

use sekisho_policy::Key;

use super::awards::Purse;
use super::budget::Budget;
use super::circle::Circle;
use super::clock::Moment;
use super::lock::Lock;
use super::members::Members;
use super::table::{Freed, Table};
use super::tally::Tally;

/// Places looked at for each new key, so that what is over goes at least as fast as new keys come.
const SWEEP: usize = 4;

/// A key and its hash.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) key: &'a Key,
    pub(super) hash: u64,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) tallies: Table<Tally>,
    pub(super) sets: Table<Members>,
    pub(super) locks: Table<Lock>,
    pub(super) purses: Table<Purse>,
    pub(super) circles: Table<Circle>,
    births: u64,
}

impl Shard {
    /// The key's tally, a new one if need be; `None` if there is no room for a new key.
    pub(super) fn tally(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budget: &Budget,
    ) -> Option<&mut Tally> {
        if !self.tallies.contains(place.hash, place.key) && !self.admit(moment, budget) {
            return None;
        }
        let births = &mut self.births;
        Some(self.tallies.obtain(place.hash, place.key, || {
            *births += 1;
            Tally::new(*births)
        }))
    }

    /// The key's set, a new one if need be; `None` if there is no room for a new key.
    pub(super) fn set(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budget: &Budget,
    ) -> Option<&mut Members> {
        if !self.sets.contains(place.hash, place.key) && !self.admit(moment, budget) {
            return None;
        }
        Some(self.sets.obtain(place.hash, place.key, Members::default))
    }

    /// The key's locks, new ones if need be; `None` if there is no room for a new key.
    pub(super) fn lock(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budget: &Budget,
    ) -> Option<&mut Lock> {
        if !self.locks.contains(place.hash, place.key) && !self.admit(moment, budget) {
            return None;
        }
        Some(self.locks.obtain(place.hash, place.key, Lock::default))
    }

    /// The key's points, none yet if need be; `None` if there is no room for a new key.
    pub(super) fn purse(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budget: &Budget,
    ) -> Option<&mut Purse> {
        if !self.purses.contains(place.hash, place.key) && !self.admit(moment, budget) {
            return None;
        }
        Some(self.purses.obtain(place.hash, place.key, Purse::default))
    }

    /// The key's correspondents, none yet if need be; `None` if there is no room for a new key.
    pub(super) fn circle(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budget: &Budget,
    ) -> Option<&mut Circle> {
        if !self.circles.contains(place.hash, place.key) && !self.admit(moment, budget) {
            return None;
        }
        Some(self.circles.obtain(place.hash, place.key, Circle::default))
    }

    /// Forgets a tally, a set and points, not a lock. Nobody among correspondents is new any more.
    pub(super) fn clear(&mut self, place: Place<'_>, budget: &Budget) {
        release(budget, self.tallies.remove(place.hash, place.key));
        release(budget, self.sets.remove(place.hash, place.key));
        release(budget, self.purses.remove(place.hash, place.key));
        if let Some(circle) = self.circles.find_mut(place.hash, place.key) {
            circle.settle();
        }
    }

    /// Makes sure of room for one more key.
    fn admit(&mut self, moment: Moment, budget: &Budget) -> bool {
        self.sweep(SWEEP, moment, budget);
        let admitted = budget.take_key();
        if !admitted {
            budget.note_refused();
        }
        admitted
    }

    /// Looks at the next `places` places of each table, drops what is over, and says how many places it looked at.
    pub(super) fn sweep(&mut self, places: usize, moment: Moment, budget: &Budget) -> usize {
        let swept = [
            self.tallies.sweep(places, moment.latest),
            self.sets.sweep(places, moment.latest),
            self.locks.sweep(places, moment.latest),
            self.purses.sweep(places, moment.latest),
            self.circles.sweep(places, moment.latest),
        ];
        swept.into_iter().map(|freed| release(budget, freed)).sum()
    }
}

fn release(budget: &Budget, freed: Freed) -> usize {
    if freed.keys > 0 {
        budget.free_keys(freed.keys);
        budget.free_entries(freed.entries);
    }
    freed.places
}
