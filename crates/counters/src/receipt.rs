//! Proof of what one call added, good for giving it back once.

use crate::memory;
use crate::redis;

/// What the gates and meters of one call added.
///
/// It cannot be cloned and giving it back consumes it, so that nothing comes back twice. Dropping it keeps the charge,
/// which is what `Attempts` want.
#[derive(Debug)]
pub struct Receipt(pub(crate) Held);

/// Where it was added.
#[derive(Debug)]
pub(crate) enum Held {
    Memory(Vec<memory::Charge>),
    Redis(Vec<redis::Charge>),
}

impl Receipt {
    pub(crate) fn of_memory(charges: Vec<memory::Charge>) -> Option<Self> {
        (!charges.is_empty()).then_some(Self(Held::Memory(charges)))
    }

    pub(crate) fn of_redis(charges: Vec<redis::Charge>) -> Option<Self> {
        (!charges.is_empty()).then_some(Self(Held::Redis(charges)))
    }
}
