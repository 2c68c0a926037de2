//! Counters in this process: shards of hash tables, each under its own lock, bounded in keys and in entries.
//!
//! A call locks the shards of all its keys in ascending order and holds them until it is done, so calls are atomic
//! towards each other and cannot deadlock; nothing is awaited meanwhile. Keys are hashed with a random key, since
//! clients choose what is in them.

mod awards;
mod budget;
mod call;
mod charge;
mod circle;
mod clock;
mod lock;
mod members;
mod shard;
mod spans;
mod table;
mod tally;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sekisho_policy::{Key, Op, Results, Timestamp, Unavailable};

use crate::Receipt;
use budget::Budgets;
use call::Call;
use clock::{Clock, Moment};
use shard::Shard;

pub(crate) use charge::Charge;
pub use members::MAX_MEMBERS;
pub use tally::RESOLUTION;

/// As many as a `u64` has bits, which is how a call notes the ones that it needs.
const SHARDS: usize = 64;

/// Places that a call looks at for keys that are over when there is no room left: a few microseconds' worth.
const RECLAIM: usize = 512;

/// How much the counters may hold.
///
/// A key costs about 320 octets: its own bytes (some 70), its place, and what was counted most recently. Each further
/// part of a window in which something was added, and each further member of a set, is an entry of 16 to 48 octets.
/// Points (at most 64 of 24 octets) and correspondents (at most 1,024 of 24 octets) are entries too.
/// Keys are forgotten when what they hold is over (at most a minute later), a few at each new key; tables do not shrink.
///
/// - Out of keys: keys that are known go on being counted and judged. A call that would need a new one counts what it
///   can and is then [`Unavailable`], unless a gate of it is full: that refusal stands.
/// - Out of entries: nothing fails. Tallies grow coarser, so that more comes back later (never early), sets take no new member, and
///   of points and correspondents the oldest make room.
///
/// Signals of accounts (but for what strangers can set off) have a quarter as many keys and entries of their own beside these, so that
/// a flood of failed logins turns none of them off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys of all sorts together, but for signals.
    pub keys: usize,
    /// Parts of windows and members of sets beyond the first of each key.
    pub entries: usize,
}

impl Default for Limits {
    /// A million keys and four million entries: with those of signals at most 640 MiB, which only an attack fills.
    fn default() -> Self {
        Self {
            keys: 1_000_000,
            entries: 4_000_000,
        }
    }
}

/// What the counters hold, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Keys with sums over a window.
    pub tallies: usize,
    /// Keys with sets of distinct items.
    pub sets: usize,
    /// Keys with locks, past ones included.
    pub locks: usize,
    /// Keys with points, with correspondents, and with what is disowned.
    pub purses: usize,
    /// Entries in use.
    pub entries: usize,
    /// The most keys of all sorts together.
    pub max_keys: usize,
    /// The most entries.
    pub max_entries: usize,
    /// How often since the start a new key found no room.
    pub refused: u64,
}

impl Sizes {
    /// Keys of all sorts together.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.tallies + self.sets + self.locks + self.purses
    }
}

/// Counters in this process.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[Mutex<Shard>]>,
    clock: Clock,
    budgets: Budgets,
    hasher: RandomState,
    next_reclaim: AtomicUsize,
}

impl Memory {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            clock: Clock::default(),
            budgets: Budgets::new(limits),
            hasher: RandomState::new(),
            next_reclaim: AtomicUsize::new(0),
        }
    }

    pub(crate) fn apply(
        &self,
        now: Timestamp,
        ops: &[Op],
    ) -> Result<(Results, Option<Receipt>), Unavailable> {
        let moment = self.clock.read(now);
        if self.budgets.is_out_of_keys() {
            self.reclaim(moment);
        }
        Call::begin(self, moment, ops).run()
    }

    pub(crate) fn give_back(&self, charges: Vec<Charge>) {
        for charge in charges {
            let mut shard = self.lock(shard_of(charge.hash));
            if let Some(tally) = shard.tallies.find_mut(charge.hash, &charge.key)
                && tally.born() == charge.born
            {
                tally.give_back(charge.at, charge.cost);
            }
        }
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        for budget in self.budgets.both() {
            let limits = budget.limits();
            sizes.entries += budget.entries();
            sizes.max_keys += limits.keys;
            sizes.max_entries += limits.entries;
            sizes.refused += budget.refused();
        }
        for at in 0..SHARDS {
            let shard = self.lock(at);
            sizes.tallies += shard.tallies.len();
            sizes.sets += shard.sets.len();
            sizes.locks += shard.locks.len();
            sizes.purses += shard.purses.len() + shard.circles.len() + shard.spans.len();
        }
        sizes
    }

    /// Looks for keys that are over, from where the last search ended, until there is room or enough was done for one call.
    fn reclaim(&self, moment: Moment) {
        let mut looked = 0;
        for _ in 0..SHARDS {
            let next = self.next_reclaim.fetch_add(1, Ordering::Relaxed) % SHARDS;
            looked += self.lock(next).sweep(RECLAIM, moment, &self.budgets);
            if looked >= RECLAIM || !self.budgets.is_out_of_keys() {
                return;
            }
        }
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key.as_bytes())
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // A panic under this lock would be a bug of ours; each value is whole at every step, so counting goes on.
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bits that the tables do not use: they take the low ones for the place and the top seven for the tag.
const fn shard_of(hash: u64) -> usize {
    (hash >> 48) as usize % SHARDS
}
