//! Requests to services over HTTP: one for one answer, verified TLS, and a bound and a deadline on everything. Nowhere is
//! followed to.

mod reach;
mod url;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::AbortOnDropHandle;

pub use reach::{Reach, TooWide};
pub(crate) use url::{Url, UrlFault};

use crate::dns::{Dns, DnsFailure};

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Octets of an answer's header section.
const MAX_HEADER: usize = 32 * 1024;

/// Adds a value to a form (`application/x-www-form-urlencoded`); everything that is not certainly harmless is escaped.
pub(crate) fn escape(form: &mut Vec<u8>, octets: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &octet in octets {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~') {
            form.push(octet);
        } else {
            let (high, low) = (usize::from(octet >> 4), usize::from(octet & 15));
            form.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("its name cannot be resolved: {0}")]
    Resolve(DnsFailure),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error(
        "it is at {0}, a private or reserved address, or one of the cluster's own, and none that was opened"
    )]
    OutOfReach(IpAddr),
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it broke off: {0}")]
    Broken(hyper::Error),
    #[error("its answer has more than {0} octets, or broke off")]
    Body(usize),
    #[error("the request cannot be sent")]
    Request,
}

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// As [`ask_within`], wherever the service is.
pub(crate) async fn ask(
    url: &Url,
    request: Request<Full<Bytes>>,
    most: usize,
    dns: &Dns,
    tls: &Arc<ClientConfig>,
    deadline: Instant,
) -> Result<Answer, NoAnswer> {
    ask_within(&Reach::Anywhere, url, request, most, dns, tls, deadline).await
}

/// Sends a request, whose path and host are those of `url`, and reads an answer of at most `most` octets. Where `url` is https, the
/// certificate is verified as `tls` says. Where an address is out of reach, it is not connected to.
pub(crate) async fn ask_within(
    reach: &Reach,
    url: &Url,
    request: Request<Full<Bytes>>,
    most: usize,
    dns: &Dns,
    tls: &Arc<ClientConfig>,
    deadline: Instant,
) -> Result<Answer, NoAnswer> {
    let asked = async {
        let stream = connect(reach, url, dns, deadline).await?;
        if !url.is_encrypted() {
            return send(url, stream, request, most).await;
        }
        let name = ServerName::try_from(url.host().to_owned()).map_err(|_| NoAnswer::Request)?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, stream).await;
        send(url, stream.map_err(NoAnswer::Tls)?, request, most).await
    };
    timeout_at(deadline, asked)
        .await
        .unwrap_or(Err(NoAnswer::Timeout))
}

async fn connect(
    reach: &Reach,
    url: &Url,
    dns: &Dns,
    deadline: Instant,
) -> Result<TcpStream, NoAnswer> {
    let addresses = dns.addresses(url.host()).await;
    let addresses = addresses.map_err(NoAnswer::Resolve)?;
    // What is looked at is what is connected to: a name that leads elsewhere the next time is looked at again.
    let addresses = reach.within(addresses).map_err(NoAnswer::OutOfReach)?;
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
                stream.set_nodelay(true).map_err(NoAnswer::Connect)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) if Instant::now() >= deadline => return Err(NoAnswer::Timeout),
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(NoAnswer::Connect(last))
}

async fn send<S>(
    url: &Url,
    stream: S,
    mut request: Request<Full<Bytes>>,
    most: usize,
) -> Result<Answer, NoAnswer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let shaken = http1::Builder::new()
        .max_buf_size(MAX_HEADER)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = shaken.map_err(NoAnswer::Broken)?;
    let _driver = AbortOnDropHandle::new(tokio::spawn(async move {
        // What goes wrong is told to the one who asked.
        let _ = connection.await;
    }));
    *request.uri_mut() = url.target();
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(url.authority()).map_err(|_| NoAnswer::Request)?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let response = sender.send_request(request).await;
    let (parts, body) = response.map_err(NoAnswer::Broken)?.into_parts();
    let body = Limited::new(body, most).collect().await;
    let body = body.map_err(|_| NoAnswer::Body(most))?.to_bytes();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}
