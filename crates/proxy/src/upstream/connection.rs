//! One connection to a next hop that has been greeted, and what may still be done with it.

use std::sync::Arc;

use sekisho_policy::record::Hop;
use sekisho_runtime::metrics::OpenConnection;
use sekisho_smtp::Capabilities;
use tokio::time::Instant;

use super::deadlines::Deadlines;
use super::endpoint::Busy;
use super::lane::Lane;
use super::slots::Slot;
use super::wire::Wire;
use crate::gateway::Login;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    pub(super) lane: Arc<Lane>,
    /// What the proxy logged in with.
    pub(super) login: Option<Login>,
    /// Where it leads and where it left from.
    pub(super) hop: Hop,
    pub(super) bond: Bond,
    /// A transaction was begun and not ended: RSET comes before the next.
    pub(super) unfinished: bool,
    /// Messages that were begun on it.
    pub(super) messages: u32,
    pub(super) opened: Instant,
    pub(super) used: Instant,
    /// Held while it is in use.
    pub(super) slot: Option<Slot>,
    pub(super) busy: Option<Busy>,
    pub(super) _open: OpenConnection,
}

/// Whom a connection serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    /// One after the other.
    Anyone,
    /// One client session: it began with a PROXY header, or carried a login.
    OneCaller,
    /// One message of a pool, in which it began with a PROXY header: a client that rests would hold one of the pool's
    /// connections.
    OneMessage,
}

impl Connection {
    /// Whether another message may be sent over it: it is young, has messages left, and the peer has kept silent. One that serves a
    /// session alone may be as old as that: no other would do.
    pub(super) fn is_fit(
        &mut self,
        most_messages: u32,
        deadlines: &Deadlines,
        now: Instant,
    ) -> bool {
        let offered = self.capabilities.limits.mail.unwrap_or(u32::MAX);
        self.messages < most_messages.min(offered)
            && (self.bond == Bond::OneCaller
                || now < self.opened + deadlines.age && now < self.used + deadlines.idle)
            && self.wire.check_silence().is_ok()
    }
}
