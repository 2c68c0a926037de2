//! Which namespaces are to be looked at, and when: soon after a change, and one at a time, so that whoever waits for a snapshot
//! does not wait for all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

/// Changes are gathered until it is quiet for so long, and no longer than that.
const QUIET: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_millis(300);
/// What is said about objects is gathered for so long: a thousand proxies acknowledge, and as many statuses change.
const CALM: Duration = Duration::from_millis(100);

/// What is to be looked at, and when.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// In which somebody changed something.
    changed: Gathered,
    /// Of which something else is new.
    told: Gathered,
}

#[derive(Debug, Default)]
struct Gathered {
    waiting: BTreeSet<String>,
    /// Those whose turn it is.
    turns: BTreeSet<String>,
    first: Option<Instant>,
    due: Option<Instant>,
}

impl Dirty {
    /// Objects changed: more of the same is likely to come.
    pub(crate) fn add(&mut self, namespaces: impl IntoIterator<Item = String>) {
        if self.changed.extend(namespaces) {
            let now = Instant::now();
            let first = *self.changed.first.get_or_insert(now);
            self.changed.due = Some((now + QUIET).min(first + LONGEST_WAIT));
        }
    }

    /// What is said about objects changed: that never puts off what objects wait for.
    pub(crate) fn add_calmly(&mut self, namespaces: impl IntoIterator<Item = String>) {
        if self.told.extend(namespaces) {
            self.told.due.get_or_insert(Instant::now() + CALM);
        }
    }

    /// When it is somebody's turn next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.changed.due.into_iter().chain(self.told.due).min()
    }

    /// What has waited long enough has its turn from now on.
    pub(crate) fn give_turns(&mut self) {
        let now = Instant::now();
        self.changed.give_turns(now);
        self.told.give_turns(now);
    }

    /// Nothing waits any longer.
    pub(crate) fn give_all_turns(&mut self) {
        self.changed.give_all_turns();
        self.told.give_all_turns();
    }

    pub(crate) fn has_turns(&self) -> bool {
        !self.changed.turns.is_empty() || !self.told.turns.is_empty()
    }

    /// The next whose turn it is; those that somebody changed come first.
    pub(crate) fn next(&mut self) -> Option<String> {
        let next = self.changed.turns.pop_first();
        let next = next.or_else(|| self.told.turns.pop_first())?;
        self.told.turns.remove(&next);
        Some(next)
    }
}

impl Gathered {
    fn extend(&mut self, namespaces: impl IntoIterator<Item = String>) -> bool {
        let mut any = false;
        for namespace in namespaces {
            any = true;
            self.waiting.insert(namespace);
        }
        any
    }

    fn give_turns(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.give_all_turns();
        }
    }

    fn give_all_turns(&mut self) {
        (self.first, self.due) = (None, None);
        self.turns.append(&mut self.waiting);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn turns(dirty: &mut Dirty) -> Vec<String> {
        dirty.give_turns();
        std::iter::from_fn(|| dirty.next()).collect()
    }

    fn some(name: &str) -> [String; 1] {
        [name.to_owned()]
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_gathered_for_a_while_and_never_for_long() {
        let mut dirty = Dirty::default();
        let began = Instant::now();
        while turns(&mut dirty).is_empty() {
            dirty.add(some("mail"));
            advance(QUIET / 2).await;
        }
        assert!(began.elapsed() >= LONGEST_WAIT && began.elapsed() < LONGEST_WAIT + QUIET);
        dirty.add(some("mail"));
        assert_eq!(dirty.due(), Some(Instant::now() + QUIET));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_puts_no_change_off_and_comes_after_it() {
        let mut dirty = Dirty::default();
        dirty.add(some("z"));
        advance(QUIET / 2).await;
        dirty.add_calmly(some("a"));
        dirty.add_calmly(some("z"));
        advance(QUIET / 2).await;
        assert_eq!(turns(&mut dirty), ["z"]);
        dirty.add(some("b"));
        advance(CALM.max(QUIET)).await;
        assert_eq!(turns(&mut dirty), ["b", "a", "z"]);
        assert!(!dirty.has_turns() && dirty.due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn all_can_have_their_turn_together() {
        let mut dirty = Dirty::default();
        dirty.add(some("a"));
        dirty.add_calmly(some("b"));
        dirty.give_all_turns();
        assert_eq!(turns(&mut dirty), ["a", "b"]);
        assert!(dirty.due().is_none());
    }
}
