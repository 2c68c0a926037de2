//! Records that wait in memory: bounded, refusals before others, and what found no room is a gap in the sequence.

use std::collections::VecDeque;

use super::batch::{Batch, Lines, Stream};

/// Lines may take so much of memory together, in octets.
const MOST_OCTETS: usize = 8 << 20;

/// What a record is about, as far as room is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The client was told no: the first that anybody asks about.
    Refusal,
    Other,
}

/// The stream of this process.
#[derive(Debug)]
pub(super) struct Queue {
    instance: String,
    /// The sequence number of the next record that leaves.
    next: u64,
    /// Records dropped since the last that left.
    gap: u64,
    refusals: VecDeque<Box<[u8]>>,
    others: VecDeque<Box<[u8]>>,
    octets: usize,
    most: usize,
}

impl Queue {
    pub(super) fn new(instance: String) -> Self {
        Self {
            instance,
            next: 0,
            gap: 0,
            refusals: VecDeque::new(),
            others: VecDeque::new(),
            octets: 0,
            most: MOST_OCTETS,
        }
    }

    /// Takes a line in; how many records were dropped for want of room, itself perhaps.
    pub(super) fn push(&mut self, kind: Kind, line: Box<[u8]>) -> u64 {
        let mut dropped = 0;
        while kind == Kind::Refusal && self.octets + line.len() > self.most {
            let Some(other) = self.others.pop_front() else {
                break;
            };
            self.octets -= other.len();
            dropped += 1;
        }
        if self.octets + line.len() > self.most {
            dropped += 1;
        } else {
            self.octets += line.len();
            match kind {
                Kind::Refusal => self.refusals.push_back(line),
                Kind::Other => self.others.push_back(line),
            }
        }
        self.gap += dropped;
        dropped
    }

    /// The next batch, which is no longer held here.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        let mut lines = Lines::default();
        for waiting in [&mut self.refusals, &mut self.others] {
            while waiting.front().is_some_and(|line| lines.has_room(line)) {
                if let Some(line) = waiting.pop_front() {
                    self.octets -= line.len();
                    lines.push(&line);
                }
            }
        }
        if lines.is_empty() {
            return None;
        }
        let first = self.next + self.gap;
        self.gap = 0;
        self.next = first + lines.count();
        Some(Batch::new(
            Stream::Memory,
            self.instance.clone(),
            first,
            lines,
        ))
    }

    pub(super) fn len(&self) -> usize {
        self.refusals.len() + self.others.len()
    }

    #[cfg(test)]
    fn with_room(most: usize) -> Self {
        Self {
            most,
            ..Self::new("a".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Box<[u8]> {
        format!("{text}\n").into_bytes().into()
    }

    #[test]
    fn refusals_push_others_out_and_the_gap_is_numbered() {
        let mut queue = Queue::with_room(12);
        assert_eq!(queue.push(Kind::Other, line("aaa")), 0);
        assert_eq!(queue.push(Kind::Other, line("bbb")), 0);
        assert_eq!(queue.push(Kind::Refusal, line("ccc")), 0);
        assert_eq!(queue.push(Kind::Other, line("ddd")), 1, "no room");
        assert_eq!(queue.push(Kind::Refusal, line("eee")), 1, "aaa goes");
        let batch = queue.next_batch().unwrap();
        assert_eq!((batch.first, batch.lines.count()), (2, 3));
        assert_eq!(batch.lines.octets(), b"ccc\neee\nbbb\n");
        queue.push(Kind::Other, line("fff"));
        assert_eq!(queue.next_batch().unwrap().first, 5);
        assert!(queue.next_batch().is_none());
        assert_eq!((queue.len(), queue.octets), (0, 0));
    }

    #[test]
    fn among_refusals_those_that_are_there_stay() {
        let mut queue = Queue::with_room(4);
        assert_eq!(queue.push(Kind::Refusal, line("aaa")), 0);
        assert_eq!(queue.push(Kind::Refusal, line("bbb")), 1);
        assert_eq!(queue.next_batch().unwrap().lines.octets(), b"aaa\n");
    }
}
