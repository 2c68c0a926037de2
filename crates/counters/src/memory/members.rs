//! Sets of distinct items, exact up to a bound, each member fading by itself.

use sekisho_policy::{Item, Span};

use super::budget::Budget;
use super::clock::{Moment, slack};
use super::table::Value;

/// The most members of one set. A full set answers with this number and takes no new member until an old one fades,
/// so a threshold above it is never reached.
pub const MAX_MEMBERS: usize = 1024;

#[derive(Debug)]
struct Member {
    item: Item,
    seen: u64,
}

/// The members of one set, in no order.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// The longest window that was asked for.
    window: u64,
    members: Vec<Member>,
}

impl Members {
    /// How many members were seen within the window that ends now.
    pub(super) fn count(&self, moment: Moment, window: u64) -> u64 {
        let judged = moment.judged(window);
        self.members
            .iter()
            .filter(|member| member.seen.saturating_add(window) > judged)
            .count() as u64
    }

    /// Adds an item, or notes that it was seen again. Where there is no room the set stays as it is.
    pub(super) fn see(&mut self, moment: Moment, window: u64, item: Item, budget: &Budget) {
        self.window = self.window.max(window);
        if let Some(known) = self.members.iter_mut().find(|member| member.item == item) {
            known.seen = known.seen.max(moment.latest);
            return;
        }
        self.forget(
            moment,
            self.window.saturating_add(slack(self.window)),
            budget,
        );
        if self.members.len() >= MAX_MEMBERS {
            self.forget(moment, self.window, budget);
        }
        let fits =
            self.members.len() < MAX_MEMBERS && (self.members.is_empty() || budget.take_entry());
        if fits {
            self.members.push(Member {
                item,
                seen: moment.latest,
            });
        }
    }

    /// Forgets members that were last seen at `before` or earlier.
    pub(super) fn forgive(&mut self, before: u64, budget: &Budget) {
        let entries = self.entries();
        self.members.retain(|member| member.seen > before);
        budget.free_entries(entries - self.entries());
    }

    /// Forgets members that were last seen in one of these spans.
    pub(super) fn heed(&mut self, disowned: &[Span], budget: &Budget) {
        let entries = self.entries();
        let within = |seen: u64| move |span: &Span| (span.from.0..=span.to.0).contains(&seen);
        self.members
            .retain(|member| !disowned.iter().any(within(member.seen)));
        budget.free_entries(entries - self.entries());
    }

    /// Adds an item if it is a member, or if there are fewer than `most`; how many there are then, or more than `most` if it found no
    /// room.
    pub(super) fn admit(
        &mut self,
        moment: Moment,
        window: u64,
        item: Item,
        most: u64,
        budget: &Budget,
    ) -> u64 {
        let count = self.count(moment, window);
        let judged = moment.judged(window);
        let is_member =
            |member: &Member| member.item == item && member.seen.saturating_add(window) > judged;
        if count >= most.min(MAX_MEMBERS as u64) && !self.members.iter().any(is_member) {
            return count.max(most).saturating_add(1);
        }
        self.see(moment, window, item, budget);
        self.count(moment, window)
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, item: Item, budget: &Budget) {
        let before = self.entries();
        self.members.retain(|member| member.item != item);
        budget.free_entries(before - self.entries());
    }

    fn forget(&mut self, moment: Moment, keep: u64, budget: &Budget) {
        let before = self.entries();
        self.members
            .retain(|member| member.seen.saturating_add(keep) > moment.latest);
        budget.free_entries(before - self.entries());
    }
}

impl Value for Members {
    fn is_over(&self, latest: u64) -> bool {
        let keep = self.window.saturating_add(slack(self.window));
        self.members
            .iter()
            .all(|member| member.seen.saturating_add(keep) <= latest)
    }

    fn entries(&self) -> usize {
        self.members.len().saturating_sub(1)
    }
}
