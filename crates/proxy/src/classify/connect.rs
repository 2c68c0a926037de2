//! Connections to engines: made from their names, and kept for a while where the engine leaves them open.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use sekisho_policy::opinion::EngineFault;
use sekisho_policy::snapshot::HostPort;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::body::MessageBody;
use super::engine::{Portion, Time};
use super::lock;
use super::trouble::Trouble;
use crate::dns::{Dns, DnsFailure};

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// How long an unused connection is kept: below what servers grant.
const KEPT: Duration = Duration::from_secs(20);
/// Unused connections that are kept.
const MAX_IDLE: usize = 16;
/// Octets of an answer's header section. Its body has a bound of its own.
const MAX_HEADER: usize = 64 * 1024;

/// Connects to an engine.
///
/// # Errors
/// Its name leads nowhere, or nobody takes connections there. That nobody does so in time is the same, there is nobody to ask,
/// unless waiting for a turn had taken part of the time.
pub(super) async fn connect(
    dns: &Dns,
    address: &HostPort,
    time: Time,
) -> Result<TcpStream, Trouble> {
    let addresses = match timeout_at(time.until, dns.addresses(&address.host)).await {
        Ok(addresses) => addresses.map_err(Trouble::Unresolved)?,
        Err(_) if time.portion == Portion::Rest => return Err(Trouble::TIMEOUT),
        Err(_) => return Err(Trouble::Unresolved(DnsFailure::Timeout)),
    };
    let mut cut_short = false;
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    let mut left = addresses.len().min(MAX_ADDRESSES);
    for ip in addresses.into_iter().take(MAX_ADDRESSES) {
        // One address that swallows everything must not take the time of the others.
        let remaining = time.until.saturating_duration_since(Instant::now());
        let portion = Instant::now() + remaining / u32::try_from(left).unwrap_or(1);
        left -= 1;
        let connecting = TcpStream::connect(SocketAddr::new(ip, address.port));
        match timeout_at(portion, connecting).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(Trouble::Unreachable)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => {
                cut_short = time.portion == Portion::Rest;
                last = io::ErrorKind::TimedOut.into();
            }
        }
    }
    Err(if cut_short {
        Trouble::TIMEOUT
    } else {
        Trouble::Unreachable(last)
    })
}

/// A connection that HTTP is spoken over. Dropping it closes it, whatever goes on.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<MessageBody>,
    _driver: AbortOnDropHandle<()>,
    since: Instant,
}

impl Connection {
    pub(super) async fn open(dns: &Dns, address: &HostPort, time: Time) -> Result<Self, Trouble> {
        let stream = connect(dns, address, time).await?;
        let shaken = Builder::new()
            .max_buf_size(MAX_HEADER)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = shaken.map_err(|_| EngineFault::Broken)?;
        let driver = tokio::spawn(async move {
            // What goes wrong is told to the one who asked.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            _driver: AbortOnDropHandle::new(driver),
            since: Instant::now(),
        })
    }
}

/// Connections that an engine has left open, the last one used first.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<Connection>>);

impl Idle {
    /// One that seems good; whether it is shows when it is used.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = lock(&self.0);
        let now = Instant::now();
        idle.retain(|connection| now < connection.since + KEPT && !connection.sender.is_closed());
        idle.pop()
    }

    pub(super) fn put(&self, mut connection: Connection) {
        let mut idle = lock(&self.0);
        if idle.len() < MAX_IDLE && !connection.sender.is_closed() {
            connection.since = Instant::now();
            idle.push(connection);
        }
    }
}
