//! `POST /v1/fleet`: what is connected to the other replicas, as each of them tells it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use tokio::time::Instant;

use super::reports::{MOST_PROXIES, Name, Said};
use super::server::read_body;
use super::sources::Fleet;
use super::wire::{Connected, MAX_PUSH_BYTES, Part, Push};
use crate::problem::Problem;

/// A replica that says nothing for so long is gone, and its proxies are with others.
const SILENT_FOR: Duration = Duration::from_secs(45);
/// Replicas that are listened to at once.
const MOST_REPLICAS: usize = 32;

type Lines = BTreeMap<Name, Said>;

/// The tables of the other replicas, by their names.
#[derive(Debug, Default)]
pub(super) struct Peers(BTreeMap<String, Peer>);

#[derive(Debug)]
struct Peer {
    epoch: u64,
    next: u64,
    heard: Instant,
    lines: Lines,
    /// A table that has not come to its end: until then the one before counts.
    coming: Option<Lines>,
}

/// Why a push was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It does not follow what came before: the replica must begin with a whole table.
    OutOfSequence,
    /// One replica cannot hold so many proxies, or there cannot be so many replicas.
    TooMany,
}

/// `POST /v1/fleet`.
pub(super) async fn hear(
    State(fleet): State<Fleet>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let replica = fleet.admission.replica(request.headers()).await?;
    let body = read_body(request, MAX_PUSH_BYTES).await?;
    let push = Push::read(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    let taken = fleet
        .reports
        .with_peers(|peers| peers.take(replica, push, Instant::now()));
    match taken {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(NotTaken::OutOfSequence) => Err(Problem::new(
            StatusCode::CONFLICT,
            "this does not follow what came before; begin with a whole table",
        )),
        Err(NotTaken::TooMany) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!(
                "a replica has at most {MOST_PROXIES} proxies, and there are at most {MOST_REPLICAS} replicas"
            ),
        )),
    }
}

impl Peers {
    pub(super) fn take(
        &mut self,
        replica: String,
        push: Push,
        now: Instant,
    ) -> Result<(), NotTaken> {
        if !self.0.contains_key(&replica) && self.0.len() >= MOST_REPLICAS {
            return Err(NotTaken::TooMany);
        }
        if push.sequence == 0 {
            let lines = self
                .0
                .remove(&replica)
                .map_or_else(Lines::new, |peer| peer.lines);
            let peer = Peer {
                epoch: push.epoch,
                next: 0,
                heard: now,
                lines,
                coming: Some(Lines::new()),
            };
            self.0.insert(replica.clone(), peer);
        }
        let peer = self.0.get_mut(&replica).ok_or(NotTaken::OutOfSequence)?;
        let taken = peer.take(push, now);
        if taken == Err(NotTaken::TooMany) {
            self.0.remove(&replica);
        }
        taken
    }

    /// Drops the tables of replicas that are heard of no more.
    pub(super) fn forget_silent(&mut self, now: Instant) {
        self.0.retain(|replica, peer| {
            let there = now.duration_since(peer.heard) < SILENT_FOR;
            if !there {
                tracing::warn!(
                    replica,
                    "a replica of the control plane fell silent; its proxies are not counted"
                );
            }
            there
        });
    }

    pub(super) fn connected(&self) -> impl Iterator<Item = (&Name, &Said)> {
        self.0.values().flat_map(|peer| &peer.lines)
    }
}

impl Peer {
    fn take(&mut self, push: Push, now: Instant) -> Result<(), NotTaken> {
        let whole = push.part != Part::Changes;
        if (push.epoch, push.sequence, whole) != (self.epoch, self.next, self.coming.is_some()) {
            return Err(NotTaken::OutOfSequence);
        }
        self.next += 1;
        self.heard = now;
        let lines = self.coming.as_mut().unwrap_or(&mut self.lines);
        for gone in &push.gone {
            lines.remove(&Name::new(&gone.gateway, &gone.proxy));
        }
        for line in push.connected {
            let (name, said) = said(line, now);
            lines.insert(name, said);
        }
        if lines.len() > MOST_PROXIES {
            return Err(NotTaken::TooMany);
        }
        if push.part == Part::TableEnd {
            self.lines = self.coming.take().unwrap_or_default();
        }
        Ok(())
    }
}

fn said(line: Connected, now: Instant) -> (Name, Said) {
    let age = Duration::from_millis(line.age_ms);
    let said = Said {
        report: Arc::new(line.report),
        at: now.checked_sub(age).unwrap_or(now),
    };
    (Name::new(&line.gateway, &line.proxy), said)
}
