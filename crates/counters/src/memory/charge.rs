//! One addition to one tally.

use sekisho_policy::Key;

/// One addition to one tally.
#[derive(Debug)]
pub(crate) struct Charge {
    pub(super) key: Key,
    pub(super) hash: u64,
    /// Which life of the key was charged: a tally that was cleared or forgotten since owes nothing.
    pub(super) born: u64,
    /// The time under which it was counted.
    pub(super) at: u64,
    pub(super) cost: u64,
}
