//! Next hops that nobody has talked to yet are asked what they offer, so that the first client is told the truth too.

use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::snapshot::ClientIdentity as Passing;
use sekisho_smtp::proxy_protocol::{self, ProxyHeader};
use tokio::time::{Instant, timeout_at};

use super::NextHops;
use super::deadlines::Until;
use super::failure::Fault;
use super::group::Group;
use super::handshake::Attempt;
use super::identity::Caller;
use super::lane::Lane;
use super::wire::Wire;

/// How long one next hop may take for it, whatever else is allowed.
const PATIENCE: Duration = Duration::from_secs(10);

impl NextHops {
    /// Asks each of them that is not known, one after the other; how many then still are not.
    ///
    /// What fails here says nothing of a next hop's health: mail may find it well.
    pub(crate) async fn probe(&self, caller: &Caller) -> usize {
        let mut unknown = 0;
        for group in self.groups() {
            for lane in group.lanes().filter(|lane| !lane.seen.is_known()) {
                if let Err(fault) = self.look_at(caller, group, lane).await {
                    tracing::debug!(hop = %lane.key.address, %fault, "what a next hop offers is not known yet");
                    unknown += 1;
                }
            }
        }
        unknown
    }

    async fn look_at(&self, caller: &Caller, group: &Group, lane: &Arc<Lane>) -> Result<(), Fault> {
        let deadline = Instant::now() + PATIENCE;
        let identity = caller.identity();
        let attempt = Attempt {
            environment: self.environment(),
            metrics: &group.metrics,
            lane,
            identity: &identity,
            login: None,
            deadline,
        };
        timeout_at(deadline, attempt.look())
            .await
            .map_err(|_| Fault::Deadline)?
    }
}

impl Attempt<'_> {
    /// EHLO under TLS, as messages have it, and QUIT. A peer that wants a PROXY header is told that this is about nobody.
    async fn look(self) -> Result<(), Fault> {
        let (stream, _) = self.dial().await?;
        let mut wire = Wire::new(stream);
        let until = Until::first(self.environment.deadlines.greeting, self.deadline);
        if self.lane.key.passing == Passing::ProxyV2 {
            proxy_protocol::write_v2(&ProxyHeader::Local, &mut wire.output);
            wire.send(until).await?;
        }
        let greeting = wire.reply(until).await?;
        if greeting.code() != 220 {
            return Err(Fault::Unwilling(greeting));
        }
        let helo = &self.lane.key.helo;
        let mut capabilities = self.hello(&mut wire, helo).await?;
        if self.secure(&mut wire, &capabilities).await? {
            capabilities = self.hello(&mut wire, helo).await?;
        }
        self.lane.seen.note(&capabilities);
        wire.say_goodbye();
        Ok(())
    }
}
