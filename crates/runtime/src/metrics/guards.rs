//! Gauges that go down by themselves: what is counted as open, held or waiting ends with the guard.

use std::sync::Arc;

use prometheus::{Histogram, IntGauge};
use tokio::time::Instant;

use super::gateway::ListenerSeries;
use super::labels::Transport;

/// One SMTP session. Dropping it counts the session by the protection it had in the end.
#[derive(Debug)]
pub struct OpenSession {
    listener: Arc<ListenerSeries>,
    transport: Transport,
}

impl OpenSession {
    pub(super) fn new(listener: Arc<ListenerSeries>, transport: Transport) -> Self {
        listener.open.inc();
        Self {
            listener,
            transport,
        }
    }

    /// The session is protected differently from now on.
    pub fn secured(&mut self, transport: Transport) {
        self.transport = transport;
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.listener.open.dec();
        self.listener.ended.at(self.transport).inc();
    }
}

/// One connection to a next hop.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl OpenConnection {
    pub(super) fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One content engine that is left alone.
#[derive(Debug)]
pub struct SuspendedClassifier(IntGauge);

impl SuspendedClassifier {
    pub(super) fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for SuspendedClassifier {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Bytes of one message, in one place.
#[derive(Debug)]
pub struct Buffered {
    gauge: IntGauge,
    held: u64,
}

impl Buffered {
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { gauge, held: 0 }
    }

    /// So many bytes more are held.
    pub fn add(&mut self, bytes: u64) {
        self.set(self.held.saturating_add(bytes));
    }

    /// So many bytes are held in all.
    pub fn set(&mut self, bytes: u64) {
        self.gauge.add(signed(bytes) - signed(self.held));
        self.held = bytes;
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.gauge.sub(signed(self.held));
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// One password check that waits for its place in the hashing pool.
#[derive(Debug)]
pub struct Waiting {
    waiting: IntGauge,
    wait: Histogram,
    duration: Histogram,
    since: Instant,
}

impl Waiting {
    pub(super) fn new(waiting: IntGauge, wait: Histogram, duration: Histogram) -> Self {
        waiting.inc();
        Self {
            waiting,
            wait,
            duration,
            since: Instant::now(),
        }
    }

    /// The place is there: the wait ends and hashing begins. Drop the timer that is returned when it is done.
    pub fn admitted(self) -> Hashing {
        self.wait.observe(self.since.elapsed().as_secs_f64());
        Hashing {
            duration: self.duration.clone(),
            since: Instant::now(),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiting.dec();
    }
}

/// One password being hashed.
#[derive(Debug)]
pub struct Hashing {
    duration: Histogram,
    since: Instant,
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.duration.observe(self.since.elapsed().as_secs_f64());
    }
}
