//! Adds up atomically over a window: what [`policy`](sekisho_policy) asks as [`Op`]s, this crate answers as [`Results`].
//!
//! The promise: **a limit of N in W admits at most N in any window of length W**, whatever the schedule and whatever the clock
//! does. The price is the resolution: what was used comes back at most W/64 late (see [`memory::RESOLUTION`]), never early.
//! Time is what callers say; where it steps back, the latest time ever said goes on counting until they have caught up.
#![warn(missing_docs)]

pub mod memory;
mod receipt;

use sekisho_policy::{Op, Results, Timestamp, Unavailable};

pub use memory::{Limits, Sizes};
pub use receipt::Receipt;

use memory::Memory;

/// Counters of one gateway or of one process. An enum, so that a caller is never generic over where counting happens.
#[derive(Debug)]
pub enum Counters {
    /// In this process: gone with it, and shared with no other.
    Memory(Memory),
}

impl Counters {
    /// Counters in this process, within `limits`.
    #[must_use]
    pub fn memory(limits: Limits) -> Self {
        Self::Memory(Memory::new(limits))
    }

    /// Applies the operations of one call at `now` and answers in their order.
    ///
    /// The gates are judged first, together, by what was counted before this call: all add or none does. Then the other
    /// operations are carried out in their order, whatever the gates said. The receipt covers what gates and meters
    /// added; it is `None` if they added nothing. Dropping it keeps the charge.
    ///
    /// # Errors
    /// [`Unavailable`] when a key could not be counted. As with a connection that breaks, some of the call may have
    /// been counted; the memory counters count every key that they know and none of those that found no room.
    pub async fn apply(
        &self,
        now: Timestamp,
        ops: &[Op],
    ) -> Result<(Results, Option<Receipt>), Unavailable> {
        match self {
            Self::Memory(memory) => memory.apply(now, ops),
        }
    }

    /// Takes back what one call added, as far as it is still remembered. A receipt is used up by it, so nothing comes back twice.
    pub async fn give_back(&self, receipt: Receipt) {
        match self {
            Self::Memory(memory) => memory.give_back(receipt),
        }
    }

    /// What the counters hold, for metrics.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        match self {
            Self::Memory(memory) => memory.sizes(),
        }
    }
}
