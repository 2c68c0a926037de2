//! One HTTP request to a running Sekisho.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

const WITHIN: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 64 << 20;
const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// Others keep it busy: the same may be asked again later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Busy(String);

/// A server, and what it wants to be shown.
pub(crate) struct Server {
    host: String,
    port: u16,
    token: Option<String>,
}

impl Server {
    /// Takes `http://host:port`.
    ///
    /// # Errors
    /// Another kind of address, or a token file that cannot be read.
    pub(crate) fn at(url: &str, token_file: Option<&Path>) -> Result<Self> {
        let uri: Uri = url
            .parse()
            .with_context(|| format!("{url} is no address"))?;
        ensure!(
            uri.scheme_str() == Some("http"),
            "{url}: write http://host:port; over a network, go through a proxy that speaks TLS or a tunnel"
        );
        let host = uri.host().with_context(|| format!("{url} names no host"))?;
        let token = token_file
            .map(|path| std::fs::read_to_string(path).with_context(|| path.display().to_string()))
            .transpose()?;
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(80),
            token: token.map(|token| token.trim_end().to_owned()),
        })
    }

    /// Reads the JSON at `path`; `None` if there is none.
    ///
    /// # Errors
    /// No answer, or another one than 200 and 404.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a request, with JSON where there is some, and reads the JSON that is answered; `None` if there is none.
    ///
    /// # Errors
    /// No answer, or another one than 200 and 404.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        json: Option<&Value>,
    ) -> Result<Option<T>> {
        let body = json.map_or_else(String::new, Value::to_string);
        self.send_text(method, path, JSON, body).await
    }

    /// Posts lines of JSON, and reads the JSON that is answered; `None` if there is none.
    ///
    /// # Errors
    /// No answer, or another one than 200 and 404.
    pub(crate) async fn send_lines<T: DeserializeOwned>(
        &self,
        path: &str,
        lines: String,
    ) -> Result<Option<T>> {
        self.send_text(Method::POST, path, LINES, lines).await
    }

    async fn send_text<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: String,
    ) -> Result<Option<T>> {
        // A query can hold what somebody wrote.
        let place = path.split('?').next().unwrap_or(path);
        let at = || format!("http://{}:{}{place}", self.host, self.port);
        let (status, body) = timeout(WITHIN, self.ask(method, path, kind, body))
            .await
            .unwrap_or_else(|_| bail!("no answer within {} s", WITHIN.as_secs()))
            .with_context(at)?;
        match status {
            StatusCode::OK => Ok(Some(serde_json::from_slice(&body).with_context(at)?)),
            StatusCode::NOT_FOUND => Ok(None),
            status @ StatusCode::TOO_MANY_REQUESTS => {
                Err(Busy(format!("{} answers {status}: {}", at(), problem(&body))).into())
            }
            status => bail!("{} answers {status}: {}", at(), problem(&body)),
        }
    }

    /// Asks `/readyz`.
    ///
    /// # Errors
    /// No answer, or that it is not ready and why.
    pub(crate) async fn check_readiness(&self) -> Result<()> {
        let (status, body) = timeout(
            WITHIN,
            self.ask(Method::GET, "/readyz", JSON, String::new()),
        )
        .await
        .unwrap_or_else(|_| bail!("no answer within {} s", WITHIN.as_secs()))?;
        ensure!(
            status == StatusCode::OK,
            "it answers {status}: {}",
            problem(&body)
        );
        Ok(())
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: String,
    ) -> Result<(StatusCode, Bytes)> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, self.port)).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, format!("{}:{}", self.host, self.port));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let response = sender
            .send_request(request.body(Full::new(Bytes::from(body)))?)
            .await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("the answer cannot be read: {error}"))?;
        connection.abort();
        Ok((status, body.to_bytes()))
    }
}

/// The words of an RFC 9457 problem, or as much of the body as a line holds.
fn problem(body: &[u8]) -> String {
    let detail = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|problem| {
            problem
                .get("detail")
                .and_then(|detail| detail.as_str())
                .map(str::to_owned)
        });
    let words = detail.unwrap_or_else(|| String::from_utf8_lossy(body).chars().take(200).collect());
    crate::output::visible(&words)
}
