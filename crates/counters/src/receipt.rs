//! Proof of what one call added, good for giving it back once.

use sekisho_policy::Key;

/// What the gates and meters of one call added.
///
/// It cannot be cloned and giving it back consumes it, so that nothing comes back twice. Dropping it keeps the charge,
/// which is what `Attempts` want.
#[derive(Debug)]
pub struct Receipt {
    pub(crate) charges: Vec<Charge>,
}

/// One addition to one tally.
#[derive(Debug)]
pub(crate) struct Charge {
    pub(crate) key: Key,
    pub(crate) hash: u64,
    /// Which life of the key was charged: a tally that was cleared or forgotten since owes nothing.
    pub(crate) born: u64,
    /// The time under which it was counted.
    pub(crate) at: u64,
    pub(crate) cost: u64,
}

impl Receipt {
    pub(crate) fn of(charges: Vec<Charge>) -> Option<Self> {
        (!charges.is_empty()).then_some(Self { charges })
    }
}
