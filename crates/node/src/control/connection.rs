//! One connection to the control plane: TLS, and one request after another with a deadline and a bound on each.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sekisho_runtime::tls::{Roots, Verification, client_config};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Trouble;
use crate::args::{Args, ControlUrl};

/// To connect and to shake hands, each.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// From the head of an answer to its end.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// No answer is larger; a snapshot that is not packed is the largest.
const LARGEST_ANSWER: usize = sekisho_node::packed::MOST_UNPACKED;
const LARGEST_HEAD: usize = 32 * 1024;
const LARGEST_TOKEN: u64 = 32 * 1024;
const LARGEST_CA: u64 = 1 << 20;
/// So much of a problem's words is shown.
const LONGEST_DETAIL: usize = 300;
/// Whoever asks for more is asked after this.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Where the control plane is and what it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Control {
    url: ControlUrl,
    ca: PathBuf,
    token_file: PathBuf,
    gateway: String,
}

/// A connection; it ends when it is dropped.
pub(crate) struct Line {
    control: Control,
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Control {
    pub(crate) fn of(args: &Args) -> Self {
        Self {
            url: args.control.clone(),
            ca: args.ca.clone(),
            token_file: args.token_file.clone(),
            gateway: args.gateway.to_string(),
        }
    }

    /// Connects, with the authorities that the bundle holds now.
    pub(crate) async fn connect(&self) -> Result<Line, Trouble> {
        let address = self.authority();
        let pem = block_in_place(|| read_up_to(&self.ca, LARGEST_CA));
        let pem = pem.map_err(|source| Trouble::CaFile {
            path: self.ca.clone(),
            source,
        })?;
        let origin = self.ca.display().to_string();
        let roots = Roots::Pem {
            origin: &origin,
            pem: &pem,
        };
        let config = client_config(Verification::Required(roots)).map_err(Trouble::Ca)?;
        let name = ServerName::try_from(self.url.host.clone())
            .map_err(|_| Trouble::Name(self.url.host.clone()))?;
        let connecting = TcpStream::connect((self.url.host.as_str(), self.url.port));
        let stream = in_time("connecting", CONNECT_WITHIN, connecting)
            .await?
            .map_err(|source| Trouble::Connect {
                address: address.clone(),
                source,
            })?;
        // A request is one write; waiting for more to send would only delay it.
        let _ = stream.set_nodelay(true);
        let shaking = TlsConnector::from(config).connect(name, stream);
        let stream = in_time("the TLS handshake", CONNECT_WITHIN, shaking)
            .await?
            .map_err(|source| Trouble::Tls { address, source })?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await?;
        let connection = tokio::spawn(async move {
            // Whoever waits for an answer hears of it.
            let _ = connection.await;
        });
        Ok(Line {
            control: self.clone(),
            sender,
            connection,
        })
    }

    /// A request for `path` about this gateway, to be completed with a body.
    pub(crate) fn request(&self, path: &str) -> hyper::http::request::Builder {
        self.request_with(path, "")
    }

    /// The same with more of a query, such as `&since=1`.
    pub(crate) fn request_with(&self, path: &str, more: &str) -> hyper::http::request::Builder {
        // Names of objects have nothing in them that would need an escape.
        Request::builder()
            .uri(format!("{path}?gateway={}{more}", self.gateway))
            .header(
                USER_AGENT,
                concat!("sekisho-proxy/", env!("CARGO_PKG_VERSION")),
            )
    }

    fn authority(&self) -> String {
        let ControlUrl { host, port } = &self.url;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    fn token(&self) -> Result<HeaderValue, Trouble> {
        let fault = |why: String| Trouble::Token {
            path: self.token_file.clone(),
            why,
        };
        let octets = block_in_place(|| read_up_to(&self.token_file, LARGEST_TOKEN));
        let octets = octets.map_err(|error| fault(error.to_string()))?;
        let token = std::str::from_utf8(&octets).unwrap_or_default().trim();
        if token.is_empty() || !token.bytes().all(|c| c.is_ascii_graphic()) {
            return Err(fault("it holds no token".to_owned()));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| fault("it holds no token".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Line {
    /// Asks, with the token that the file holds now. The head of the answer is waited for so long.
    pub(crate) async fn ask(
        &mut self,
        mut request: Request<Full<Bytes>>,
        head_within: Duration,
    ) -> Result<Answer, Trouble> {
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.control.token()?);
        // A host and a port that were parsed from an address are a header's value.
        let host = HeaderValue::try_from(self.control.authority())
            .map_err(|_| Trouble::Name(self.control.authority()))?;
        headers.insert(HOST, host);
        in_time("the last answer", BODY_WITHIN, self.sender.ready()).await??;
        let response = in_time("the answer", head_within, self.sender.send_request(request));
        let response = response.await??;
        in_time("the answer's body", BODY_WITHIN, whole(response)).await?
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Answer {
    /// The trouble that an answer stands for.
    pub(crate) fn trouble(&self) -> Trouble {
        let seconds = self
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        Trouble::Answered {
            status: self.status,
            detail: detail(&self.body),
            retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY)),
        }
    }
}

async fn whole(response: Response<Incoming>) -> Result<Answer, Trouble> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| Trouble::Body(error.to_string()))?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

async fn in_time<F: Future>(
    what: &'static str,
    within: Duration,
    doing: F,
) -> Result<F::Output, Trouble> {
    timeout(within, doing)
        .await
        .map_err(|_| Trouble::Late { what, within })
}

fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} octets")));
    }
    Ok(octets)
}

/// The words of an RFC 9457 problem, or the beginning of the body, with nothing in them that a terminal would act on.
fn detail(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let words = problem
        .as_ref()
        .and_then(|problem| problem["detail"].as_str());
    let words = words.map_or_else(
        || String::from_utf8_lossy(&body[..body.len().min(LONGEST_DETAIL)]),
        Into::into,
    );
    words
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_DETAIL)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_in_its_own_words_and_without_control_characters() {
        assert_eq!(
            detail(br#"{"detail":"no \u001b[31mtoken"}"#),
            "no [31mtoken"
        );
        assert_eq!(detail(b"<html>\r\n"), "<html>");
        assert_eq!(detail(&[b'a'; 5000]).len(), LONGEST_DETAIL);
    }
}
