//! Points of one key, each award fading by itself.

use sekisho_policy::Timestamp;
use sekisho_policy::signal::{Added, Award, Awards, MAX_AWARDS, Signal};

use super::budget::Budget;
use super::clock::Moment;
use super::table::Value;

/// What was awarded, oldest first.
#[derive(Debug, Default)]
pub(super) struct Purse {
    /// The longest time that was asked for.
    keep: u64,
    awards: Vec<Award>,
}

impl Purse {
    /// Adds an award, unless one of the same signal is younger than `hold`.
    pub(super) fn award(
        &mut self,
        moment: Moment,
        (signal, points): (Signal, u32),
        (hold, keep): (u64, u64),
        budget: &Budget,
    ) -> Awards {
        self.keep = self.keep.max(keep);
        self.forget(moment, budget);
        let held = |award: &Award| {
            award.signal == signal && award.at.0.saturating_add(hold) > moment.latest
        };
        if self.awards.iter().any(held) {
            return self.left(moment, keep);
        }
        // Where there is no room the oldest goes: it has faded the most.
        let room = self.awards.is_empty() || self.awards.len() < MAX_AWARDS && budget.take_entry();
        if !room {
            self.awards.remove(0);
        }
        self.awards.push(Award {
            signal,
            points,
            at: Timestamp(moment.latest),
        });
        Awards {
            added: Added::Yes,
            ..self.left(moment, keep)
        }
    }

    /// What was awarded less than `keep` ago.
    pub(super) fn left(&self, moment: Moment, keep: u64) -> Awards {
        let lives = |award: &&Award| award.at.0.saturating_add(keep) > moment.latest;
        Awards {
            list: self.awards.iter().filter(lives).copied().collect(),
            added: Added::No,
        }
    }

    /// Forgets what was awarded at `before` or earlier.
    pub(super) fn forgive(&mut self, before: u64, budget: &Budget) {
        let entries = self.entries();
        self.awards.retain(|award| award.at.0 > before);
        budget.free_entries(entries - self.entries());
    }

    fn forget(&mut self, moment: Moment, budget: &Budget) {
        let before = self.entries();
        let keep = self.keep;
        self.awards
            .retain(|award| award.at.0.saturating_add(keep) > moment.latest);
        budget.free_entries(before - self.entries());
    }
}

impl Value for Purse {
    fn is_over(&self, latest: u64) -> bool {
        self.awards
            .iter()
            .all(|award| award.at.0.saturating_add(self.keep) <= latest)
    }

    fn entries(&self) -> usize {
        self.awards.len().saturating_sub(1)
    }
}
