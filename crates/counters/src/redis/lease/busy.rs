//! How often keys are asked about, roughly and in little memory: keys that share a cell look busier than they are, which lends early.

use std::sync::atomic::{AtomicU64, Ordering};

const CELLS: usize = 4096;
/// What a cell counts in.
const SPAN: u64 = 1_000;

/// In each cell the second that it is about and the number of asks in it, in 32 KiB.
#[derive(Debug)]
pub(super) struct Busy(Box<[AtomicU64]>);

impl Default for Busy {
    fn default() -> Self {
        Self((0..CELLS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Busy {
    /// Notes that a key is asked about at `tick` ms; how often that was within this second and half of the last.
    pub(super) fn note(&self, hash: u64, tick: u64) -> u32 {
        let cell = &self.0[(hash >> 32) as usize % CELLS];
        // Never 0, which is a cell that nobody has used.
        let second = (tick / SPAN + 1) as u32;
        let (held, count) = split(cell.load(Ordering::Relaxed));
        let before = match second.wrapping_sub(held) {
            0 => count,
            1 => count / 2,
            _ => 0,
        };
        let now = before.saturating_add(1);
        // An ask that another thread notes at the same time may go unseen.
        cell.store(u64::from(second) << 32 | u64::from(now), Ordering::Relaxed);
        now
    }
}

const fn split(cell: u64) -> (u32, u32) {
    ((cell >> 32) as u32, cell as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seconds_ago_does_not_count() {
        let busy = Busy::default();
        let (one, other) = (7 << 32, 8 << 32);
        assert_eq!([0, 10, 999].map(|tick| busy.note(one, tick)), [1, 2, 3]);
        assert_eq!(busy.note(other, 999), 1);
        assert_eq!(busy.note(one, 1_000), 2, "one of three, and this");
        assert_eq!(busy.note(one, 3_000), 1);
        assert_eq!(busy.note(one, 0), 1, "a clock that steps back begins anew");
    }
}
