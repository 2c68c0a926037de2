//! The window: sums in sparse buckets, each counted until its last addition is a whole window old.

use sekisho_policy::Timestamp;
use smallvec::SmallVec;

use super::budget::Budget;
use super::clock::{Moment, slack};
use super::table::Value;

/// Into how many parts a window is cut: what was used comes back at most a window's 1/64 late, never early.
pub const RESOLUTION: u64 = 64;

/// Additions within one part of the window. All of them are counted until the last of them is a window old.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    last: u64,
    sum: u64,
}

/// What was added under one key. Buckets are in the order of time, and at most 2 x [`RESOLUTION`] + 2 of them.
#[derive(Debug)]
pub(super) struct Tally {
    born: u64,
    /// The longest window that was asked for. A key has one window in practice; a shorter one is judged more coarsely.
    window: u64,
    /// Additions before this time are no longer in any bucket.
    since: u64,
    buckets: SmallVec<[Bucket; 2]>,
}

impl Tally {
    pub(super) fn new(born: u64) -> Self {
        Self {
            born,
            window: 0,
            since: 0,
            buckets: SmallVec::new(),
        }
    }

    pub(super) fn born(&self) -> u64 {
        self.born
    }

    /// The sum over the window that ends now.
    pub(super) fn sum(&self, moment: Moment, window: u64) -> u64 {
        self.counted(moment, window)
            .fold(0, |sum, bucket| sum.saturating_add(bucket.sum))
    }

    /// When `excess` will have left the window; `None` if so much is not in it.
    pub(super) fn relief(&self, moment: Moment, window: u64, excess: u64) -> Option<Timestamp> {
        let mut freed = 0u64;
        let oldest_first = self.counted(moment, window).rev();
        for bucket in oldest_first {
            freed = freed.saturating_add(bucket.sum);
            if freed >= excess {
                return Some(Timestamp(bucket.last.saturating_add(window)));
            }
        }
        None
    }

    /// Adds `cost` and answers with the time under which it was added.
    pub(super) fn add(&mut self, moment: Moment, window: u64, cost: u64, budget: &Budget) -> u64 {
        self.window = self.window.max(window);
        self.forget(moment, budget);
        let grain = self.window.div_ceil(RESOLUTION).max(1);
        match self.buckets.last_mut() {
            // Another caller was here with a later time while this one waited for the lock.
            Some(newest) if newest.last >= moment.latest => {
                newest.sum = newest.sum.saturating_add(cost)
            }
            Some(newest)
                if newest.last / grain == moment.latest / grain || !budget.take_entry() =>
            {
                *newest = Bucket {
                    last: moment.latest,
                    sum: newest.sum.saturating_add(cost),
                };
            }
            _ => self.buckets.push(Bucket {
                last: moment.latest,
                sum: cost,
            }),
        }
        self.buckets
            .last()
            .map_or(moment.latest, |newest| newest.last)
    }

    /// Takes back a `cost` that was added under the time `at`, if its bucket is still here.
    pub(super) fn give_back(&mut self, at: u64, cost: u64) {
        if at < self.since {
            return;
        }
        let holder = self.buckets.partition_point(|bucket| bucket.last < at);
        if let Some(bucket) = self.buckets.get_mut(holder)
            // A sum that overflowed no longer knows what it holds; it stays until it fades.
            && bucket.sum < u64::MAX
        {
            bucket.sum = bucket.sum.saturating_sub(cost);
        }
    }

    /// Forgets the parts to which nothing was added after `before`.
    pub(super) fn forgive(&mut self, before: u64, budget: &Budget) {
        let gone = self.buckets.partition_point(|bucket| bucket.last <= before);
        self.drop_first(gone, budget);
    }

    /// The buckets that the window still holds, newest first.
    fn counted(&self, moment: Moment, window: u64) -> impl DoubleEndedIterator<Item = &Bucket> {
        let judged = moment.judged(window);
        let gone = self
            .buckets
            .partition_point(|bucket| bucket.last.saturating_add(window) <= judged);
        self.buckets.get(gone..).unwrap_or_default().iter().rev()
    }

    fn forget(&mut self, moment: Moment, budget: &Budget) {
        let keep = self.window.saturating_add(slack(self.window));
        let gone = self
            .buckets
            .partition_point(|bucket| bucket.last.saturating_add(keep) <= moment.latest);
        self.drop_first(gone, budget);
    }

    fn drop_first(&mut self, gone: usize, budget: &Budget) {
        if let Some(last_gone) = gone.checked_sub(1).and_then(|at| self.buckets.get(at)) {
            self.since = last_gone.last.saturating_add(1);
            let before = self.entries();
            self.buckets.drain(..gone);
            budget.free_entries(before - self.entries());
        }
    }
}

impl Value for Tally {
    fn is_over(&self, latest: u64) -> bool {
        let keep = self.window.saturating_add(slack(self.window));
        self.buckets
            .last()
            .is_none_or(|newest| newest.last.saturating_add(keep) <= latest)
    }

    fn entries(&self) -> usize {
        self.buckets.len().saturating_sub(1)
    }
}
