//! Sees to it that credit nobody spends goes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sekisho_policy::Timestamp;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::credit::Fate;
use super::{Leases, Moment, SHARDS, lock};
use crate::redis::call::Charge;
use crate::redis::setup::WhoseClock;
use crate::redis::{Shared, lanes};

/// How often it is looked for.
const EVERY: Duration = Duration::from_millis(250);
/// So much is given back at a time, in one round trip for each slot: others wait for the server meanwhile.
const AT_A_TIME: usize = 64;

/// Looks after leases for as long as somebody counts, unless tests say what time it is.
pub(in crate::redis) fn look_after(shared: &Arc<Shared>, watchers: &mut JoinSet<()>) {
    if shared.leases.is_some() && shared.setup.clock == WhoseClock::Server {
        let shared = shared.clone();
        watchers.spawn(async move {
            loop {
                sleep(EVERY).await;
                // Its own clock alone: the caller's is asked when credit is spent.
                shared.tend(Timestamp(0)).await;
            }
        });
    }
}

impl Shared {
    /// Gives back what is idle or too old, where the server is asked at all.
    pub(in crate::redis) async fn tend(&self, now: Timestamp) {
        let Some(leases) = &self.leases else {
            return;
        };
        let _turn = leases.returning.lock().await;
        let is_asked = |slot: u16| self.is_asked(slot);
        let rests = leases.give_up(leases.moment(now), is_asked);
        self.send_back_in_parts(rests).await;
    }

    /// Gives everything back, and lends nothing more.
    pub(in crate::redis) async fn retire(&self) {
        if let Some(leases) = &self.leases {
            leases.is_over.store(true, Ordering::Relaxed);
            // What is on its way back arrives first: who looks after leases ends with the counters.
            let _turn = leases.returning.lock().await;
            self.send_back_in_parts(leases.give_up_all()).await;
        }
    }

    async fn send_back_in_parts(&self, mut rests: Vec<Charge>) {
        while !rests.is_empty() {
            let part = rests.split_off(rests.len().saturating_sub(AT_A_TIME));
            self.send_back(part).await;
        }
    }

    /// Whether the server of a slot is asked at all.
    pub(in crate::redis) fn is_asked(&self, slot: u16) -> bool {
        let lane = lanes::of(self.setup.topology, slot);
        self.breaker.why_open(lane).is_none()
    }
}

impl Leases {
    fn give_up(&self, moment: Moment, is_asked: impl Fn(u16) -> bool) -> Vec<Charge> {
        let mut rests = Vec::new();
        for at in 0..SHARDS {
            let mut shard = lock(&self.shards[at]);
            for account in shard.iter_mut() {
                let count = match account.fate(moment) {
                    None => continue,
                    Some(Fate::Idle) => &self.counts.returned,
                    Some(Fate::Expired) => &self.counts.expired,
                };
                if let Some(rest) = account.take_rest(&is_asked) {
                    count.fetch_add(1, Ordering::Relaxed);
                    rests.push(rest);
                }
            }
            shard.retain(|account| !account.is_over(moment));
        }
        rests
    }

    fn give_up_all(&self) -> Vec<Charge> {
        let shards = self.shards.iter().flat_map(|shard| {
            let mut shard = lock(shard);
            let rests = shard
                .iter_mut()
                .filter_map(|account| account.take_rest(|_| true));
            let rests: Vec<_> = rests.collect();
            self.counts
                .returned
                .fetch_add(rests.len() as u64, Ordering::Relaxed);
            rests
        });
        shards.collect()
    }
}
