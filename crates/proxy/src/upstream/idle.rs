//! Connections that wait for their next message. Those that wait too long are closed with a QUIT.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::lane::Lane;

/// The idle connections of one pool, the one used last at the end.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    connections: Vec<Connection>,
    /// A task runs that closes what waits too long.
    swept: bool,
}

impl Idle {
    /// The warmest connection of `lane`.
    pub(super) fn take(&self, lane: &Arc<Lane>) -> Option<Connection> {
        let connections = &mut self.state().connections;
        let at = connections
            .iter()
            .rposition(|connection| Arc::ptr_eq(&connection.lane, lane))?;
        Some(connections.remove(at))
    }

    /// Keeps a connection until it has been idle for `keep`; of more than `most`, the coldest goes.
    pub(super) fn put(self: &Arc<Self>, mut connection: Connection, most: usize, keep: Duration) {
        connection.used = Instant::now();
        let (surplus, swept) = {
            let mut state = self.state();
            state.connections.push(connection);
            let surplus = state.connections.len().saturating_sub(most);
            (
                state.connections.drain(..surplus).collect::<Vec<_>>(),
                std::mem::replace(&mut state.swept, true),
            )
        };
        close(surplus);
        if !swept {
            tokio::spawn(sweep(Arc::downgrade(self), keep));
        }
    }

    /// Closes the coldest until `fits` says that so many may stay.
    pub(super) fn make_room(&self, fits: impl Fn(usize) -> bool) {
        let mut closed = Vec::new();
        {
            let connections = &mut self.state().connections;
            while !connections.is_empty() && !fits(connections.len()) {
                closed.push(connections.remove(0));
            }
        }
        close(closed);
    }

    /// Closes those whose lane `keeps` does not want any more.
    pub(super) fn retain(&self, keeps: impl Fn(&Arc<Lane>) -> bool) {
        let closed = self
            .state()
            .connections
            .extract_if(.., |c| !keeps(&c.lane))
            .collect();
        close(closed);
    }

    /// Closes what has been idle for `keep` at `now`; returns when the next one is due, or ends the sweeping.
    fn expire(&self, keep: Duration, now: Instant) -> Option<Instant> {
        let (closed, next) = {
            let mut state = self.state();
            let expired = state
                .connections
                .iter()
                .take_while(|c| c.used + keep <= now)
                .count();
            let closed = state.connections.drain(..expired).collect::<Vec<_>>();
            let next = state.connections.first().map(|c| c.used + keep);
            state.swept = next.is_some();
            (closed, next)
        };
        close(closed);
        next
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while there are idle connections.
async fn sweep(idle: Weak<Idle>, keep: Duration) {
    let mut due = Instant::now() + keep;
    loop {
        tokio::time::sleep_until(due).await;
        let Some(idle) = idle.upgrade() else { return };
        match idle.expire(keep, Instant::now()) {
            Some(next) => due = next,
            None => return,
        }
    }
}

fn close(connections: Vec<Connection>) {
    for connection in connections {
        connection.wire.say_goodbye();
    }
}
