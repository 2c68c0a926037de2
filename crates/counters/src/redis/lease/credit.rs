//! The credit of one limit: taken in slices, drawn from, put back, given up.

use std::sync::Arc;

use sekisho_policy::Key;

use super::{Drawn, Moment, Wish};
use crate::memory::RESOLUTION;
use crate::redis::answer::Slice;
use crate::redis::call::Charge;

/// Credit of no limit is older than this many milliseconds when it is spent, nor is there any of a limit whose window is so short
/// that it would have to be younger than the other.
const LONGEST: u64 = 10_000;
const SHORTEST: u64 = 200;
/// The part of what is left that one who asks gets at most: `SHARE` of the script.
const SHARE: u64 = 4;
/// The first slice lasts for so many events, and none is worth a round trip that lasts for fewer than the other.
const FIRST: u64 = 16;
const LEAST: u64 = 4;
/// A slice that is used up sooner is followed by one of twice the size: at most two round trips a second are spent on a limit.
const SOON: u64 = 500;
/// Credit that nobody drew from for so long goes back (sooner where its life is shorter), and the limit is forgotten after the other.
const IDLE: u64 = 1_000;
const FORGET: u64 = 5_000;
/// After an answer without credit none is asked for, in milliseconds: there is little left, or nobody answers.
const PAUSE: u64 = 1_000;

/// What a gate allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) most: u64,
    pub(super) window: u64,
}

impl Limit {
    /// For how many milliseconds credit of it may be spent, if events that cost so much can be lent any.
    pub(super) fn life(self, cost: u64) -> Option<u64> {
        let life = (self.window / RESOLUTION).min(LONGEST);
        let can_be_lent = cost.saturating_mul(LEAST) <= self.most / SHARE;
        (life >= SHORTEST && can_be_lent).then_some(life)
    }
}

/// One limit that is busy.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) key: Key,
    credit: Option<Credit>,
    /// A call asks for credit now.
    is_waiting: bool,
    /// Of the next slice.
    want: u64,
    /// When credit was last drawn or came, and from when on credit is asked for again.
    used: u64,
    rests_until: u64,
}

/// A slice of a limit.
#[derive(Debug)]
struct Credit {
    number: u64,
    limit: Limit,
    slot: u16,
    name: Arc<str>,
    born: u64,
    at: u64,
    left: u64,
    /// The sum over the window without what is left; with it, it was at most the limit.
    total: u64,
    taken: Moment,
    life: u64,
}

/// Why credit is to be given back, if it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Idle,
    Expired,
}

impl Account {
    pub(super) fn new(key: Key, moment: Moment) -> Self {
        Self {
            key,
            credit: None,
            is_waiting: false,
            want: 0,
            used: moment.tick,
            rests_until: 0,
        }
    }

    /// Draws `cost`; the charge and the sum with it.
    pub(super) fn draw(
        &mut self,
        moment: Moment,
        limit: Limit,
        cost: u64,
    ) -> Option<(Charge, u64)> {
        if !self.covers(moment, limit, cost) {
            return None;
        }
        let credit = self.credit.as_mut()?;
        credit.left = credit.left.checked_sub(cost)?;
        credit.total = credit.total.saturating_add(cost);
        self.used = moment.tick;
        let mut charge = credit.charge(cost);
        charge.drawn = Some(Drawn {
            key: self.key.clone(),
            credit: credit.number,
        });
        Some((charge, credit.total))
    }

    pub(super) fn covers(&self, moment: Moment, limit: Limit, cost: u64) -> bool {
        self.credit.as_ref().is_some_and(|credit| {
            credit.left >= cost && credit.limit == limit && credit.is_fresh(moment)
        })
    }

    pub(super) fn put_back(&mut self, number: u64, cost: u64) -> bool {
        let credit = self.credit.as_mut();
        let Some(credit) = credit.filter(|credit| credit.number == number) else {
            return false;
        };
        credit.left = credit.left.saturating_add(cost);
        credit.total = credit.total.saturating_sub(cost);
        true
    }

    /// Whether the server of its credit is asked.
    pub(super) fn is_asked(&self, is_asked: impl Fn(u16) -> bool) -> bool {
        self.credit
            .as_ref()
            .is_none_or(|credit| is_asked(credit.slot))
    }

    /// Gives up what is left, where it can be given back. What is used up is remembered: the next slice goes by it.
    pub(super) fn take_rest(&mut self, is_asked: impl Fn(u16) -> bool) -> Option<Charge> {
        let credit = self.credit.as_mut()?;
        if credit.left == 0 || !is_asked(credit.slot) {
            return None;
        }
        let rest = credit.charge(credit.left);
        credit.left = 0;
        credit.number = 0;
        Some(rest)
    }

    /// Whether credit is to be asked for, and how much: at most and at least.
    pub(super) fn wish(
        &mut self,
        moment: Moment,
        limit: Limit,
        cost: u64,
        life: u64,
    ) -> Option<(u64, u64)> {
        let is_resting = (1..=PAUSE).contains(&self.rests_until.saturating_sub(moment.tick));
        let holds = self.credit.as_ref().is_some_and(|credit| credit.left > 0);
        if self.is_waiting || is_resting || holds {
            return None;
        }
        if let Some(last) = self.credit.take() {
            let lasted = moment.tick.saturating_sub(last.taken.tick);
            self.want = if lasted <= SOON.min(life / 2) {
                self.want.saturating_mul(2)
            } else {
                self.want / 2
            };
        }
        let (first, least) = (cost.saturating_mul(FIRST), cost.saturating_mul(LEAST));
        self.want = self.want.clamp(first.min(limit.most), limit.most);
        self.is_waiting = true;
        Some((self.want, least))
    }

    pub(super) fn receive(&mut self, wish: Wish, slice: Option<Slice>, number: u64) {
        self.is_waiting = false;
        let Some(Slice { charge, total, .. }) = slice else {
            self.rests_until = wish.asked.tick.saturating_add(PAUSE);
            return;
        };
        self.used = self.used.max(wish.asked.tick);
        // Others may have asked for more than there was.
        self.want = self.want.min(charge.cost);
        self.credit = Some(Credit {
            number,
            limit: wish.limit,
            slot: charge.slot,
            name: charge.key,
            born: charge.born,
            at: charge.at,
            left: charge.cost,
            total,
            taken: wish.asked,
            life: wish.terms.life,
        });
    }

    /// Whether what is left is to be given back.
    pub(super) fn fate(&self, moment: Moment) -> Option<Fate> {
        let credit = self.credit.as_ref().filter(|credit| credit.left > 0)?;
        if !credit.is_fresh(moment) {
            return Some(Fate::Expired);
        }
        let idle = moment.tick.saturating_sub(self.used);
        (idle >= IDLE.min(credit.life / 2)).then_some(Fate::Idle)
    }

    /// Whether nothing would be lost with it.
    pub(super) fn is_over(&self, moment: Moment) -> bool {
        let holds = self.credit.as_ref().is_some_and(|credit| credit.left > 0);
        !holds && !self.is_waiting && moment.tick.abs_diff(self.used) >= FORGET
    }
}

impl Credit {
    fn charge(&self, cost: u64) -> Charge {
        Charge {
            slot: self.slot,
            key: self.name.clone(),
            born: self.born,
            at: self.at,
            cost,
            drawn: None,
        }
    }

    /// Whether it may still be spent, with an eighth to spare for clocks that run apart. The caller's clock has a word too: it goes on
    /// while a machine is suspended.
    fn is_fresh(&self, moment: Moment) -> bool {
        let most = self.life - self.life / 8;
        let age = moment.tick.checked_sub(self.taken.tick);
        age.is_some_and(|age| age <= most) && moment.said <= self.taken.said.saturating_add(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_younger_than_a_part_of_its_window_and_not_of_small_limits() {
        for (most, window, cost, life) in [
            (1_000, 0, 1, None),
            (1_000, 12_799, 1, None),
            (1_000, 12_800, 1, Some(200)),
            (1_000, 60_000, 1, Some(937)),
            (1_000, 3_600_000, 1, Some(10_000)),
            (1_000, u64::MAX, 1, Some(10_000)),
            (15, 3_600_000, 1, None),
            (16, 3_600_000, 1, Some(10_000)),
            (u64::MAX, 3_600_000, u64::MAX / 2, None),
        ] {
            let limit = Limit { most, window };
            assert_eq!(limit.life(cost), life, "{cost} of {limit:?}");
        }
    }
}
