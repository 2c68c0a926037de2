//! Spans that somebody disowned, each remembered for a while after its end.

use sekisho_policy::op::MAX_DISOWNED;
use sekisho_policy::{Millis, Span, Timestamp};

use super::budget::Budget;
use super::clock::Moment;
use super::table::Value;

/// The spans of one mark, the oldest first; no two touch.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// The longest time that was asked for.
    keep: u64,
    list: Vec<Span>,
}

impl Spans {
    /// Adds a span, one with those that it touches. Nothing is disowned ahead of time.
    pub(super) fn disown(&mut self, moment: Moment, span: Span, keep: u64, budget: &Budget) {
        let before = self.entries();
        self.keep = self.keep.max(keep);
        let mut span = Span {
            from: span.from,
            to: span.to.min(Timestamp(moment.latest)),
        };
        if span.from > span.to {
            return;
        }
        let ends = Timestamp(moment.latest.saturating_sub(self.keep));
        self.list.retain(|known| {
            if known.touches(&span) {
                span = span.joined(known);
                return false;
            }
            known.to > ends
        });
        let at = self.list.partition_point(|known| known.from < span.from);
        self.list.insert(at, span);
        budget.free_entries(before.saturating_sub(self.entries()));
        let grown = self.entries() > before;
        if self.list.len() > MAX_DISOWNED || grown && !budget.take_entry() {
            let oldest = self.list.remove(0);
            self.list[0] = oldest.joined(&self.list[0]);
        }
    }

    pub(super) fn list(&self) -> &[Span] {
        &self.list
    }
}

impl Value for Spans {
    fn is_over(&self, latest: u64) -> bool {
        let over = |span: &Span| span.to.plus(Millis(self.keep)).0 <= latest;
        self.list.iter().all(over)
    }

    fn entries(&self) -> usize {
        self.list.len().saturating_sub(1)
    }
}
