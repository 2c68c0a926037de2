//! Which way a message takes: the member by policy, the endpoint by weight and load, and none that is unwell.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::route;
use tokio::time::Instant;

use super::balance::{self, Candidate};
use super::failure::{Failure, Fault};
use super::group::{Exit, Group, Wish};
use super::hops::Environment;
use super::lane::{Blame, Lane};
use super::outlier::{Leave, Outcome, Standing};
use super::probe::probe;
use crate::luck::luck;

/// An endpoint that takes so long has failed, even if it was the message whose time was over.
const PATIENCE: Duration = Duration::from_secs(10);

/// An exit of a group, and a lane of the exit.
pub(super) type Way = (usize, usize);

impl Group {
    /// The next way to try. A pool's unhealthy members are never tried; the gateway's endpoints are, after the others.
    pub(super) fn next(
        &self,
        environment: &Arc<Environment>,
        wish: &Wish,
        tried: &[Way],
    ) -> Option<Way> {
        if self.pool.is_none() && self.endpoints.len() == 1 {
            return tried.is_empty().then_some((0, 0));
        }
        let now = Instant::now();
        self.probe_the_due(environment, now);
        let seed = balance::mix(wish.seed ^ tried.len() as u64);
        let credentials = &*environment.credentials;
        let is_good = |lane: &Lane| lane.is_good(now, credentials);
        let Some((_, pool)) = &self.pool else {
            let exit = &self.exits[0];
            return lane_of(0, exit, tried, seed, is_good)
                .or_else(|| next_best(exit, tried, now))
                .map(|lane| (0, lane));
        };
        let is_open = |at: usize| {
            let exit = self.exits.get(at);
            exit.is_some_and(|exit| {
                let mut lanes = exit.lanes.iter().enumerate();
                lanes.any(|(lane, way)| !tried.contains(&(at, lane)) && is_good(way))
            })
        };
        let account = wish.account.as_ref();
        let domain = wish.recipient_domain.as_deref();
        let exit = route::choose(pool, wish.seed, account, domain, is_open)?;
        let lane = lane_of(exit, &self.exits[exit], tried, seed, is_good)?;
        Some((exit, lane))
    }

    /// Remembers how an attempt to connect ended. `blame` says whose fault it was that it failed.
    pub(super) fn note(&self, lane: &Lane, outcome: Outcome, now: Instant) {
        let out = self.endpoints.iter();
        let out = out.filter(|endpoint| endpoint.outlier.standing(now) != Standing::In);
        let leave = if (out.count() + 1) * 2 <= self.endpoints.len() {
            Leave::Granted
        } else {
            Leave::Denied
        };
        if lane.endpoint.outlier.note(outcome, now, leave, luck()) {
            self.metrics.ejected();
            tracing::warn!(hop = %lane.key.address, "most connections to an endpoint fail; it is taken out until a probe is served");
        }
    }

    /// Asks endpoints that were taken out, and whose pause is over, whether they serve.
    fn probe_the_due(&self, environment: &Arc<Environment>, now: Instant) {
        if self.endpoints.len() < 2 {
            return;
        }
        for lane in self.exits.iter().flat_map(|exit| &exit.lanes) {
            if lane.endpoint.outlier.claim_probe(now) {
                let environment = Arc::clone(environment);
                tokio::spawn(probe(environment, self.metrics.clone(), Arc::clone(lane)));
            }
        }
    }
}

/// Whether a failure says something of the endpoint: nobody answered, nobody greeted, or it said that it cannot now. Nothing
/// of it is of a message's author.
pub(super) fn is_of_endpoint(failure: &Failure, blame: Blame, took: Duration) -> bool {
    if blame == Blame::Client {
        return false;
    }
    match failure.cause() {
        Fault::Unwilling(reply) => failure.is_early() && reply.is_transient(),
        Fault::Timeout | Fault::Closed | Fault::Broken(_) => true,
        Fault::Deadline => failure.is_early() && took >= PATIENCE,
        Fault::Resolve(_) | Fault::Connect(_) => true,
        _ => false,
    }
}

/// Whether somebody could have brought a failure about by asking for many logins at once: the next hop answered the
/// connection, and had no time for it. It shall not rest for that.
pub(super) fn is_of_crowds(failure: &Failure) -> bool {
    match failure.cause() {
        Fault::Unwilling(reply) => reply.is_transient(),
        Fault::Timeout | Fault::Deadline | Fault::Closed | Fault::Broken(_) => {
            !failure.is_of_connecting()
        }
        _ => false,
    }
}

fn lane_of(
    at: usize,
    exit: &Exit,
    tried: &[Way],
    seed: u64,
    is_good: impl Fn(&Lane) -> bool,
) -> Option<usize> {
    if let [only] = &exit.lanes[..] {
        return (!tried.contains(&(at, 0)) && is_good(only)).then_some(0);
    }
    let lanes = exit.lanes.iter().zip(&exit.weights).enumerate();
    let mut candidates: Vec<Candidate> = lanes
        .filter(|(lane, (way, _))| !tried.contains(&(at, *lane)) && is_good(way))
        .map(|(lane, (way, weight))| Candidate {
            at: lane,
            weight: *weight,
            in_flight: way.endpoint.in_flight(),
            latency: way.endpoint.latency(),
        })
        .collect();
    balance::choose(&mut candidates, seed)
}

/// Of endpoints that are all unwell, the one whose pause ends first.
fn next_best(exit: &Exit, tried: &[Way], now: Instant) -> Option<usize> {
    let lanes = exit.lanes.iter().enumerate();
    lanes
        .filter(|(at, _)| !tried.contains(&(0, *at)))
        .min_by_key(|(_, lane)| lane.good_at(now))
        .map(|(at, _)| at)
}
