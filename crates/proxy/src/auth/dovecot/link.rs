//! The connection to Dovecot: a task that owns the socket, passes lines on, and hands answers to those who wait for them.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sekisho_policy::snapshot::{ClearText, DovecotAuth, ServiceAddress};
use sekisho_smtp::sasl::Secret;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::DovecotFault;
use super::answer::{Handshake, Reply, parse_reply};
use super::request;

/// Passwords under way at once; more would only wait within Dovecot.
const MAX_CHECKS: usize = 256;
/// Exchanges in which clients are waited for, beside them: who says nothing keeps nobody's password from being checked.
const MAX_CONTESTS: usize = 256;
/// A service that does not answer for so long,
const SILENCE: Duration = Duration::from_secs(5);
/// so many times in a row, is spoken to over another connection.
const MAX_SILENCES: u32 = 3;
/// Lines on their way to the task.
const QUEUE: usize = 64;
/// A service that does not read what it is sent is given up.
const WRITE: Duration = Duration::from_secs(5);
/// Octets of a line that is taken from it.
const MAX_LINE: usize = 16 * 1024;
/// Numbers of requests on one connection; then it is made anew.
const LAST_ID: u32 = u32::MAX / 2;

/// The task, as those see it who ask.
#[derive(Debug)]
pub(super) struct Link {
    lines: mpsc::Sender<Order>,
    next: AtomicU32,
    checks: Arc<Semaphore>,
    contests: Arc<Semaphore>,
    /// Requests in a row that were not answered.
    silences: Arc<AtomicU32>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A password, which takes as long as Dovecot does.
    Check,
    /// A proof, which takes as long as the client does.
    Contest,
}

/// What the task is told.
#[derive(Debug)]
enum Order {
    Ask {
        id: u32,
        line: Secret,
        answer: oneshot::Sender<Reply>,
    },
    /// Nobody waits for this one any more.
    Cancel(u32),
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Link {
    /// Connects and greets; also returns the mechanisms that the service has.
    pub(super) async fn connect(config: &DovecotAuth) -> Result<(Self, Vec<String>), DovecotFault> {
        let place = match &config.address {
            ServiceAddress::Unix(path) => path.clone(),
            ServiceAddress::Tcp(address) => address.to_string(),
        };
        let failed =
            |error: io::Error| DovecotFault::Unreachable(place.clone(), error.to_string().into());
        let socket: Box<dyn Socket> = match &config.address {
            ServiceAddress::Unix(path) => {
                Box::new(UnixStream::connect(path).await.map_err(failed)?)
            }
            ServiceAddress::Tcp(to) => {
                let stream = TcpStream::connect((to.host.as_str(), to.port))
                    .await
                    .map_err(failed)?;
                let peer = stream.peer_addr().map_err(failed)?;
                // The name of a host may lead anywhere.
                let is_near = peer.ip().to_canonical().is_loopback();
                if config.clear_text == ClearText::Loopback && !is_near {
                    return Err(DovecotFault::NotLoopback(peer.to_string()));
                }
                stream.set_nodelay(true).map_err(failed)?;
                Box::new(stream)
            }
        };
        let mut wire = Wire::new(socket);
        let mut process = [0; 4];
        getrandom::fill(&mut process).map_err(|error| failed(io::Error::other(error)))?;
        // A number that a process could have.
        let greeting = request::greeting(u32::from_be_bytes(process) >> 2 | 1);
        wire.write(greeting.as_bytes()).await.map_err(failed)?;
        let mut handshake = Handshake::default();
        let wrong = |what| DovecotFault::Protocol(place.clone(), what);
        loop {
            let line = wire.line().await.map_err(failed)?;
            let line = line.ok_or_else(|| wrong("it closed the connection in its handshake"))?;
            if handshake.take(&line).map_err(wrong)? {
                break;
            }
        }
        let (lines, orders) = mpsc::channel(QUEUE);
        let silences = Arc::new(AtomicU32::new(0));
        tokio::spawn(serve(wire, orders, Arc::clone(&silences)));
        let link = Self {
            lines,
            next: AtomicU32::new(1),
            checks: Arc::new(Semaphore::new(MAX_CHECKS)),
            contests: Arc::new(Semaphore::new(MAX_CONTESTS)),
            silences,
        };
        Ok((link, handshake.into_mechanisms()))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.lines.is_closed()
            && self.next.load(Ordering::Relaxed) < LAST_ID
            && self.silences.load(Ordering::Relaxed) < MAX_SILENCES
    }
}

/// A number on a connection, and the right to use it.
#[derive(Debug)]
pub(super) struct Request {
    id: u32,
    lines: mpsc::Sender<Order>,
    silences: Arc<AtomicU32>,
    _room: OwnedSemaphorePermit,
    ended: bool,
}

impl Request {
    /// `None` where too many are under way.
    pub(super) fn new(link: &Link, what_for: Use) -> Option<Self> {
        let room = match what_for {
            Use::Check => &link.checks,
            Use::Contest => &link.contests,
        };
        Some(Self {
            _room: Arc::clone(room).try_acquire_owned().ok()?,
            silences: Arc::clone(&link.silences),
            id: link.next.fetch_add(1, Ordering::Relaxed),
            lines: link.lines.clone(),
            ended: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Asks, and waits until `deadline`.
    pub(super) async fn ask(
        &mut self,
        line: Secret,
        deadline: Instant,
    ) -> Result<Reply, DovecotFault> {
        let began = Instant::now();
        let answered = timeout_at(deadline, self.send(line)).await;
        answered.unwrap_or_else(|_| {
            // A deadline that was near when it was asked says nothing of the service.
            if began.elapsed() >= SILENCE {
                self.silences.fetch_add(1, Ordering::Relaxed);
            }
            Err(DovecotFault::Timeout)
        })
    }

    async fn send(&self, line: Secret) -> Result<Reply, DovecotFault> {
        let (answer, reply) = oneshot::channel();
        let order = Order::Ask {
            id: self.id,
            line,
            answer,
        };
        self.lines
            .send(order)
            .await
            .map_err(|_| DovecotFault::Closed)?;
        reply.await.map_err(|_| DovecotFault::Closed)
    }

    /// Dovecot has said its last word.
    pub(super) fn over(&mut self) {
        self.ended = true;
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.ended {
            // If there is no room for it, Dovecot forgets the request by itself after a while.
            let _ = self.lines.try_send(Order::Cancel(self.id));
        }
    }
}

async fn serve(mut wire: Wire, mut orders: mpsc::Receiver<Order>, silences: Arc<AtomicU32>) {
    let mut waiting: HashMap<u32, oneshot::Sender<Reply>> = HashMap::new();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let line = match order {
                    None => return,
                    Some(Order::Ask { id, line, answer }) => {
                        waiting.insert(id, answer);
                        line
                    }
                    Some(Order::Cancel(id)) => {
                        waiting.remove(&id);
                        request::cancel_line(id)
                    }
                };
                let written = timeout(WRITE, wire.write(line.expose())).await;
                if !matches!(written, Ok(Ok(()))) {
                    tracing::warn!("Dovecot's authentication service does not take requests; connecting anew");
                    return;
                }
            }
            line = wire.line() => {
                let Ok(Some(line)) = line else { return };
                silences.store(0, Ordering::Relaxed);
                match parse_reply(&line) {
                    // An answer that nobody waits for came too late.
                    Ok(reply) => reply.and_then(|reply| Some((waiting.remove(&reply.id())?, reply))).map_or((), |(answer, reply)| {
                        let _ = answer.send(reply);
                    }),
                    Err(what) => {
                        tracing::warn!(what, "Dovecot's authentication service breaks its protocol; connecting anew");
                        return;
                    }
                }
            }
        }
    }
}

/// A socket and what was read from it.
struct Wire {
    socket: Box<dyn Socket>,
    input: Vec<u8>,
}

impl Wire {
    fn new(socket: Box<dyn Socket>) -> Self {
        Self {
            socket,
            input: Vec::new(),
        }
    }

    async fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.socket.write_all(octets).await?;
        self.socket.flush().await
    }

    /// The next line; `None` at the end. What was read stays if the wait is given up.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.input) {
                let rest = self.input.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.input, rest);
                line.pop();
                return Ok(Some(line));
            }
            if self.input.len() > MAX_LINE {
                return Err(io::Error::other("a line does not end"));
            }
            let mut chunk = [0; 2048];
            match self.socket.read(&mut chunk).await? {
                0 => return Ok(None),
                read => self.input.extend_from_slice(&chunk[..read]),
            }
        }
    }
}
