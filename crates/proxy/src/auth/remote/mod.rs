//! Services that say who somebody is, asked over HTTP: one request for one answer, verified TLS, and a bound and a deadline on
//! everything. They are as little trusted as a client is: an answer is read strictly, and nowhere is followed to.

mod authorities;
mod url;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::AbortOnDropHandle;

pub(super) use authorities::Authorities;
pub(super) use url::Url;
pub(crate) use url::UrlFault;

use super::Tools;
use crate::dns::DnsFailure;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Octets of an answer's header section.
const MAX_HEADER: usize = 32 * 1024;
/// Requests to one service at a time; the others wait for their turn.
const AT_ONCE: usize = 32;
/// What one request may take, unless whoever asks has less time. A client waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a service gave no answer that counts.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteFault {
    #[error("its name cannot be resolved: {0}")]
    Resolve(DnsFailure),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("its authorities are not there: {0}")]
    Authorities(String),
    #[error("the Secret {0} is not there, or has no value that serves")]
    Secret(String),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it broke off: {0}")]
    Broken(hyper::Error),
    #[error("its answer has more than {0} octets, or broke off")]
    Body(usize),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is none: {0}")]
    Answer(&'static str),
    #[error("the request cannot be sent")]
    Request,
    #[error("it failed a moment ago")]
    Resting,
}

/// One service.
#[derive(Debug)]
pub(super) struct Service {
    tools: Tools,
    authorities: Authorities,
    turns: Semaphore,
}

/// What a service answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body of a good answer.
    pub(super) fn good(self) -> Result<Bytes, RemoteFault> {
        match self.status {
            StatusCode::OK => Ok(self.body),
            status => Err(RemoteFault::Status(status)),
        }
    }
}

impl Service {
    /// A service whose certificates must lead to the authorities of a Secret, or else to those of the process.
    pub(super) fn new(tools: Tools, ca: Option<&str>) -> Self {
        Self {
            tools,
            authorities: Authorities::new(ca),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Sends a request, whose path and headers are those of `url`, and reads the answer of `most` octets.
    pub(super) async fn ask(
        &self,
        url: &Url,
        request: Request<Full<Bytes>>,
        most: usize,
        deadline: Instant,
    ) -> Result<Answer, RemoteFault> {
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let asked = async {
            let _turn = self
                .turns
                .acquire()
                .await
                .map_err(|_| RemoteFault::Timeout)?;
            let stream = self.connect(url, deadline).await?;
            if url.is_encrypted() {
                let stream = self.encrypt(url, stream).await?;
                send(url, stream, request, most).await
            } else {
                send(url, stream, request, most).await
            }
        };
        timeout_at(deadline, asked)
            .await
            .unwrap_or(Err(RemoteFault::Timeout))
    }

    async fn connect(&self, url: &Url, deadline: Instant) -> Result<TcpStream, RemoteFault> {
        let addresses = self.tools.dns.addresses(url.host()).await;
        let addresses = addresses.map_err(RemoteFault::Resolve)?;
        let mut left = addresses.len().min(MAX_ADDRESSES);
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for ip in addresses.into_iter().take(MAX_ADDRESSES) {
            // One address that swallows everything must not take the time of the others.
            let remaining = deadline.saturating_duration_since(Instant::now());
            let portion = Instant::now() + remaining / u32::try_from(left).unwrap_or(1);
            left -= 1;
            let connecting = TcpStream::connect(SocketAddr::new(ip, url.port()));
            match timeout_at(portion, connecting).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(RemoteFault::Connect)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(RemoteFault::Connect(last))
    }

    async fn encrypt(
        &self,
        url: &Url,
        stream: TcpStream,
    ) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static, RemoteFault> {
        let config = self.authorities.config(&self.tools)?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|_| RemoteFault::Request)?;
        let connector = TlsConnector::from(Arc::clone(&config));
        connector
            .connect(name, stream)
            .await
            .map_err(RemoteFault::Tls)
    }
}

async fn send<S>(
    url: &Url,
    stream: S,
    mut request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Answer, RemoteFault>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shaken = http1::Builder::new()
        .max_buf_size(MAX_HEADER)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = shaken.map_err(RemoteFault::Broken)?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(async move {
        // What goes wrong is told to the one who asked.
        let _ = connection.await;
    }));
    *request.uri_mut() = url.target();
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(url.authority()).map_err(|_| RemoteFault::Request)?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let response = sender.send_request(request).await;
    let (parts, body) = response.map_err(RemoteFault::Broken)?.into_parts();
    let body = Limited::new(body, most).collect().await;
    let body = body.map_err(|_| RemoteFault::Body(most))?.to_bytes();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}
