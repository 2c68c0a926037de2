//! From an address to a connection that may take mail: TCP, PROXY header, greeting, EHLO, TLS, XCLIENT,
//! the proxy's own login.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use sekisho_policy::record::Hop;
use sekisho_policy::snapshot::{ClientIdentity as Passing, UpstreamTls};
use sekisho_runtime::metrics::{OpenConnection, PoolMetrics, UpstreamPhase};
use sekisho_smtp::command::ClientName;
use sekisho_smtp::{Capabilities, Command, Reply};
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Environment;
use super::connection::{Bond, Connection};
use super::deadlines::Until;
use super::failure::{Failure, Fault};
use super::identity::ClientIdentity;
use super::lane::{Blame, Lane};
use super::wire::Wire;
use crate::gateway::Login;

/// What one attempt needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'a> {
    pub(super) environment: &'a Environment,
    pub(super) metrics: &'a PoolMetrics,
    pub(super) lane: &'a Arc<Lane>,
    /// Whom we speak for; a probe speaks for nobody.
    pub(super) identity: Option<&'a ClientIdentity>,
    /// What the proxy logs in with.
    pub(super) login: Option<&'a Login>,
    pub(super) deadline: Instant,
    /// Which of several addresses of the host is tried first.
    pub(super) seed: u64,
}

/// How far an attempt has come.
struct Progress {
    phase: UpstreamPhase,
    hop: Hop,
    /// The address that it was connected to.
    peer: Option<IpAddr>,
    /// The next hop has heard of the client: what it says may be of him.
    introduced: bool,
}

impl Attempt<'_> {
    /// Makes a connection. `hop` names pool and member; where it leads is filled in.
    ///
    /// # Errors
    /// The failure, and whose fault it was.
    pub(super) async fn connect(self, hop: Hop) -> Result<Connection, (Failure, Blame)> {
        self.lane.tried();
        let mut progress = Progress {
            phase: UpstreamPhase::Connect,
            hop,
            peer: None,
            introduced: false,
        };
        progress.hop.address = self.lane.key.address.to_string();
        progress.hop.from = self.lane.key.source;
        let tls = match self.lane.tls(self.environment) {
            Ok(tls) => tls,
            Err(fault) => {
                let failure = Failure::at(progress.hop, UpstreamPhase::Tls, fault);
                return Err((failure, Blame::Credentials));
            }
        };
        let mut result = self.run(&mut progress, &tls).await;
        if let Err(fault) = &result
            && self.lane.key.tls == UpstreamTls::Opportunistic
            && progress.phase == UpstreamPhase::Tls
            && matches!(
                fault,
                Fault::Tls(_) | Fault::Closed | Fault::Broken(_) | Fault::Timeout
            )
        {
            tracing::warn!(hop = %self.lane.key.address, %fault, "opportunistic TLS failed, going on without it");
            self.lane.avoid_tls();
            result = self.run(&mut progress, &tls).await;
        }
        result.map_err(|fault| {
            let mut blame = blame(progress.phase, &fault);
            if progress.introduced && may_be_of_client(&fault) {
                blame = Blame::Client;
            } else if let Some(peer) = progress.peer {
                self.lane.endpoint.avoid(peer, Instant::now());
            }
            (Failure::at(progress.hop, progress.phase, fault), blame)
        })
    }

    async fn run(
        self,
        progress: &mut Progress,
        tls: &Arc<ClientConfig>,
    ) -> Result<Connection, Fault> {
        progress.introduced = false;
        let (mut wire, open) = self.reach(progress, tls).await?;
        let helo = &self.lane.key.helo;
        let mut capabilities = self
            .timed(progress, UpstreamPhase::Ehlo, self.hello(&mut wire, helo))
            .await?;
        progress.phase = UpstreamPhase::Tls;
        if self.start_tls(&mut wire, &capabilities, tls).await? {
            capabilities = self
                .timed(progress, UpstreamPhase::Ehlo, self.hello(&mut wire, helo))
                .await?;
        }
        // What it offers to one client, once it is told of it, must not become what all are offered.
        self.lane.seen.note(&capabilities);
        if self.lane.key.passing == Passing::Xclient {
            progress.phase = UpstreamPhase::Ehlo;
            progress.introduced = true;
            capabilities = self.introduce(&mut wire, &capabilities).await?;
        }
        if let Some(login) = self.login {
            let logging_in = self.log_in(&mut wire, &capabilities, login);
            let logged_in = self.timed(progress, UpstreamPhase::Auth, logging_in).await;
            if let Err(Fault::LoginRefused(_)) = &logged_in {
                self.lane.refused_login(&*self.environment.credentials);
            }
            logged_in?;
        }
        let now = Instant::now();
        Ok(Connection {
            wire,
            capabilities,
            lane: Arc::clone(self.lane),
            login: self.login.cloned(),
            hop: progress.hop.clone(),
            bond: match (self.lane.key.passing, &progress.hop.pool) {
                (Passing::ProxyV2, None) => Bond::OneCaller,
                (Passing::ProxyV2, Some(_)) => Bond::OneMessage,
                _ => Bond::Anyone,
            },
            unfinished: false,
            messages: 0,
            opened: now,
            used: now,
            slot: None,
            busy: None,
            _open: open,
        })
    }

    /// Connects and is greeted, under TLS where that comes first.
    async fn reach(
        self,
        progress: &mut Progress,
        tls: &Arc<ClientConfig>,
    ) -> Result<(Wire, OpenConnection), Fault> {
        progress.phase = UpstreamPhase::Connect;
        let (stream, peer) = self
            .timed(progress, UpstreamPhase::Connect, self.dial())
            .await?;
        progress.peer = Some(peer.ip());
        progress.hop.from = stream.local_ip();
        if self.lane.key.address.host.parse::<IpAddr>().is_err() {
            progress.hop.address = format!("{} [{}]", self.lane.key.address, peer.ip());
        }
        let mut wire = Wire::new(stream);
        let open = self.metrics.open_connection();
        if self.lane.key.passing == Passing::ProxyV2 {
            progress.phase = UpstreamPhase::Greeting;
            progress.introduced = self.identity.is_some();
            wire.output.extend(self.proxy_header());
            let until = Until::first(self.environment.deadlines.greeting, self.deadline);
            wire.send(until).await?;
        }
        if self.lane.key.tls == UpstreamTls::Implicit {
            self.timed(progress, UpstreamPhase::Tls, self.secure(&mut wire, tls))
                .await?;
        }
        self.timed(progress, UpstreamPhase::Greeting, self.greet(&mut wire))
            .await?;
        Ok((wire, open))
    }

    async fn timed<T>(
        self,
        progress: &mut Progress,
        phase: UpstreamPhase,
        step: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        progress.phase = phase;
        let started = Instant::now();
        let done = step.await?;
        self.metrics.phase(phase, started.elapsed());
        Ok(done)
    }

    /// The greeting. Anything but 220 means that this address is not served.
    async fn greet(self, wire: &mut Wire) -> Result<(), Fault> {
        let until = Until::first(self.environment.deadlines.greeting, self.deadline);
        let reply = wire.reply(until).await?;
        if reply.code() == 220 {
            Ok(())
        } else {
            Err(Fault::Unwilling(reply))
        }
    }

    /// EHLO, and HELO where that is not known.
    pub(super) async fn hello(
        self,
        wire: &mut Wire,
        name: &ClientName,
    ) -> Result<Capabilities, Fault> {
        wire.check_silence()?;
        let reply = wire
            .ask(&line(&Command::Ehlo(name.clone()))?, self.until())
            .await?;
        if reply.code() == 250 {
            return Ok(Capabilities::parse(&reply));
        }
        if !reply.is_permanent() {
            return Err(Fault::Unwilling(reply));
        }
        let reply = wire
            .ask(&line(&Command::Helo(name.clone()))?, self.until())
            .await?;
        if reply.code() == 250 {
            Ok(Capabilities::default())
        } else {
            Err(Fault::Unwilling(reply))
        }
    }

    /// STARTTLS as the lane asks for it; whether TLS is on now.
    async fn start_tls(
        self,
        wire: &mut Wire,
        capabilities: &Capabilities,
        tls: &Arc<ClientConfig>,
    ) -> Result<bool, Fault> {
        let required = self.lane.key.tls == UpstreamTls::Required;
        if !self.lane.wants_starttls() {
            return Ok(false);
        }
        if !capabilities.starttls {
            return if required {
                Err(Fault::TlsNotOffered)
            } else {
                Ok(false)
            };
        }
        let started = Instant::now();
        wire.check_silence()?;
        let reply = wire.ask(&line(&Command::StartTls)?, self.until()).await?;
        match reply.code() {
            220 => {}
            421 => return Err(Fault::Unwilling(reply)),
            400..=599 if !required => return Ok(false),
            _ => return Err(Fault::Unwilling(reply)),
        }
        self.secure(wire, tls).await?;
        self.metrics.phase(UpstreamPhase::Tls, started.elapsed());
        Ok(true)
    }

    /// The TLS handshake, in which the next hop proves the name that it must have.
    async fn secure(self, wire: &mut Wire, tls: &Arc<ClientConfig>) -> Result<(), Fault> {
        let key = &self.lane.key;
        let name = key.trust.server_name.as_ref().unwrap_or(&key.address.host);
        let name = ServerName::try_from(name.clone())
            .map_err(|error| Fault::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        wire.secure(Arc::clone(tls), name, self.until()).await
    }

    pub(super) fn until(self) -> Until {
        Until::first(self.environment.deadlines.hello, self.deadline)
    }
}

impl Attempt<'_> {
    /// EHLO under TLS, as messages have it, and QUIT: in nobody's name.
    pub(super) async fn look(self) -> Result<(), Fault> {
        let mut progress = Progress {
            phase: UpstreamPhase::Connect,
            hop: Hop {
                pool: None,
                member: None,
                address: String::new(),
                from: None,
                reply: String::new(),
            },
            peer: None,
            introduced: false,
        };
        let tls = self.lane.tls(self.environment)?;
        let (mut wire, _open) = self.reach(&mut progress, &tls).await?;
        let helo = &self.lane.key.helo;
        let mut capabilities = self.hello(&mut wire, helo).await?;
        if self.start_tls(&mut wire, &capabilities, &tls).await? {
            capabilities = self.hello(&mut wire, helo).await?;
        }
        self.lane.seen.note(&capabilities);
        wire.say_goodbye();
        Ok(())
    }
}

/// What a next hop that knows the client may do because of him.
fn may_be_of_client(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Unwilling(_) | Fault::Closed | Fault::Broken(_) | Fault::Timeout
    )
}

pub(super) fn expect_done(reply: Reply) -> Result<(), Fault> {
    if reply.is_completion() {
        Ok(())
    } else {
        Err(unexpected(reply))
    }
}

/// A reply that ends the connection, or makes no sense where it stands.
pub(super) fn unexpected(reply: Reply) -> Fault {
    if reply.is_closing() {
        Fault::Unwilling(reply)
    } else {
        Fault::OutOfPlace(reply)
    }
}

pub(super) fn line(command: &Command) -> Result<Vec<u8>, Fault> {
    let mut octets = Vec::with_capacity(64);
    command.write_to(&mut octets).map_err(|_| Fault::TooLong)?;
    Ok(octets)
}

fn blame(phase: UpstreamPhase, fault: &Fault) -> Blame {
    match (phase, fault) {
        // Ports come back as soon as connections end: a pause would take the address from mail that has one.
        (
            _,
            Fault::Deadline | Fault::Identity(_) | Fault::IdentityRefused(_) | Fault::NoPort(_),
        ) => Blame::Nobody,
        (_, Fault::CredentialsPending(_) | Fault::Authorities(_)) => Blame::Credentials,
        (_, Fault::SourceAddress { .. } | Fault::SourceFamily(_)) => Blame::Address,
        (UpstreamPhase::Connect, _) | (UpstreamPhase::Greeting, Fault::Timeout) => Blame::Endpoint,
        _ => Blame::Address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_free_port_is_not_to_blame() {
        let address = "203.0.113.10".parse().unwrap();
        let missing = Fault::SourceAddress {
            address,
            source: io::Error::from(io::ErrorKind::AddrNotAvailable),
        };
        for (fault, expected) in [
            (Fault::NoPort(address), Blame::Nobody),
            (missing, Blame::Address),
            (Fault::Closed, Blame::Endpoint),
        ] {
            assert_eq!(blame(UpstreamPhase::Connect, &fault), expected, "{fault}");
        }
    }
}
