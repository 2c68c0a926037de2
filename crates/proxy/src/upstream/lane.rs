//! One way to a next hop: an endpoint, seen from one source address, under one name.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sekisho_policy::snapshot::{ClientIdentity as Passing, HostPort, UpstreamTls};
use sekisho_smtp::command::ClientName;
use tokio::time::Instant;

use super::health::{Health, REFUSED, UNREACHABLE};

/// How long an endpoint whose TLS does not work is used without it, where TLS is opportunistic.
const PLAIN_FOR: Duration = Duration::from_secs(300);

/// What tells lanes apart. A connection is only ever used again on the lane that it was made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) address: HostPort,
    pub(super) tls: UpstreamTls,
    pub(super) source: Option<IpAddr>,
    pub(super) helo: ClientName,
    pub(super) passing: Passing,
}

/// One lane. It outlives the snapshot that named it if the next one names it too.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// Whether the endpoint can be reached; shared by all lanes to it.
    endpoint: Arc<Health>,
    /// Whether it serves this source address.
    address: Health,
    plain_until: Mutex<Option<Instant>>,
}

/// Whose fault it was that no connection came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The endpoint cannot be reached, from wherever.
    Endpoint,
    /// It does not serve this address, or this machine does not have it.
    Address,
    /// Neither: time ran out, or the configuration is wrong.
    Nobody,
}

impl Lane {
    pub(super) fn new(key: LaneKey, endpoint: Arc<Health>) -> Self {
        Self {
            key,
            endpoint,
            address: Health::new(REFUSED),
            plain_until: Mutex::default(),
        }
    }

    pub(super) fn new_endpoint() -> Health {
        Health::new(UNREACHABLE)
    }

    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.endpoint.is_good(now) && self.address.is_good(now)
    }

    /// Sorts the healthy first, then by the end of the pause.
    pub(super) fn good_at(&self, now: Instant) -> Option<Instant> {
        self.endpoint
            .good_at()
            .max(self.address.good_at())
            .filter(|at| *at > now)
    }

    pub(super) fn failed(&self, blame: Blame, started: Instant) {
        let now = Instant::now();
        match blame {
            Blame::Endpoint => self.endpoint.failed(started, now),
            Blame::Address => self.address.failed(started, now),
            Blame::Nobody => {}
        }
    }

    pub(super) fn succeeded(&self) {
        self.endpoint.succeeded();
        self.address.succeeded();
    }

    /// TLS did not work here: for a while, opportunistic connections do without (RFC 7435).
    pub(super) fn avoid_tls(&self) {
        *self
            .plain_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PLAIN_FOR);
    }

    /// Whether STARTTLS is to be tried, if it is offered.
    pub(super) fn wants_tls(&self) -> bool {
        match self.key.tls {
            UpstreamTls::Off => false,
            UpstreamTls::Required => true,
            UpstreamTls::Opportunistic => {
                let plain_until = *self
                    .plain_until
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                plain_until.is_none_or(|until| until <= Instant::now())
            }
        }
    }
}
