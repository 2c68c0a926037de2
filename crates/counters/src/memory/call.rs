//! One call: all its shards locked, gates judged together, then everything else in order.

use std::sync::MutexGuard;

use sekisho_policy::op::Cause;
use sekisho_policy::{Key, Op, Outcome, Results, Unavailable};
use smallvec::SmallVec;

use super::charge::Charge;
use super::clock::Moment;
use super::shard::{Place, Shard};
use super::{Memory, shard_of};
use crate::{Receipt, key_of, mark_of};

/// Calls are small: a few rules with a few limits each.
const USUAL: usize = 8;

pub(super) struct Call<'a> {
    memory: &'a Memory,
    moment: Moment,
    ops: &'a [Op],
    hashes: SmallVec<[u64; USUAL]>,
    /// One bit for each shard that is locked; the guards are in the order of the bits.
    locked: u64,
    guards: SmallVec<[MutexGuard<'a, Shard>; USUAL]>,
    charges: Vec<Charge>,
    /// Additions that found no room for a new key.
    homeless: usize,
}

impl<'a> Call<'a> {
    pub(super) fn begin(memory: &'a Memory, moment: Moment, ops: &'a [Op]) -> Self {
        let hashes: SmallVec<[u64; USUAL]> = ops.iter().map(|op| memory.hash(key_of(op))).collect();
        let marks = ops.iter().filter_map(mark_of).map(|key| memory.hash(key));
        let all = hashes.iter().copied().chain(marks);
        let locked = all.fold(0u64, |bits, hash| bits | 1 << shard_of(hash));
        let guards = (0..u64::BITS as usize)
            .filter(|&at| locked >> at & 1 == 1)
            .map(|at| memory.lock(at))
            .collect();
        Self {
            memory,
            moment,
            ops,
            hashes,
            locked,
            guards,
            charges: Vec::new(),
            homeless: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<(Results, Option<Receipt>), Unavailable> {
        let mut results = Results(self.ops.iter().map(|_| Outcome::Done).collect());
        self.judge_gates(&mut results.0);
        let passed = results.all_passed();
        if passed {
            self.charge_gates();
        }
        for (at, outcome) in results.0.iter_mut().enumerate() {
            if let Some(answer) = self.carry_out(at) {
                *outcome = answer;
            }
        }
        // A gate that is full refuses, whatever else could not be counted: running out of keys frees nobody.
        if passed && self.homeless > 0 {
            return Err(self.out_of_keys());
        }
        Ok((results, Receipt::of_memory(self.charges)))
    }

    fn judge_gates(&self, outcomes: &mut [Outcome]) {
        for (at, op) in self.ops.iter().enumerate() {
            let &Op::Gate {
                ref key,
                cost,
                limit,
                window,
            } = op
            else {
                continue;
            };
            let tally = self.shard(at).tallies.find(self.hashes[at], key);
            let held = tally.map_or(0, |tally| tally.sum(self.moment, window.0));
            let pending = self.pending_before(at, key, outcomes);
            let total = held.saturating_add(pending);
            outcomes[at] = match total.checked_add(cost) {
                Some(sum) if sum <= limit => Outcome::Passed { total: sum },
                _ => {
                    let room = limit
                        .checked_sub(cost)
                        .and_then(|room| room.checked_sub(pending));
                    let retry_at = room.and_then(|room| {
                        tally?.relief(self.moment, window.0, held.saturating_sub(room))
                    });
                    Outcome::Full { total, retry_at }
                }
            };
        }
    }

    /// What gates before this one will add to the same key if all pass.
    fn pending_before(&self, at: usize, key: &Key, outcomes: &[Outcome]) -> u64 {
        let earlier = self.ops[..at].iter().zip(&self.hashes).zip(outcomes);
        earlier.fold(0, |sum, ((op, &hash), outcome)| match op {
            Op::Gate {
                key: other, cost, ..
            } if hash == self.hashes[at]
                && other == key
                && matches!(outcome, Outcome::Passed { .. }) =>
            {
                sum.saturating_add(*cost)
            }
            _ => sum,
        })
    }

    fn charge_gates(&mut self) {
        for (at, op) in self.ops.iter().enumerate() {
            if let Op::Gate { cost, window, .. } = op {
                self.charge(at, *cost, window.0);
            }
        }
    }

    /// Carries out an operation that is no gate.
    fn carry_out(&mut self, at: usize) -> Option<Outcome> {
        let (moment, budgets, place) = (self.moment, &self.memory.budgets, self.place(at));
        Some(match self.ops[at] {
            Op::Gate { .. } => return None,
            Op::Meter { cost, window, .. } => {
                self.charge(at, cost, window.0);
                Outcome::Total(self.sum(at, window.0))
            }
            Op::Read { window, .. } => Outcome::Total(self.sum(at, window.0)),
            Op::Distinct { item, window, .. } => {
                match self.shard_mut(at).set(place, moment, budgets) {
                    Some(set) => {
                        set.see(moment, window.0, item, budgets.of(place.key));
                        Outcome::Total(set.count(moment, window.0))
                    }
                    None => self.no_room(Outcome::Total(0)),
                }
            }
            Op::Admit {
                item, most, window, ..
            } => match self.shard_mut(at).set(place, moment, budgets) {
                Some(set) => {
                    Outcome::Total(set.admit(moment, window.0, item, most, budgets.of(place.key)))
                }
                None => self.no_room(Outcome::Total(0)),
            },
            Op::Forget { item, .. } => {
                if let Some(set) = self.shard_mut(at).sets.find_mut(place.hash, place.key) {
                    set.remove(item, budgets.of(place.key));
                }
                Outcome::Done
            }
            Op::Count { window, .. } => {
                let set = self.shard(at).sets.find(place.hash, place.key);
                Outcome::Total(set.map_or(0, |set| set.count(moment, window.0)))
            }
            Op::Lock {
                base, growth, max, ..
            } => match self.shard_mut(at).lock(place, moment, budgets) {
                Some(lock) => Outcome::Until(lock.lock(moment, base.0, growth, max.0)),
                None => self.no_room(Outcome::Until(None)),
            },
            Op::Locked { .. } => {
                let lock = self.shard(at).locks.find(place.hash, place.key);
                Outcome::Until(lock.and_then(|lock| lock.until(moment)))
            }
            Op::Award {
                signal,
                points,
                hold,
                keep,
                ..
            } => match self.shard_mut(at).purse(place, moment, budgets) {
                Some(purse) => {
                    let spans = (hold.0, keep.0);
                    let awards =
                        purse.award(moment, (signal, points), spans, budgets.of(place.key));
                    Outcome::Awards(Box::new(awards))
                }
                None => self.no_room(Outcome::Awards(Box::default())),
            },
            Op::Points { keep, .. } => {
                let purse = self.shard(at).purses.find(place.hash, place.key);
                let left = purse.map(|purse| purse.left(moment, keep.0));
                Outcome::Awards(Box::new(left.unwrap_or_default()))
            }
            Op::Correspond {
                ref items,
                window,
                learn,
                keep,
                ..
            } => match self.shard_mut(at).circle(place, moment, budgets) {
                Some(circle) => {
                    let spans = (window.0, learn.0, keep.0);
                    Outcome::Total(circle.write(moment, items, spans, budgets.of(place.key)))
                }
                None => self.no_room(Outcome::Total(0)),
            },
            Op::Forgive { before, .. } => {
                let shard = self.shard_mut(at);
                shard.forgive(place, moment, before.0, budgets);
                Outcome::Done
            }
            Op::Disown { span, keep, .. } => {
                match self.shard_mut(at).spans(place, moment, budgets) {
                    Some(spans) => {
                        spans.disown(moment, span, keep.0, budgets.of(place.key));
                        Outcome::Done
                    }
                    None => self.no_room(Outcome::Done),
                }
            }
            Op::Heed { ref mark, .. } => {
                self.heed(place, mark);
                Outcome::Done
            }
            Op::Clear { .. } => {
                self.shard_mut(at).clear(place, budgets);
                Outcome::Done
            }
        })
    }

    fn charge(&mut self, at: usize, cost: u64, window: u64) {
        if cost == 0 {
            return;
        }
        let (moment, budgets, place) = (self.moment, &self.memory.budgets, self.place(at));
        match self.shard_mut(at).tally(place, moment, budgets) {
            Some(tally) => {
                let added_at = tally.add(moment, window, cost, budgets.of(place.key));
                let born = tally.born();
                self.charges.push(Charge {
                    key: place.key.clone(),
                    hash: place.hash,
                    born,
                    at: added_at,
                    cost,
                });
            }
            None => self.homeless += 1,
        }
    }

    fn heed(&mut self, place: Place<'_>, mark: &Key) {
        let hash = self.memory.hash(mark);
        let spans = self.guards[self.guard_of(hash)].spans.find(hash, mark);
        // Accounts that somebody released are few.
        let Some(disowned) = spans.map(|spans| spans.list().to_vec()) else {
            return;
        };
        let guard = self.guard_of(place.hash);
        if let Some(set) = self.guards[guard].sets.find_mut(place.hash, place.key) {
            set.heed(&disowned, self.memory.budgets.of(place.key));
        }
    }

    fn sum(&self, at: usize, window: u64) -> u64 {
        let place = self.place(at);
        self.shard(at)
            .tallies
            .find(place.hash, place.key)
            .map_or(0, |tally| tally.sum(self.moment, window))
    }

    fn no_room(&mut self, answer: Outcome) -> Outcome {
        self.homeless += 1;
        answer
    }

    fn place(&self, at: usize) -> Place<'a> {
        Place {
            key: key_of(&self.ops[at]),
            hash: self.hashes[at],
        }
    }

    fn shard(&self, at: usize) -> &Shard {
        &self.guards[self.guard_of(self.hashes[at])]
    }

    fn shard_mut(&mut self, at: usize) -> &mut Shard {
        let guard = self.guard_of(self.hashes[at]);
        &mut self.guards[guard]
    }

    /// The guards stand in the order of the bits, so a guard's place is the number of bits below its own.
    fn guard_of(&self, hash: u64) -> usize {
        let below = (1u64 << shard_of(hash)) - 1;
        (self.locked & below).count_ones() as usize
    }

    /// How many keys there may be of the kind that found no room.
    fn bound(&self) -> usize {
        let budgets = self.ops.iter().map(|op| self.memory.budgets.of(key_of(op)));
        let full = budgets.filter(|budget| budget.is_out_of_keys());
        full.map(|budget| budget.limits().keys).next().unwrap_or(0)
    }

    fn out_of_keys(&self) -> Unavailable {
        Unavailable {
            dependency: "counters (memory)".to_owned(),
            why: format!(
                "all {} keys are in use and {} new ones found no room; known keys are still counted. Raise the bound on \
                 counter keys, or use fewer keys and shorter windows",
                self.bound(),
                self.homeless
            ),
            cause: Cause::Full,
            alone: None,
        }
    }
}
