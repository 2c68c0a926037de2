//! Whether the addresses that sessions come from are those of clients.
//!
//! A load balancer or a Service that rewrites addresses makes all clients look like a few nodes. Then an address rule
//! would lock out everybody for what one of them did, so that such rules must not act.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sekisho_policy::event::SourceTrust;

/// So many sessions are remembered.
const WINDOW: usize = 256;
/// Before so many were seen, nothing is concluded.
const ENOUGH: usize = 20;

/// The last sessions of a gateway, by whether each came from an address of the cluster.
#[derive(Debug, Default)]
pub(crate) struct SourceTally {
    window: Mutex<Window>,
    untrusted: AtomicBool,
}

/// A ring of one bit for each session.
#[derive(Debug, Default)]
struct Window {
    bits: [u64; WINDOW / 64],
    next: usize,
    seen: usize,
    inside: usize,
}

impl SourceTally {
    /// What the last sessions say.
    pub(crate) fn trust(&self) -> SourceTrust {
        if self.untrusted.load(Ordering::Relaxed) {
            SourceTrust::Untrusted
        } else {
            SourceTrust::Trusted
        }
    }

    /// Counts one session, and says what all of them say now.
    pub(crate) fn note(&self, is_of_cluster: bool) -> SourceTrust {
        let mut window = self.window();
        window.push(is_of_cluster);
        let untrusted = window.says_untrusted(self.untrusted.load(Ordering::Relaxed));
        self.untrusted.store(untrusted, Ordering::Relaxed);
        drop(window);
        self.trust()
    }

    /// Forgets what was counted by other networks.
    pub(crate) fn forget(&self) {
        let mut window = self.window();
        *window = Window::default();
        self.untrusted.store(false, Ordering::Relaxed);
    }

    /// The lock is held for a few instructions, none of which can panic.
    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn push(&mut self, is_of_cluster: bool) {
        let (word, bit) = (self.next / 64, 1u64 << (self.next % 64));
        if self.bits[word] & bit != 0 {
            self.inside -= 1;
        }
        if is_of_cluster {
            self.bits[word] |= bit;
            self.inside += 1;
        } else {
            self.bits[word] &= !bit;
        }
        self.next = (self.next + 1) % WINDOW;
        self.seen = (self.seen + 1).min(WINDOW);
    }

    /// More than a half make it untrusted; it is trusted again once they are fewer than a third, so that a share near
    /// one half does not switch rules on and off.
    const fn says_untrusted(&self, before: bool) -> bool {
        if self.seen < ENOUGH {
            return false;
        }
        if before {
            self.inside * 3 >= self.seen
        } else {
            self.inside * 2 > self.seen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SourceTrust::{Trusted, Untrusted};
    use super::*;

    fn note(tally: &SourceTally, times: usize, is_of_cluster: bool) -> SourceTrust {
        for _ in 0..times {
            tally.note(is_of_cluster);
        }
        tally.trust()
    }

    #[test]
    fn nothing_is_concluded_from_few() {
        let tally = SourceTally::default();
        assert_eq!(note(&tally, ENOUGH - 1, true), Trusted);
        assert_eq!(note(&tally, 1, true), Untrusted);
        tally.forget();
        assert_eq!(tally.trust(), Trusted);
        assert_eq!(note(&tally, ENOUGH - 1, true), Trusted);
    }

    #[test]
    fn a_half_is_not_enough_and_a_third_is_too_much() {
        let tally = SourceTally::default();
        for _ in 0..WINDOW {
            assert_eq!(tally.note(false), Trusted);
            assert_eq!(tally.note(true), Trusted);
        }
        assert_eq!(note(&tally, 2, true), Untrusted);
        // 128 + 1 of 256 are inside; each from outside pushes out one of each kind in turn.
        let mut turns = 0;
        while tally.trust() == Untrusted {
            tally.note(false);
            turns += 1;
        }
        assert!((64..=96).contains(&turns), "{turns} to be trusted again");
        assert_eq!(note(&tally, 40, true), Trusted);
    }

    #[test]
    fn only_the_last_ones_count() {
        let tally = SourceTally::default();
        assert_eq!(note(&tally, 10 * WINDOW, false), Trusted);
        assert_eq!(note(&tally, WINDOW / 2, true), Trusted);
        assert_eq!(note(&tally, 1, true), Untrusted);
        assert_eq!(note(&tally, WINDOW, false), Trusted);
        assert_eq!(tally.window().inside, 0);
    }
}
