//! Adds up atomically over a window: what [`policy`](sekisho_policy) asks as [`Op`]s, this crate answers as [`Results`].
//!
//! The promise: **a limit of N in W admits at most N in any window of length W**, whatever the schedule and whatever the clock
//! does. The price is the resolution: what was used comes back at most W/64 late (see [`memory::RESOLUTION`]), never early. Of a limit
//! that is charged ahead ([`redis::Leases`]) it comes back at most L + (W + L)/64 late, where L is W/64 or 10 s, whichever is less.
//! In memory, time is what callers say; where it steps back, the latest time ever said goes on counting until they have caught up.
//! In Redis, time is the server's: callers with wrong clocks change nothing, and what they are told of times is by their own.
#![warn(missing_docs)]

mod absent;
pub mod memory;
mod receipt;
pub mod redis;

use sekisho_policy::{Key, Op, Results, Timestamp, Unavailable};

pub use absent::Absent;
pub use memory::{Limits, Sizes};
pub use receipt::Receipt;
pub use redis::Redis;

use memory::Memory;
use receipt::Held;

/// Counters of one gateway or of one process. An enum, so that a caller is never generic over where counting happens.
#[derive(Debug)]
pub enum Counters {
    /// In this process: gone with it, and shared with no other.
    Memory(Memory),
    /// In Redis: shared by all who ask the same server under the same key.
    Redis(Box<Redis>),
    /// To be shared, and nobody has said where.
    Absent(Box<Absent>),
}

impl Counters {
    /// Counters in this process, within `limits`.
    #[must_use]
    pub fn memory(limits: Limits) -> Self {
        Self::Memory(Memory::new(limits))
    }

    /// Counters in Redis. While it does not answer, what counts alone does so within `alone`. Must be called within a runtime
    /// of tokio.
    ///
    /// # Errors
    /// What cannot be a server, or TLS material that cannot be read. A server that cannot be reached is no error.
    pub fn redis(setup: redis::Setup, alone: Limits) -> Result<Self, redis::Defect> {
        Redis::new(setup, alone).map(|redis| Self::Redis(Box::new(redis)))
    }

    /// Counters to be shared of which is not known where, because of `why`: they do not answer. What counts alone does so within
    /// `alone`.
    #[must_use]
    pub fn absent(why: &str, alone: Limits) -> Self {
        Self::Absent(Box::new(Absent::new(why, alone)))
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
            Self::Redis(redis) => {
                let asking = match redis.cover(now, ops) {
                    redis::Covered::Wholly(results, receipt) => return Ok((results, receipt)),
                    // A session's task holds this future, and most sessions wait for no counter.
                    redis::Covered::Partly(cover) => Box::pin(redis.apply(now, ops, cover)),
                };
                asking.await
            }
            Self::Absent(absent) => Err(absent.unavailable()),
        }
    }

    /// Applies the operations in this process alone, because the shared counters did not answer. `None` where counting is in
    /// this process anyway, or where these counters do not answer either.
    pub fn apply_alone(&self, now: Timestamp, ops: &[Op]) -> Option<(Results, Option<Receipt>)> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(redis) => redis.apply_alone(now, ops).ok(),
            Self::Absent(absent) => absent.alone.apply(now, ops).ok(),
        }
    }

    /// Takes back what one call added, as far as it is still remembered. A receipt is used up by it, so nothing comes back twice.
    pub async fn give_back(&self, receipt: Receipt) {
        match (self, receipt) {
            (Self::Memory(memory), Receipt(Held::Memory(charges))) => memory.give_back(charges),
            (Self::Absent(absent), Receipt(Held::Memory(charges))) => {
                absent.alone.give_back(charges);
            }
            // Counted in Redis by what was there before these counters; it fades.
            (Self::Memory(_) | Self::Absent(_), Receipt(Held::Redis(_))) => {}
            (Self::Redis(redis), receipt) => Box::pin(redis.give_back(receipt)).await,
        }
    }

    /// Gives back what is held here of shared limits and was not used, and holds nothing from now on: to be called when these
    /// counters are used no longer, or soon will be. They go on counting.
    pub async fn retire(&self) {
        if let Self::Redis(redis) = self {
            redis.retire().await;
        }
    }

    /// What the counters of this process hold, for metrics.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        match self {
            Self::Memory(memory) => memory.sizes(),
            Self::Redis(redis) => redis.sizes(),
            Self::Absent(absent) => absent.alone.sizes(),
        }
    }
}

/// The second key of an operation that has two.
fn mark_of(op: &Op) -> Option<&Key> {
    match op {
        Op::Heed { mark, .. } => Some(mark),
        _ => None,
    }
}

fn key_of(op: &Op) -> &Key {
    match op {
        Op::Gate { key, .. }
        | Op::Meter { key, .. }
        | Op::Read { key, .. }
        | Op::Distinct { key, .. }
        | Op::Admit { key, .. }
        | Op::Forget { key, .. }
        | Op::Count { key, .. }
        | Op::Lock { key, .. }
        | Op::Locked { key }
        | Op::Award { key, .. }
        | Op::Points { key, .. }
        | Op::Correspond { key, .. }
        | Op::Forgive { key, .. }
        | Op::Disown { key, .. }
        | Op::Heed { key, .. }
        | Op::Clear { key } => key,
    }
}
