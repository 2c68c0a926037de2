//! A part of the keys under one lock.

use sekisho_policy::Key;

use super::awards::Purse;
use super::budget::Budgets;
use super::circle::Circle;
use super::clock::Moment;
use super::lock::Lock;
use super::members::Members;
use super::spans::Spans;
use super::table::Table;
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
    pub(super) spans: Table<Spans>,
    births: u64,
}

impl Shard {
    /// The key's tally, a new one if need be; `None` if there is no room for a new key.
    pub(super) fn tally(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budgets: &Budgets,
    ) -> Option<&mut Tally> {
        if !self.tallies.contains(place.hash, place.key) && !self.admit(place, moment, budgets) {
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
        budgets: &Budgets,
    ) -> Option<&mut Members> {
        if !self.sets.contains(place.hash, place.key) && !self.admit(place, moment, budgets) {
            return None;
        }
        Some(self.sets.obtain(place.hash, place.key, Members::default))
    }

    /// The key's locks, new ones if need be; `None` if there is no room for a new key.
    pub(super) fn lock(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budgets: &Budgets,
    ) -> Option<&mut Lock> {
        if !self.locks.contains(place.hash, place.key) && !self.admit(place, moment, budgets) {
            return None;
        }
        Some(self.locks.obtain(place.hash, place.key, Lock::default))
    }

    /// The key's points, none yet if need be; `None` if there is no room for a new key.
    pub(super) fn purse(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budgets: &Budgets,
    ) -> Option<&mut Purse> {
        if !self.purses.contains(place.hash, place.key) && !self.admit(place, moment, budgets) {
            return None;
        }
        Some(self.purses.obtain(place.hash, place.key, Purse::default))
    }

    /// The key's correspondents, none yet if need be; `None` if there is no room for a new key.
    pub(super) fn circle(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budgets: &Budgets,
    ) -> Option<&mut Circle> {
        if !self.circles.contains(place.hash, place.key) && !self.admit(place, moment, budgets) {
            return None;
        }
        Some(self.circles.obtain(place.hash, place.key, Circle::default))
    }

    /// What the key disowns, nothing yet if need be; `None` if there is no room for a new key.
    pub(super) fn spans(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        budgets: &Budgets,
    ) -> Option<&mut Spans> {
        if !self.spans.contains(place.hash, place.key) && !self.admit(place, moment, budgets) {
            return None;
        }
        Some(self.spans.obtain(place.hash, place.key, Spans::default))
    }

    /// Forgets a tally, a set and points, not a lock. Nobody among correspondents is new any more.
    pub(super) fn clear(&mut self, place: Place<'_>, budgets: &Budgets) {
        self.tallies.remove(place.hash, place.key, budgets);
        self.sets.remove(place.hash, place.key, budgets);
        self.purses.remove(place.hash, place.key, budgets);
        if let Some(circle) = self.circles.find_mut(place.hash, place.key) {
            circle.settle();
        }
    }

    /// Forgets what is from `before` or earlier, and ends a lock that began by then.
    pub(super) fn forgive(
        &mut self,
        place: Place<'_>,
        moment: Moment,
        before: u64,
        budgets: &Budgets,
    ) {
        let budget = budgets.of(place.key);
        if let Some(tally) = self.tallies.find_mut(place.hash, place.key) {
            tally.forgive(before, budget);
        }
        if let Some(set) = self.sets.find_mut(place.hash, place.key) {
            set.forgive(before, budget);
        }
        if let Some(purse) = self.purses.find_mut(place.hash, place.key) {
            purse.forgive(before, budget);
        }
        if let Some(circle) = self.circles.find_mut(place.hash, place.key) {
            circle.settle_until(before);
        }
        if let Some(lock) = self.locks.find_mut(place.hash, place.key) {
            lock.forgive(moment, before);
        }
    }

    /// Makes sure of room for one more key.
    fn admit(&mut self, place: Place<'_>, moment: Moment, budgets: &Budgets) -> bool {
        self.sweep(SWEEP, moment, budgets);
        let budget = budgets.of(place.key);
        let admitted = budget.take_key();
        if !admitted {
            budget.note_refused();
        }
        admitted
    }

    /// Looks at the next `places` places of each table, drops what is over, and says how many places it looked at.
    pub(super) fn sweep(&mut self, places: usize, moment: Moment, budgets: &Budgets) -> usize {
        let latest = moment.latest;
        self.tallies.sweep(places, latest, budgets)
            + self.sets.sweep(places, latest, budgets)
            + self.locks.sweep(places, latest, budgets)
            + self.purses.sweep(places, latest, budgets)
            + self.circles.sweep(places, latest, budgets)
            + self.spans.sweep(places, latest, budgets)
    }
}
