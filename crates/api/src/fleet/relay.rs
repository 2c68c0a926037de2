//! The client side of `POST /v1/fleet`: tells the lease holder what is connected to this replica.

mod table;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use sekisho_runtime::tls::{Roots, Verification, client_config};
use sekisho_runtime::{Metrics, Shutdown};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use self::table::Table;
use super::random;
use super::reports::Reports;
use crate::state::Answer;

/// A holder that hears nothing for three times as long drops the table.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Changes within this time are told at once.
const GATHER: Duration = Duration::from_millis(100);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// After a failure, so long and up to twice as long.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// An answer has a few words at most.
const LONGEST_ANSWER: usize = 16 * 1024;

/// Who holds the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This replica: what it knows need not be told.
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

/// Tells the lease holder. The address may be a pod's; the certificate must be for the name of the Service.
pub struct Relay<I> {
    pub reports: Reports,
    /// `None` while nobody holds the lease.
    pub holder: watch::Receiver<Option<Holder>>,
    pub introduction: I,
    /// The DNS name of the Service, `sekisho-control.NAMESPACE.svc`.
    pub service: ServerName<'static>,
    pub metrics: Metrics,
}

/// What ended a relation with a holder. None of it is fatal: the next one begins with a whole table.
#[derive(Debug, thiserror::Error)]
enum RelayError {
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
    #[error("a table cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it answered {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
}

/// Why telling one holder came to its end.
enum End {
    /// The holder closed the connection between two requests, as it does with old ones.
    Closed,
    /// There is another holder, or the process drains.
    Over,
}

impl<I: Introduction> Relay<I> {
    /// Runs until the process drains.
    pub async fn run(mut self, shutdown: &Shutdown) {
        loop {
            let holder = *self.holder.borrow_and_update();
            let over = match holder {
                Some(Holder::At(address)) => self.tell(address, shutdown).await,
                Some(Holder::Me) | None => tokio::select! {
                    changed = self.holder.changed() => changed.is_err(),
                    () = shutdown.draining() => true,
                },
            };
            if over || shutdown.is_draining() {
                return;
            }
        }
    }

    /// Tells one holder until there is another. Whether there will never be one again.
    async fn tell(&mut self, address: SocketAddr, shutdown: &Shutdown) -> bool {
        let mut holder = self.holder.clone();
        loop {
            let told = tokio::select! {
                told = self.tell_over_one_connection(address) => told,
                changed = holder.changed() => return changed.is_err(),
                () = shutdown.draining() => Ok(End::Over),
            };
            let pause = match told {
                Ok(End::Over) => return true,
                Ok(End::Closed) => Duration::ZERO,
                Err(error) => {
                    self.metrics.fleet_relay_failed();
                    tracing::warn!(%address, %error, "the lease holder cannot be told what is connected here");
                    random::between(RETRY_AFTER, RETRY_AFTER * 2)
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                changed = holder.changed() => return changed.is_err(),
                () = shutdown.draining() => return true,
            }
        }
    }

    async fn tell_over_one_connection(&self, address: SocketAddr) -> Result<End, RelayError> {
        let token = self.introduction.token().await;
        let token = token.map_err(|why| RelayError::Introduction {
            what: "no token",
            why,
        })?;
        let mut connection = self.connect(address).await?;
        let mut changes = self.reports.changes();
        let mut table = Table::new();
        let whole = table.whole(&self.reports.own(), Instant::now())?;
        for push in whole {
            self.send(&mut connection, &token, push).await?;
        }
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                // The sender is in `reports`.
                _ = changes.changed() => sleep(GATHER).await,
                () = sleep(HEARTBEAT.saturating_sub(heard.elapsed())) => {}
            }
            changes.mark_unchanged();
            let mut pushes = table.changes(&self.reports.own(), Instant::now())?;
            if pushes.is_empty() && heard.elapsed() >= HEARTBEAT {
                pushes.push(table.heartbeat()?);
            }
            for push in pushes {
                if connection.is_closed() {
                    return Ok(End::Closed);
                }
                self.send(&mut connection, &token, push).await?;
                heard = Instant::now();
            }
        }
    }

    async fn connect(&self, address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, RelayError> {
        let authorities = self.introduction.authorities().await;
        let pem = authorities.map_err(|why| RelayError::Introduction {
            what: "no authorities",
            why,
        })?;
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
        timeout(CONNECT_WITHIN, connecting)
            .await
            .unwrap_or(Err(RelayError::Late("connecting")))
    }

    async fn send(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        token: &str,
        push: Vec<u8>,
    ) -> Result<(), RelayError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/fleet")
            .header(HOST, &*self.service.to_str())
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(push))?;
        let answering = async {
            connection.ready().await?;
            let answer = connection.send_request(request).await?;
            let status = answer.status();
            let detail = Limited::new(answer.into_body(), LONGEST_ANSWER)
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            if status.is_success() {
                return Ok(());
            }
            let detail = String::from_utf8_lossy(&detail);
            let detail = detail
                .chars()
                .filter(|c| !c.is_control())
                .take(500)
                .collect();
            Err(RelayError::Refused { status, detail })
        };
        timeout(ANSWER_WITHIN, answering)
            .await
            .unwrap_or(Err(RelayError::Late("an answer")))
    }
}
