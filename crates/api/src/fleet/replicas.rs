//! How a replica of the control plane reaches another: over TLS, each known to the other by its pod's token and by the name of the Service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use sekisho_runtime::tls::{Roots, Verification, client_config};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::state::Answer;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// So much of what is said of a refusal is shown.
const LONGEST_DETAIL: usize = 500;

/// Who holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This replica.
    Me,
    /// The replica that serves the fleet at this address.
    At(SocketAddr),
}

/// How this replica makes itself known to another, and knows it. Both are asked for anew with each connection, since both
/// are replaced now and then.
pub trait Introduction: Send + Sync {
    /// The control plane's own service-account token.
    fn token(&self) -> Answer<'_, Result<String, String>>;

    /// The control plane's authorities, as PEM.
    fn authorities(&self) -> Answer<'_, Result<Vec<u8>, String>>;
}

/// The other replicas. An address may be a pod's; the certificate must be for the name of the Service. Cloning shares it.
#[derive(Clone)]
pub struct Replicas {
    introduction: Arc<dyn Introduction>,
    service: ServerName<'static>,
}

/// What went wrong with another replica.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplicaError {
    #[error("{what}: {why}")]
    Introduction { what: &'static str, why: String },
    #[error(transparent)]
    Tls(#[from] sekisho_runtime::Error),
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("{0} took too long")]
    Late(&'static str),
    #[error("the connection broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("a request cannot be written: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("what is to be said, or what was answered, is not as it should be: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the answer broke off, or is longer than {0} octets")]
    Body(usize),
    #[error("it answered {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
}

/// A connection to another replica.
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    token: String,
}

impl Replicas {
    /// Those of the Service of this DNS name, `sekisho-control.NAMESPACE.svc`.
    pub fn new(introduction: Arc<dyn Introduction>, service: ServerName<'static>) -> Self {
        Self {
            introduction,
            service,
        }
    }

    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Line, ReplicaError> {
        let introduction = |what| move |why| ReplicaError::Introduction { what, why };
        let token = self.introduction.token().await;
        let token = token.map_err(introduction("no token"))?;
        let pem = self.introduction.authorities().await;
        let pem = pem.map_err(introduction("no authorities"))?;
        let tls = client_config(Verification::Required(Roots::Pem {
            origin: "the control plane's authorities",
            pem: &pem,
        }))?;
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let connector = TlsConnector::from(tls);
            let stream = connector.connect(self.service.clone(), stream).await?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            // It ends with the sender; what went wrong is told to the request.
            tokio::spawn(connection);
            Ok(sender)
        };
        let sender = timeout(CONNECT_WITHIN, connecting).await;
        Ok(Line {
            sender: sender.unwrap_or(Err(ReplicaError::Late("connecting")))?,
            host: self.service.to_str().into_owned(),
            token,
        })
    }
}

impl Line {
    /// Posts a body of JSON; the body of the answer, which has `most` octets at most.
    pub(super) async fn post(
        &mut self,
        path: &str,
        body: Vec<u8>,
        within: Duration,
        most: usize,
    ) -> Result<Bytes, ReplicaError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let answering = async {
            self.sender.ready().await?;
            let answer = self.sender.send_request(request).await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), most).collect().await;
            let body = body.map(|body| body.to_bytes());
            if status.is_success() {
                return body.map_err(|_| ReplicaError::Body(most));
            }
            let detail = detail(&body.unwrap_or_default());
            Err(ReplicaError::Refused { status, detail })
        };
        timeout(within, answering)
            .await
            .unwrap_or(Err(ReplicaError::Late("an answer")))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

fn detail(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST_DETAIL)
        .collect()
}
