//! Whom an account writes to: as many as fit, each forgotten so long after the last message.

use sekisho_policy::Item;
use sekisho_policy::signal::MAX_CORRESPONDENTS;

use super::budget::Budget;
use super::clock::Moment;
use super::table::Value;

#[derive(Debug)]
struct Known {
    /// The first 48 bits of its hash: of a thousand, one in 280 thousand million strangers is taken for one of them.
    mark: u64,
    /// When it was first written to; 0 is longer ago than anybody asks.
    first: u64,
    last: u64,
}

/// The correspondents of one key, in no order.
#[derive(Debug, Default)]
pub(super) struct Circle {
    born: u64,
    keep: u64,
    known: Vec<Known>,
}

impl Circle {
    /// Remembers `items`; how many are in the circle that came within the window and not in its first time.
    pub(super) fn write(
        &mut self,
        moment: Moment,
        items: &[Item],
        (window, learn, keep): (u64, u64, u64),
        budget: &Budget,
    ) -> u64 {
        let now = moment.latest;
        self.keep = self.keep.max(keep);
        self.forget(now, budget);
        if self.known.is_empty() && !items.is_empty() {
            self.born = now;
        }
        for item in items {
            self.meet(mark_of(item), now, budget);
        }
        self.fresh(now, window, learn)
    }

    fn meet(&mut self, mark: u64, now: u64, budget: &Budget) {
        if let Some(known) = self.known.iter_mut().find(|known| known.mark == mark) {
            known.last = now;
            return;
        }
        let room =
            self.known.is_empty() || self.known.len() < MAX_CORRESPONDENTS && budget.take_entry();
        if !room {
            let longest_ago = (0..self.known.len()).min_by_key(|&at| self.known[at].last);
            self.known.swap_remove(longest_ago.unwrap_or(0));
        }
        self.known.push(Known {
            mark,
            first: now,
            last: now,
        });
    }

    fn fresh(&self, now: u64, window: u64, learn: u64) -> u64 {
        let since = self.born.saturating_add(learn);
        let is_fresh = |known: &&Known| {
            known.first >= since && known.first.saturating_add(window) > now && known.first > 0
        };
        self.known.iter().filter(is_fresh).count() as u64
    }

    /// Nobody in it is new any more.
    pub(super) fn settle(&mut self) {
        for known in &mut self.known {
            known.first = 0;
        }
    }

    /// Nobody in it who came at `before` or earlier is new any more.
    pub(super) fn settle_until(&mut self, before: u64) {
        let came = self.known.iter_mut().filter(|known| known.first <= before);
        came.for_each(|known| known.first = 0);
    }

    fn forget(&mut self, now: u64, budget: &Budget) {
        let before = self.entries();
        let keep = self.keep;
        self.known
            .retain(|known| known.last.saturating_add(keep) > now);
        budget.free_entries(before - self.entries());
    }
}

fn mark_of(item: &Item) -> u64 {
    item[..6]
        .iter()
        .fold(0, |mark, &octet| mark << 8 | u64::from(octet))
}

impl Value for Circle {
    fn is_over(&self, latest: u64) -> bool {
        self.known
            .iter()
            .all(|known| known.last.saturating_add(self.keep) <= latest)
    }

    fn entries(&self) -> usize {
        self.known.len().saturating_sub(1)
    }
}
