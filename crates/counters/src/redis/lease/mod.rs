//! Leases: credit of busy limits that is charged in Redis ahead of its use and spent here, without a round trip.
//!
//! Credit counts as used from the moment it is charged, so no schedule can admit more than the limit. It is spent within its life, a
//! 64th of the window at most, and a tally that lends counts everything so much longer: what was charged at t and spent at t + d
//! is counted until t + life + window, which is past t + d + window. A process that dies takes its credit with it, which
//! counts until it has left the window. Nothing here is ever spent on the word of a clock alone that others can set: life is measured from
//! before the credit was asked for, by the clock that only goes forward and by the caller's.

mod busy;
mod credit;
mod tend;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use sekisho_policy::{Key, Op, Timestamp};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::answer::Slice;
use super::call::{self, Charge, Terms};
use super::setup::{Lending, WhoseClock};
use busy::Busy;
use credit::{Account, Limit};
pub(super) use tend::look_after;

const SHARDS: usize = 16;
/// A process among those that hold leases, as Redis knows it.
const WHO: u64 = 1 << 48;

/// When it is, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Since these leases began.
    tick: u64,
    /// As the caller's clock has it.
    said: u64,
}

/// Which credit something was drawn from.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    key: Key,
    credit: u64,
}

/// What of a call is covered by credit.
#[derive(Debug, Default)]
pub(crate) struct Cover {
    /// For each operation the sum with it, if it is covered; empty if none is.
    pub(super) totals: SmallVec<[Option<u64>; 8]>,
    pub(super) charges: Vec<Charge>,
}

impl Cover {
    pub(super) fn is_whole(&self) -> bool {
        !self.totals.is_empty() && self.totals.iter().all(Option::is_some)
    }
}

/// Credit that a call asks for, by the gate at `op`.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) op: usize,
    pub(super) terms: Terms,
    key: Key,
    limit: Limit,
    asked: Moment,
}

/// What became of leases since the last time that this was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseCounts {
    /// Calls that no round trip was needed for.
    pub covered: u64,
    /// Slices that were charged ahead.
    pub taken: u64,
    /// Slices whose rest was given back because it was idle, or because the limit had to be asked.
    pub returned: u64,
    /// Slices whose rest was too old to be spent, and was given back.
    pub expired: u64,
}

#[derive(Debug)]
pub(super) struct Leases {
    lending: Lending,
    clock: WhoseClock,
    began: Instant,
    who: u64,
    hasher: RandomState,
    shards: [Mutex<HashTable<Account>>; SHARDS],
    busy: Busy,
    next: AtomicU64,
    /// Nothing is lent any more.
    is_over: AtomicBool,
    /// Held while credit is given back that nobody waits for.
    returning: tokio::sync::Mutex<()>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    covered: AtomicU64,
    taken: AtomicU64,
    returned: AtomicU64,
    expired: AtomicU64,
}

/// What a limit that has to be asked has to do with leases.
#[derive(Debug, Default)]
pub(super) struct Approach {
    /// The rest of its credit, which comes back with the question.
    pub(super) rest: Option<Charge>,
    pub(super) wish: Option<Wish>,
}

impl Leases {
    pub(super) fn new(lending: Lending, clock: WhoseClock) -> Self {
        Self {
            lending,
            clock,
            began: Instant::now(),
            who: call::random() % WHO,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
            busy: Busy::default(),
            // A receipt of counters that were replaced by these is none of theirs.
            next: AtomicU64::new(call::random() | 1),
            is_over: AtomicBool::new(false),
            returning: tokio::sync::Mutex::default(),
            counts: Counts::default(),
        }
    }

    pub(super) fn moment(&self, said: Timestamp) -> Moment {
        let tick = match self.clock {
            WhoseClock::Server => {
                u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
            }
            WhoseClock::Caller => said.0,
        };
        Moment { tick, said: said.0 }
    }

    /// Draws what credit covers of a call.
    pub(super) fn cover(&self, moment: Moment, ops: &[Op]) -> Cover {
        let mut cover = Cover::default();
        for at in 0..ops.len() {
            let Some((charge, total)) = self.draw(moment, ops, at) else {
                continue;
            };
            cover.totals.resize(ops.len(), None);
            cover.totals[at] = Some(total);
            cover.charges.push(charge);
        }
        if cover.is_whole() {
            self.counts.covered.fetch_add(1, Ordering::Relaxed);
        }
        cover
    }

    fn draw(&self, moment: Moment, ops: &[Op], at: usize) -> Option<(Charge, u64)> {
        let (key, cost, limit) = gate(&ops[at])?;
        if cost == 0 || !is_alone(ops, at) {
            return None;
        }
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let account = shard.find_mut(hash, |account| account.key == *key)?;
        let drawn = account.draw(moment, limit, cost)?;
        // What needs no round trip is busy as well.
        self.busy.note(hash, moment.tick);
        Some(drawn)
    }

    /// Takes what there is of leases on a limit that is asked now, and says whether more is wished for. `is_asked` says of a slot
    /// whether it is asked at all: credit is not thrown after a server that is away.
    pub(super) fn approach(
        &self,
        moment: Moment,
        ops: &[Op],
        at: usize,
        is_asked: impl Fn(u16) -> bool,
    ) -> Approach {
        let Some(key) = tally_of(&ops[at]) else {
            return Approach::default();
        };
        let hash = self.hash(key);
        let lendable = gate(&ops[at]).filter(|&(_, cost, _)| cost > 0 && is_alone(ops, at));
        let mut shard = self.shard(hash);
        let has_room = shard.len() < self.lending.most.div_ceil(SHARDS);
        let known = shard.find_mut(hash, |account| account.key == *key);
        let terms = lendable.and_then(|(_, cost, limit)| Some((cost, limit, limit.life(cost)?)));
        let Some((cost, limit, life)) = terms else {
            let rest = known.and_then(|account| account.take_rest(&is_asked));
            return self.approached(rest, None);
        };
        let is_busy = self.busy.note(hash, moment.tick) >= self.lending.busy;
        let account = match known {
            Some(account) => account,
            None if is_busy && has_room => {
                let hash_of = |account: &Account| self.hash(&account.key);
                let new = Account::new(key.clone(), moment);
                shard.insert_unique(hash, new, hash_of).into_mut()
            }
            None => return Approach::default(),
        };
        // Credit that came since this call looked for it is for the next.
        if account.covers(moment, limit, cost) {
            return Approach::default();
        }
        let rest = account.take_rest(&is_asked);
        // A slice for each event of what was busy once would cost two round trips in place of one.
        let may_ask =
            is_busy && !self.is_over.load(Ordering::Relaxed) && account.is_asked(&is_asked);
        let wish = may_ask
            .then(|| account.wish(moment, limit, cost, life))
            .flatten();
        let wish = wish.map(|(want, least)| Wish {
            op: at,
            terms: Terms {
                life,
                want,
                least,
                who: self.who,
            },
            key: key.clone(),
            limit,
            asked: moment,
        });
        self.approached(rest, wish)
    }

    fn approached(&self, rest: Option<Charge>, wish: Option<Wish>) -> Approach {
        if rest.is_some() {
            self.counts.returned.fetch_add(1, Ordering::Relaxed);
        }
        Approach { rest, wish }
    }

    /// What was wished for came, or did not. What is no longer wanted is to be given back.
    pub(super) fn receive(&self, wish: Wish, slice: Option<Slice>) -> Option<Charge> {
        if slice.is_some() {
            self.counts.taken.fetch_add(1, Ordering::Relaxed);
        }
        let hash = self.hash(&wish.key);
        let mut shard = self.shard(hash);
        let account = shard.find_mut(hash, |account| account.key == wish.key);
        let (Some(account), false) = (account, self.is_over.load(Ordering::Relaxed)) else {
            return slice.map(|slice| slice.charge);
        };
        let credit = self.next.fetch_add(1, Ordering::Relaxed);
        account.receive(wish, slice, credit);
        None
    }

    /// Puts back what was drawn and not used after all, if its credit is still here.
    pub(super) fn put_back(&self, charge: &Charge) -> bool {
        let Some(drawn) = &charge.drawn else {
            return false;
        };
        let hash = self.hash(&drawn.key);
        let mut shard = self.shard(hash);
        let account = shard.find_mut(hash, |account| account.key == drawn.key);
        account.is_some_and(|account| account.put_back(drawn.credit, charge.cost))
    }

    pub(super) fn take_counts(&self) -> LeaseCounts {
        // Asked at each event: what did not change is not written to.
        let take = |count: &AtomicU64| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed),
        };
        LeaseCounts {
            covered: take(&self.counts.covered),
            taken: take(&self.counts.taken),
            returned: take(&self.counts.returned),
            expired: take(&self.counts.expired),
        }
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one(key.as_bytes())
    }

    /// By bits that neither the tables nor [`Busy`] use.
    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<Account>> {
        lock(&self.shards[(hash >> 48) as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<HashTable<Account>>) -> MutexGuard<'_, HashTable<Account>> {
    // Each account is whole at every step.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key, the cost and the limit of a gate.
fn gate(op: &Op) -> Option<(&Key, u64, Limit)> {
    let &Op::Gate {
        ref key,
        cost,
        limit,
        window,
    } = op
    else {
        return None;
    };
    let limit = Limit {
        most: limit,
        window: window.0,
    };
    Some((key, cost, limit))
}

/// The key, if it is that of a sum over a window.
fn tally_of(op: &Op) -> Option<&Key> {
    match op {
        Op::Gate { key, .. }
        | Op::Meter { key, .. }
        | Op::Read { key, .. }
        | Op::Forgive { key, .. }
        | Op::Clear { key } => Some(key),
        Op::Distinct { .. }
        | Op::Admit { .. }
        | Op::Forget { .. }
        | Op::Count { .. }
        | Op::Lock { .. }
        | Op::Locked { .. }
        | Op::Award { .. }
        | Op::Points { .. }
        | Op::Correspond { .. }
        | Op::Disown { .. }
        | Op::Heed { .. } => None,
    }
}

/// Whether nothing else in the call has to do with the sum: what a call asks twice sees itself, and only Redis can say how.
fn is_alone(ops: &[Op], at: usize) -> bool {
    let own = tally_of(&ops[at]);
    let mut others = ops.iter().enumerate().filter(|&(other, _)| other != at);
    others.all(|(_, op)| tally_of(op) != own)
}
