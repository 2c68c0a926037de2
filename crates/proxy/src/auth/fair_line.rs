//! A queue in which each group stands in a line of its own, and the lines take turns: who comes a thousand times waits for
//! himself, and whoever comes once is next.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Who waits.
#[derive(Debug)]
pub(super) struct FairLine<G, T> {
    lines: HashMap<G, VecDeque<(u64, T)>>,
    /// The groups that have a line, the next one first.
    turns: VecDeque<G>,
    waiting: usize,
    /// In all, and of one group.
    most: usize,
    most_of_one: usize,
    next_ticket: u64,
}

/// Nobody else has so many waiting that one of them would have to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A place in the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined<T> {
    pub(super) ticket: u64,
    /// The last of the longest line, who had to go for it.
    pub(super) ousted: Option<T>,
}

impl<G: Copy + Eq + Hash, T> FairLine<G, T> {
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            most,
            most_of_one,
            next_ticket: 0,
        }
    }

    #[cfg(test)]
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many have ever joined.
    #[cfg(test)]
    pub(super) const fn joined(&self) -> u64 {
        self.next_ticket
    }

    /// Waits at the end of its group's line. Where all places are taken, the longest line loses its last for one that is shorter by
    /// more than that.
    pub(super) fn join(&mut self, group: G, one: T) -> Result<Joined<T>, Full> {
        let own = self.lines.get(&group).map_or(0, VecDeque::len);
        if own >= self.most_of_one {
            return Err(Full);
        }
        let ousted = if self.waiting >= self.most {
            Some(self.oust(own)?)
        } else {
            None
        };
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let line = self.lines.entry(group).or_default();
        if line.is_empty() {
            self.turns.push_back(group);
        }
        line.push_back((ticket, one));
        self.waiting += 1;
        Ok(Joined { ticket, ousted })
    }

    /// Takes the last of the longest line, for a group that has `own` waiting.
    fn oust(&mut self, own: usize) -> Result<T, Full> {
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
        let (&group, line) = longest.ok_or(Full)?;
        if line.len() <= own + 1 {
            return Err(Full);
        }
        let line = self.lines.get_mut(&group).ok_or(Full)?;
        let (_, last) = line.pop_back().ok_or(Full)?;
        self.waiting -= 1;
        Ok(last)
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> Option<T> {
        let group = self.turns.pop_front()?;
        let line = self.lines.get_mut(&group)?;
        let (_, one) = line.pop_front()?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&group);
        } else {
            self.turns.push_back(group);
        }
        Some(one)
    }

    /// Whoever has that ticket waits no longer.
    pub(super) fn leave(&mut self, group: G, ticket: u64) {
        let Some(line) = self.lines.get_mut(&group) else {
            return;
        };
        let Some(at) = line.iter().position(|(held, _)| *held == ticket) else {
            return;
        };
        line.remove(at);
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&group);
            self.turns.retain(|other| *other != group);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn join(line: &mut FairLine<u8, u32>, group: u8, one: u32) -> Option<Option<u32>> {
        line.join(group, one).ok().map(|joined| joined.ousted)
    }

    #[test]
    fn groups_take_turns() {
        let mut line = FairLine::new(100, 50);
        for (group, ones) in [(1, 0..6), (2, 10..12), (3, 20..21)] {
            ones.for_each(|one| assert_eq!(join(&mut line, group, one), Some(None)));
        }
        let order: Vec<u32> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, [0, 10, 20, 1, 11, 2, 3, 4, 5]);
        assert!(line.waiting == 0 && line.lines.is_empty() && line.turns.is_empty());
    }

    #[test]
    fn whoever_has_much_makes_room_for_whoever_has_little() {
        let mut line = FairLine::new(4, 3);
        (0..3).for_each(|one| assert_eq!(join(&mut line, 1, one), Some(None)));
        assert_eq!(join(&mut line, 1, 3), None, "a group's own bound");
        assert_eq!(join(&mut line, 2, 10), Some(None));
        assert_eq!(join(&mut line, 3, 20), Some(Some(2)), "of the longest line");
        assert_eq!(join(&mut line, 2, 11), None, "it would have as many");
        assert_eq!(join(&mut line, 4, 30), Some(Some(1)));
        assert_eq!(join(&mut line, 5, 40), None, "all have one");
        let order: Vec<u32> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, [0, 10, 20, 30]);
    }

    #[test]
    fn whoever_leaves_is_not_called() {
        let mut line = FairLine::new(10, 10);
        let tickets: Vec<u64> = (0..3)
            .map(|one| line.join(1, one).unwrap().ticket)
            .collect();
        let other = line.join(2, 10).unwrap().ticket;
        line.leave(1, tickets[1]);
        line.leave(1, tickets[1]);
        line.leave(2, other);
        line.leave(9, 0);
        let order: Vec<u32> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, [0, 2]);
        assert!(line.waiting == 0 && line.lines.is_empty() && line.turns.is_empty());
    }

    proptest! {
        /// Nobody waits for more than one of each other group at a time, each group is served in order, and nobody is lost.
        #[test]
        fn each_group_waits_for_one_of_each_other(steps in prop::collection::vec((0..6_u8, 0..3_u8), 1..300)) {
            let mut line = FairLine::new(40, 20);
            let mut waiting: BTreeMap<u8, VecDeque<u32>> = BTreeMap::new();
            // How often each group was served since another one joined or was served.
            let mut since: BTreeMap<(u8, u8), u32> = BTreeMap::new();
            for (at, (group, what)) in steps.into_iter().enumerate() {
                let one = u32::try_from(at).unwrap() * 8 + u32::from(group);
                if what == 0 {
                    let Some(next) = line.next() else {
                        prop_assert!(waiting.is_empty());
                        continue;
                    };
                    let served = u8::try_from(next % 8).unwrap();
                    let own = waiting.get_mut(&served).unwrap();
                    prop_assert_eq!(own.pop_front(), Some(next));
                    if own.is_empty() {
                        waiting.remove(&served);
                    }
                    since.retain(|(waits, _), _| *waits != served);
                    for waits in waiting.keys().filter(|waits| **waits != served) {
                        let times = since.entry((*waits, served)).or_default();
                        *times += 1;
                        prop_assert!(*times <= 1, "{served} came {times} times before {waits}");
                    }
                } else if let Ok(joined) = line.join(group, one) {
                    waiting.entry(group).or_default().push_back(one);
                    if let Some(ousted) = joined.ousted {
                        let of = u8::try_from(ousted % 8).unwrap();
                        prop_assert_eq!(waiting.get_mut(&of).unwrap().pop_back(), Some(ousted));
                    }
                }
                let all: usize = waiting.values().map(VecDeque::len).sum();
                prop_assert!(all == line.waiting && all <= 40);
            }
        }
    }
}
