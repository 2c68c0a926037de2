//! Parts of the slots that fail together, and the probes that find out when they answer again.
//!
//! Nobody tells us which server holds which slots, and it may change; neighbours usually lie together. So a dead server of a Cluster
//! costs the events of its own slots, and those of the others go on.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::Timestamp;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Shared;
use super::answer::Answer;
use super::call::{self, Call};
use super::failure::Failure;
use super::names::{SLOTS, slot_of};
use super::setup::Topology;

const LANES: u16 = 16;

/// The first connection is awaited so long: names are looked up, a Cluster is asked what it is made of.
const AT_FIRST: Duration = Duration::from_secs(3);
/// Between two probes, at first and at most; drawn between this and half of it.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);

pub(super) const fn count(topology: Topology) -> usize {
    match topology {
        Topology::Single => 1,
        Topology::Cluster => LANES as usize,
    }
}

/// The lane of a slot.
pub(super) fn of(topology: Topology, slot: u16) -> usize {
    match topology {
        Topology::Single => 0,
        Topology::Cluster => usize::from(slot / (SLOTS / LANES)),
    }
}

/// Looks after each lane for as long as somebody counts.
pub(super) fn watch_over(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut watchers = JoinSet::new();
    for lane in 0..count(shared.setup.topology) {
        let (shared, group) = (shared.clone(), group_in(shared.setup.topology, lane));
        watchers.spawn(async move { watch_lane(&shared, lane, &group).await });
    }
    watchers
}

async fn watch_lane(shared: &Shared, lane: usize, group: &str) {
    // The connection is there before the first client is, and the log says early what is wrong.
    match probe(shared, group, AT_FIRST).await {
        Ok(()) if lane == 0 => warn_of_eviction(shared).await,
        Ok(()) => {}
        Err(failure) => shared.breaker.open(lane, &failure),
    }
    loop {
        shared.breaker.opened(lane).await;
        let mut pause = FIRST;
        while let Err(failure) = probe(shared, group, shared.setup.deadline).await {
            if failure.may_last() {
                shared.link.renew();
            }
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(LAST);
        }
        shared.breaker.close(lane);
    }
}

async fn probe(shared: &Shared, group: &str, deadline: Duration) -> Result<(), Failure> {
    let said = shared.setup.clock.said(Timestamp(0));
    let call = Call::probe(slot_of(group), group, said);
    let numbers = shared.link.run(&call, deadline).await?;
    Answer::read(&call, numbers).map(drop)
}

/// A group whose slot is in `lane`.
fn group_in(topology: Topology, lane: usize) -> String {
    (0..u32::from(SLOTS))
        .map(|number| number.to_string())
        .find(|group| of(topology, slot_of(group)) == lane)
        .unwrap_or_default()
}

fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let part = (call::random() >> 40) as f64 / f64::from(1 << 24);
    half + half.mul_f64(part)
}

/// A server that throws keys away when its memory is full forgets what was counted.
async fn warn_of_eviction(shared: &Shared) {
    let Some(memory) = shared.link.memory(shared.setup.deadline).await else {
        return;
    };
    let value = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let policy = value("maxmemory_policy:");
    if value("maxmemory:") != "0" && !policy.is_empty() && policy != "noeviction" {
        tracing::warn!(
            policy,
            "this Redis throws keys away when its memory is full, and with them what limits have counted: set maxmemory-policy \
             noeviction"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_a_group_of_its_own() {
        for lane in 0..count(Topology::Cluster) {
            let group = group_in(Topology::Cluster, lane);
            assert_eq!(of(Topology::Cluster, slot_of(&group)), lane, "{group}");
        }
        assert_eq!(of(Topology::Cluster, SLOTS - 1), usize::from(LANES) - 1);
    }

    #[test]
    fn pauses_are_spread() {
        let pauses: Vec<_> = (0..100).map(|_| jittered(LAST)).collect();
        assert!(pauses.iter().all(|pause| (LAST / 2..=LAST).contains(pause)));
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*most - *least > LAST / 4, "{least:?} to {most:?}");
    }
}
