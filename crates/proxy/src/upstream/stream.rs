//! A connection to a next hop, in plain text or under TLS, made from the address that it must leave from.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::failure::Fault;
use super::source;

/// The stream.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects to `to`, from `from` where one is given.
    ///
    /// # Errors
    /// [`Fault::SourceAddress`] if this machine does not have the address, else [`Fault::Connect`].
    pub(super) async fn connect(to: SocketAddr, from: Option<IpAddr>) -> Result<Self, Fault> {
        let socket = match from {
            Some(address) => {
                source::socket_from(address).map_err(|source| match source.kind() {
                    io::ErrorKind::AddrNotAvailable => Fault::SourceAddress { address, source },
                    _ => Fault::Connect(source),
                })?
            }
            None if to.is_ipv4() => TcpSocket::new_v4().map_err(Fault::Connect)?,
            None => TcpSocket::new_v6().map_err(Fault::Connect)?,
        };
        let connected = socket.connect(to).await;
        let stream = connected.map_err(|error| match (error.kind(), from) {
            // The port is chosen now, and the address has none left for this next hop.
            (io::ErrorKind::AddrNotAvailable, Some(address)) => Fault::NoPort(address),
            _ => Fault::Connect(error),
        })?;
        stream.set_nodelay(true).map_err(Fault::Connect)?;
        Ok(Self::Plain(stream))
    }

    /// The local address.
    pub(super) fn local_ip(&self) -> Option<IpAddr> {
        self.tcp().local_addr().ok().map(|address| address.ip())
    }

    /// Whether the other end is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        self.tcp()
            .peer_addr()
            .is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Begins TLS. A stream that is under TLS already is returned as it is.
    pub(super) async fn secure(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        match self {
            Self::Plain(stream) => {
                let stream = TlsConnector::from(config).connect(name, stream).await?;
                Ok(Self::Tls(Box::new(stream)))
            }
            Self::Tls(_) => Ok(self),
        }
    }

    /// Whether the kernel holds nothing for us, neither octets nor the end of the stream. Asked of the kernel and not
    /// of the reactor, which may not have heard of it yet. Under TLS, records that carry no data look like octets, so
    /// there only `Some(true)` is certain: `None` means that the stream itself must be asked.
    pub(super) fn is_silent(&self) -> Option<bool> {
        let mut octet = [MaybeUninit::uninit(); 1];
        match SockRef::from(self.tcp()).peek(&mut octet) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(true),
            Ok(1..) if self.is_tls() => None,
            Ok(_) | Err(_) => Some(false),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
