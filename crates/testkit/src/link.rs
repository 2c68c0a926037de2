//! The network between two programs: a relay that can refuse, fall silent, be slow, talk rubbish, or break at a given octet.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::port::Port;

/// What a link does, to connections that are open as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduct {
    /// What comes goes on.
    Pass,
    /// Nobody listens, and what was open is closed.
    Gone,
    /// Takes everything and passes nothing on.
    Silent,
    /// Passes each piece on so much later.
    Late(Duration),
    /// Greets new connections with octets that mean nothing, and turns each answer on others into such.
    Rubbish,
}

/// The octet at which a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub towards: Towards,
    /// So many octets still pass.
    pub after: u64,
}

/// One of the two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    Server,
    Client,
}

/// Says of the connection with this number, from 0 on, where it breaks, if it does.
type Fray = dyn Fn(u64) -> Option<Cut> + Send + Sync;

/// A running relay; it ends when this is dropped.
#[derive(Debug)]
pub struct Link {
    port: Port,
    conduct: watch::Sender<Conduct>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    cuts: AtomicU64,
}

impl Link {
    /// A link to `server` that passes everything on.
    pub async fn to(server: SocketAddr) -> Self {
        Self::fraying(server, |_| None).await
    }

    /// A link to `server` whose connections break where `fray` says.
    ///
    /// # Panics
    /// The port cannot be bound.
    pub async fn fraying(
        server: SocketAddr,
        fray: impl Fn(u64) -> Option<Cut> + Send + Sync + 'static,
    ) -> Self {
        let port = Port::free();
        let (conduct, seen) = watch::channel(Conduct::Pass);
        let counts = Arc::<Counts>::default();
        let relay = Relay {
            address: port.address(),
            server,
            conduct: seen,
            fray: Arc::new(fray),
            counts: counts.clone(),
        };
        // Bound here, so that it takes connections from the first moment on.
        let listener = relay.listen().await;
        let task = tokio::spawn(relay.run(listener));
        Self {
            port,
            conduct,
            counts,
            task,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// From now on, do this.
    pub fn conduct(&self, conduct: Conduct) {
        self.conduct.send_replace(conduct);
    }

    /// Waits until nobody listens and nothing is open, after [`Conduct::Gone`].
    pub async fn closed(&self) {
        while TcpStream::connect(self.address()).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// How many of them broke at their octet.
    pub fn cuts(&self) -> u64 {
        self.counts.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    conduct: watch::Receiver<Conduct>,
    fray: Arc<Fray>,
    counts: Arc<Counts>,
}

impl Relay {
    async fn listen(&self) -> TcpListener {
        TcpListener::bind(self.address)
            .await
            .unwrap_or_else(|e| panic!("{}: {e}", self.address))
    }

    async fn run(mut self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            let is_gone = *self.conduct.borrow_and_update() == Conduct::Gone;
            match (is_gone, listener.take()) {
                (false, Some(bound)) => listener = self.accept(bound).await,
                (false, None) => listener = Some(self.listen().await),
                // Dropping the listener closes its port.
                (true, _) => {
                    if self.conduct.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Takes connections until nobody shall listen any more; the open ones end with it.
    async fn accept(&mut self, listener: TcpListener) -> Option<TcpListener> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    let number = self.counts.connections.fetch_add(1, Ordering::Relaxed);
                    let carriage = Carriage {
                        server: self.server,
                        conduct: self.conduct.clone(),
                        cut: (self.fray)(number),
                        counts: self.counts.clone(),
                    };
                    connections.spawn(carriage.carry(client));
                    while connections.try_join_next().is_some() {}
                }
                changed = self.conduct.changed() => {
                    let is_gone = *self.conduct.borrow() == Conduct::Gone;
                    if changed.is_err() || is_gone {
                        // Before the port is closed, so that whoever finds it closed knows that nothing is open.
                        connections.shutdown().await;
                        return None;
                    }
                }
            }
        }
    }
}

/// One connection.
struct Carriage {
    server: SocketAddr,
    conduct: watch::Receiver<Conduct>,
    cut: Option<Cut>,
    counts: Arc<Counts>,
}

impl Carriage {
    /// Carries until one end leaves or the link breaks: then both are left, whatever was on its way.
    async fn carry(self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        if *self.conduct.borrow() == Conduct::Rubbish {
            return talk_rubbish(client).await;
        }
        let server = TcpStream::connect(self.server).await?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let there = self.pass(Towards::Server, from_client, to_server);
        let back = self.pass(Towards::Client, from_server, to_client);
        tokio::select! {
            ended = there => ended,
            ended = back => ended,
            () = self.spoilt() => Ok(()),
        }
    }

    /// What was open through silence or rubbish is of no use after it, and ends with it.
    async fn spoilt(&self) {
        let is_spoiling = |now: &Conduct| matches!(now, Conduct::Silent | Conduct::Rubbish);
        let mut conduct = self.conduct.clone();
        let _ = conduct.wait_for(is_spoiling).await;
        let _ = conduct.wait_for(|now| !is_spoiling(now)).await;
    }

    async fn pass(
        &self,
        towards: Towards,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
    ) -> io::Result<()> {
        let cut = self.cut.filter(|cut| cut.towards == towards);
        let mut left = cut.map_or(u64::MAX, |cut| cut.after);
        let mut piece = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut piece).await?;
            if read == 0 {
                return Ok(());
            }
            let now = *self.conduct.borrow();
            match now {
                Conduct::Pass | Conduct::Gone => {}
                Conduct::Late(pause) => sleep(pause).await,
                Conduct::Silent => std::future::pending().await,
                Conduct::Rubbish if towards == Towards::Client => {
                    to.write_all(&rubbish(left)).await?;
                    continue;
                }
                Conduct::Rubbish => {}
            }
            let passes = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            to.write_all(&piece[..passes]).await?;
            left -= passes as u64;
            if left == 0 {
                self.counts.cuts.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
        }
    }
}

/// Greets with rubbish, and answers every piece with rubbish.
async fn talk_rubbish(mut client: TcpStream) -> io::Result<()> {
    let mut piece = vec![0; 16 * 1024];
    for number in 1.. {
        client.write_all(&rubbish(number)).await?;
        if client.read(&mut piece).await? == 0 {
            break;
        }
    }
    Ok(())
}

/// A line of octets that mean nothing in any protocol, others for each seed.
fn rubbish(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut octets: Vec<u8> = (0..64)
        .map(|_| {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            0x80 | state.to_le_bytes()[3]
        })
        .collect();
    octets.extend_from_slice(b"\r\n");
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    /// A server that says each line again.
    async fn echo() -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (address, task)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_does_as_it_is_told() {
        let (server, _task) = echo().await;
        let link = Link::to(server).await;
        let mut peer = Peer::connect(link.address()).await;
        peer.say("hello").await;
        peer.expect("hello").await;
        link.conduct(Conduct::Gone);
        peer.closed().await;
        link.closed().await;
        link.conduct(Conduct::Silent);
        crate::wait_for_port(link.address());
        let mut peer = Peer::connect(link.address()).await;
        peer.say("hello").await;
        peer.silent_for(Duration::from_millis(50)).await;
        link.conduct(Conduct::Pass);
        peer.closed().await;
        let mut peer = Peer::connect(link.address()).await;
        peer.say("hello").await;
        peer.expect("hello").await;
        link.conduct(Conduct::Rubbish);
        peer.say("hello").await;
        assert!(!peer.line().await.contains("hello"));
    }

    #[tokio::test]
    async fn a_connection_breaks_at_its_octet() {
        let (server, _task) = echo().await;
        let cut = Cut {
            towards: Towards::Client,
            after: 9,
        };
        let link = Link::fraying(server, move |number| (number == 0).then_some(cut)).await;
        for (number, rest) in [(0, "wo"), (1, "world\r\n")] {
            let mut stream = TcpStream::connect(link.address()).await.unwrap();
            stream.write_all(b"hello\r\nworld\r\n").await.unwrap();
            let mut said = Vec::new();
            while said.len() < 7 + rest.len() {
                let read = stream.read_buf(&mut said).await.unwrap();
                assert!(read > 0, "{said:?}");
            }
            assert_eq!(said, format!("hello\r\n{rest}").as_bytes());
            let is_over = stream.read_buf(&mut said);
            let is_over = tokio::time::timeout(Duration::from_millis(50), is_over).await;
            assert_eq!(is_over.is_ok(), number == 0);
        }
        assert_eq!((link.connections(), link.cuts()), (2, 1));
    }
}
