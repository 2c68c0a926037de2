//! The client side of `POST /v1/fleet`: tells the lease holder what is connected to this replica.

mod table;

use std::net::SocketAddr;
use std::time::Duration;

use sekisho_runtime::{Metrics, Shutdown};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use self::table::Table;
use super::random;
use super::replicas::{Holder, Line, ReplicaError, Replicas};
use super::reports::Reports;

/// A holder that hears nothing for three times as long drops the table.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes within this time are told at once.
const GATHER: Duration = Duration::from_millis(100);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// After a failure, so long and up to twice as long.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// An answer has a few words at most.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Tells the lease holder.
pub struct Relay {
    pub reports: Reports,
    /// `None` while nobody holds the lease.
    pub holder: watch::Receiver<Option<Holder>>,
    pub replicas: Replicas,
    pub metrics: Metrics,
}

/// Why telling one holder came to its end.
enum End {
    /// The holder closed the connection between two requests, as it does with old ones.
    Closed,
    /// There is another holder, or the process drains.
    Over,
}

impl Relay {
    /// Runs until the process drains.
    pub async fn run(mut self, shutdown: &Shutdown) {
        loop {
            let holder = *self.holder.borrow_and_update();
            let over = match holder {
                Some(Holder::At(address)) => self.tell(address, shutdown).await,
                Some(Holder::Me) | None => tokio::select! {
                    changed = self.holder.changed() => changed.is_err(),
                    () = shutdown.draining() => true,
                },
            };
            if over || shutdown.is_draining() {
                return;
            }
        }
    }

    /// Tells one holder until there is another. Whether there will never be one again.
    async fn tell(&mut self, address: SocketAddr, shutdown: &Shutdown) -> bool {
        let mut holder = self.holder.clone();
        loop {
            let told = tokio::select! {
                told = self.tell_over_one_connection(address) => told,
                changed = holder.changed() => return changed.is_err(),
                () = shutdown.draining() => Ok(End::Over),
            };
            let pause = match told {
                Ok(End::Over) => return true,
                Ok(End::Closed) => Duration::ZERO,
                Err(error) => {
                    self.metrics.fleet_relay_failed();
                    tracing::warn!(%address, %error, "the lease holder cannot be told what is connected here");
                    random::between(RETRY_AFTER, RETRY_AFTER * 2)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                changed = holder.changed() => return changed.is_err(),
                () = shutdown.draining() => return true,
            }
        }
    }

    /// What ends it is not fatal: the next one begins with a whole table.
    async fn tell_over_one_connection(&self, address: SocketAddr) -> Result<End, ReplicaError> {
        let mut line = self.replicas.connect(address).await?;
        let mut changes = self.reports.changes();
        let mut table = Table::new();
        let whole = table.whole(&self.reports.own(), Instant::now())?;
        for push in whole {
            send(&mut line, push).await?;
        }
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                // The sender is in `reports`.
                _ = changes.changed() => sleep(GATHER).await,
                () = sleep(HEARTBEAT.saturating_sub(heard.elapsed())) => {}
            }
            changes.mark_unchanged();
            let mut pushes = table.changes(&self.reports.own(), Instant::now())?;
            if pushes.is_empty() && heard.elapsed() >= HEARTBEAT {
                pushes.push(table.heartbeat()?);
            }
            for push in pushes {
                if line.is_closed() {
                    return Ok(End::Closed);
                }
                send(&mut line, push).await?;
                heard = Instant::now();
            }
        }
    }
}

async fn send(line: &mut Line, push: Vec<u8>) -> Result<(), ReplicaError> {
    let answered = line.post("/v1/fleet", push, ANSWER_WITHIN, LONGEST_ANSWER);
    answered.await.map(drop)
}
