//! Where clients come in: the accept loop, the bounds on connections, the PROXY header, implicit TLS, and then a session.

mod preamble;
pub(crate) mod sources;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use sekisho_policy::snapshot::{Listener, ListenerTls};
use sekisho_runtime::metrics::{
    Detection, HandshakeError, ListenerMetrics, Transport as Protection,
};
use sekisho_runtime::tls::{CertResolver, handshake_error};
use sekisho_smtp::proxy_protocol::ProxyHeader;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::session::stream::{Stream, Transport};
use crate::session::{Ends, Session};
use crate::shared::Shared;
use sources::{Crowded, Place};

/// How long the accept loop rests when the system has no more descriptors or memory for sockets.
const REST: Duration = Duration::from_millis(100);
const CROWDED: &[u8] = b"421 4.3.2 Too many connections; please try again later\r\n";

/// A listener as its sessions see it. One snapshot's; sessions keep the one they came in by.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) spec: Listener,
    pub(crate) tls_config: Option<Arc<ServerConfig>>,
    /// The certificates behind `tls_config`, replaceable on their own.
    pub(crate) certificates: Option<Arc<CertResolver>>,
    pub(crate) metrics: ListenerMetrics,
}

impl Door {
    /// Whether a peer may, and so must, begin with a PROXY header.
    fn preamble(&self, peer: IpAddr) -> Preamble {
        match &self.spec.proxy_from {
            None => Preamble::Forbidden,
            Some(networks) if contains(networks, peer) => Preamble::Required,
            Some(_) => Preamble::NotFromThere,
        }
    }

    pub(crate) fn trusts_xclient_from(&self, peer: IpAddr) -> bool {
        contains(&self.spec.xclient_from, peer)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preamble {
    Forbidden,
    Required,
    /// The listener is for load balancers, and this is none.
    NotFromThere,
}

fn contains(networks: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    networks.iter().any(|network| network.contains(&ip))
}

/// Takes connections until it is stopped or the process drains.
pub(crate) async fn accept(
    listener: TcpListener,
    door: Arc<ArcSwap<Door>>,
    shared: Arc<Shared>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = shared.shutdown.draining() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => welcome(stream, peer, door.load_full(), &shared),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                tracing::error!(%error, "connections cannot be accepted; trying again");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// An error of one connection that died before it was accepted; every other is the system's.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | WouldBlock
    )
}

fn welcome(stream: TcpStream, peer: SocketAddr, door: Arc<Door>, shared: &Arc<Shared>) {
    let limits = shared.live().limits.clone();
    let place = match shared.connections.admit(&limits) {
        Ok(place) => place,
        Err(crowded) => {
            note_crowded(shared, &door, crowded);
            if door.spec.tls != ListenerTls::Implicit {
                // Into the empty buffer of a new socket, or not at all.
                let _ = stream.try_write(CROWDED);
            }
            return;
        }
    };
    // Each reply is written at once and waited for; Nagle's algorithm would only delay it.
    let prepared = stream.set_nodelay(true).and_then(|()| stream.local_addr());
    let Ok(local) = prepared else { return };
    let ends = Ends {
        source: peer,
        destination: local,
    };
    shared
        .shutdown
        .spawn(serve(stream, ends, door, shared.clone(), place));
}

/// Serves one connection from its first octet to its last.
pub(crate) async fn serve<S: Transport>(
    mut stream: S,
    connection: Ends,
    door: Arc<Door>,
    shared: Arc<Shared>,
    mut place: Place,
) {
    let introduced = tokio::select! {
        biased;
        () = shared.shutdown.draining() => return,
        introduced = introduce(&mut stream, connection, &door, &shared) => introduced,
    };
    let Some(ends) = introduced else { return };
    let limits = shared.live().limits.clone();
    if let Err(crowded) = place.attribute(ends.source.ip(), &limits) {
        note_crowded(&shared, &door, crowded);
        return turn_away(stream, &door).await;
    }
    let mut open = door.metrics.open_session(Protection::Plain);
    let mut stream = Stream::Plain(stream);
    if door.spec.tls == ListenerTls::Implicit {
        let shaking = match place.shake(&limits) {
            Ok(shaking) => shaking,
            Err(crowded) => return note_crowded(&shared, &door, crowded),
        };
        match secure(stream, &door, &shared).await {
            Ok(secured) => stream = secured,
            Err(error) => return door.metrics.handshake_failed(error),
        }
        drop(shaking);
        open.secured(Protection::Implicit);
    }
    Session::new(stream, ends, door, shared, (open, place))
        .run()
        .await;
}

/// Who is at the other end; `None` if the connection is not to be talked to.
async fn introduce<S: Transport>(
    stream: &mut S,
    connection: Ends,
    door: &Door,
    shared: &Shared,
) -> Option<Ends> {
    let peer = canonical(connection.source);
    let plain = Ends {
        source: peer,
        destination: canonical(connection.destination),
    };
    let refused = match door.preamble(peer.ip()) {
        Preamble::Forbidden => return Some(plain),
        Preamble::Required => match timeout(shared.limits.preamble, preamble::read(stream)).await {
            Ok(Ok(ProxyHeader::Proxied {
                source,
                destination,
            })) => {
                return Some(Ends {
                    source: canonical(source),
                    destination: canonical(destination),
                });
            }
            // A check of the load balancer's own, or of a client that it cannot name.
            Ok(Ok(ProxyHeader::Local | ProxyHeader::Unknown)) => return Some(plain),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no PROXY header came in time".to_owned(),
        },
        Preamble::NotFromThere => {
            "the peer is none of the load balancers that the listener is for".to_owned()
        }
    };
    shared.metrics.detected(Detection::ProxyHeaderRejected);
    tracing::debug!(listener = door.spec.name, %peer, why = refused, "a connection was closed without a word");
    None
}

/// IPv4 in IPv4 form: a dual-stack socket shows it in IPv6 clothes.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn secure<S: Transport>(
    stream: Stream<S>,
    door: &Door,
    shared: &Shared,
) -> Result<Stream<S>, HandshakeError> {
    let Some(config) = door.tls_config.clone() else {
        return Err(HandshakeError::Other);
    };
    // The handshake needs much more room than the session after it.
    let shaking = stream.secure(config, door.certificates.as_deref(), &shared.hellos);
    let shaking = Box::pin(timeout(shared.limits.handshake, shaking));
    tokio::select! {
        biased;
        shaken = shaking => match shaken {
            Ok(Ok(secured)) => Ok(secured),
            Ok(Err(error)) => Err(handshake_error(&error)),
            Err(_) => Err(HandshakeError::Timeout),
        },
        // There is no session yet that could be told.
        () = shared.shutdown.draining() => Err(HandshakeError::Closed),
    }
}

fn note_crowded(shared: &Shared, door: &Door, crowded: Crowded) {
    shared.metrics.detected(Detection::TooManyConnections);
    tracing::debug!(
        listener = door.spec.name,
        ?crowded,
        "a connection was turned away"
    );
}

async fn turn_away<S: Transport>(mut stream: S, door: &Door) {
    use tokio::io::AsyncWriteExt as _;
    if door.spec.tls != ListenerTls::Implicit {
        let _ = timeout(Duration::from_secs(1), stream.write_all(CROWDED)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, D, E, F>(_: fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand sessions that wait for their clients must fit in memory; what is large is boxed while it lasts.
    #[test]
    fn a_session_is_small() {
        let session = size_of::<Session<TcpStream>>();
        let task = size_of_future(serve::<TcpStream>);
        assert!(session <= 1024, "a session has {session} octets");
        assert!(task <= 4096, "its task has {task} octets");
    }
}
