//! A client's connection, in the clear or under TLS: STARTTLS turns the one into the other.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sekisho_runtime::tls::CertResolver;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;

/// Anything octets travel over: a socket, or a pipe in tests.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for S {}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream<S> {
    Plain(S),
    /// Boxed: a session in the clear should not carry the room for it.
    Tls(Box<Secured<S>>),
    /// Being turned from plain to TLS, or failed at it.
    Gone,
}

/// A connection under TLS.
#[derive(Debug)]
pub(crate) struct Secured<S> {
    pub(crate) stream: TlsStream<S>,
    /// The digest of the certificate that the client was shown, which may be replaced long before the session ends.
    pub(crate) end_point: Option<Arc<[u8]>>,
}

/// The beginnings of TLS handshakes that may be worked on at once: as many as there are processors. The others wait for their
/// turn outside of the run queue, so that a flood of them delays a session by a few and not by all.
#[derive(Debug)]
pub(crate) struct Hellos(Semaphore);

impl Default for Hellos {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self(Semaphore::new(processors))
    }
}

impl<S: Transport> Stream<S> {
    /// The name of the cipher suite in use, as rustls has it.
    pub(crate) fn cipher_suite(&self) -> Option<&'static str> {
        let Self::Tls(tls) = self else { return None };
        let (_, connection) = tls.stream.get_ref();
        connection.negotiated_cipher_suite()?.suite().as_str()
    }

    /// Lets the client begin TLS. The keys and the signature are worked out at the client's first words; a client that is slow
    /// before or after them takes nobody's turn.
    ///
    /// # Errors
    /// The handshake failed, or TLS is there already.
    pub(crate) async fn secure(
        self,
        config: Arc<ServerConfig>,
        certificates: Option<&CertResolver>,
        hellos: &Hellos,
    ) -> io::Result<Self> {
        let Self::Plain(plain) = self else {
            return Err(io::Error::other("TLS within TLS"));
        };
        let hello = LazyConfigAcceptor::new(Acceptor::default(), plain).await?;
        let turn = hellos.0.acquire().await.map_err(io::Error::other)?;
        let shown = certificates.map(|certificates| (certificates, certificates.identities()));
        let mut shaking = hello.into_stream(config);
        let begun = poll_fn(|cx| Poll::Ready(Pin::new(&mut shaking).poll(cx))).await;
        drop(turn);
        // Which one was chosen is sure only if they were not replaced meanwhile.
        let shown = shown.filter(|(certificates, shown)| certificates.shows(shown));
        let stream = match begun {
            Poll::Ready(shaken) => shaken?,
            Poll::Pending => shaking.await?,
        };
        let asked = stream.get_ref().1.server_name();
        let end_point = shown.and_then(|(_, shown)| CertResolver::end_point(&shown, asked));
        Ok(Self::Tls(Box::new(Secured { stream, end_point })))
    }
}

impl<S: Transport> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl<S: Transport> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, buf),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(plain).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_runtime::tls::{Verification, client_config, self_signed, server_config};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::ServerName;

    use super::*;

    #[tokio::test]
    async fn what_the_client_was_shown_stays_when_certificates_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let identity = |file: &str| {
            let names = ["mail.example.jp".to_owned()];
            self_signed(&folder.path().join(file), &names, 1_795_300_040_000).unwrap()
        };
        let certificates = CertResolver::new(identity("old"), Vec::new());
        let config = server_config(certificates.clone()).unwrap();
        let (client, server) = tokio::io::duplex(64 * 1024);
        let hellos = Hellos::default();
        let secured = Stream::Plain(server).secure(config, Some(&certificates), &hellos);
        let connector = TlsConnector::from(client_config(Verification::Opportunistic).unwrap());
        let name = ServerName::try_from("mail.example.jp").unwrap();
        let (secured, shaken) = tokio::join!(secured, connector.connect(name, client));
        assert!(shaken.is_ok());
        let digest = |certificates: &CertResolver| {
            CertResolver::end_point(&certificates.identities(), Some("mail.example.jp")).unwrap()
        };
        let shown = digest(&certificates);
        certificates.replace(identity("new"), Vec::new());
        assert_ne!(digest(&certificates), shown);
        let Ok(Stream::Tls(secured)) = secured else {
            panic!("no TLS")
        };
        assert_eq!(secured.end_point, Some(shown));
    }
}
