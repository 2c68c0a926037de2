//! The HTTPS server: who may connect how long, and what a request may cost before its sender is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::server::ResolvesServerCert;
use sekisho_runtime::Shutdown;
use sekisho_runtime::tls::server_config;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::sources::{Fleet, FleetSources};
use super::{ack, config, errands, peers, random, records, settings, state};
use crate::Error;
use crate::problem::Problem;

/// Connections at once: four of each proxy (configuration, states, settings, errands) and one or two that pass, and the replicas'. More
/// wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 6144;
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A request head takes no longer; an idle connection is closed after it. Replicas report every 15 seconds.
const HEAD_WITHIN: Duration = Duration::from_secs(20);
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// No answer takes longer; the longest long poll takes 50 seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A connection is asked to end between these ages, so that proxies spread over the replicas that there are.
const YOUNGEST_END: Duration = Duration::from_secs(5 * 60);
const OLDEST_END: Duration = Duration::from_secs(10 * 60);
const LARGEST_HEAD: usize = 32 * 1024;

/// A bound server; [`FleetServer::run`] serves.
pub struct FleetServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    router: Router,
    shutdown: Shutdown,
}

impl FleetServer {
    /// Binds `address`. Certificates are asked of `certificates` at each handshake, so they can be replaced at any time;
    /// `extra` is served beside the routes of the fleet, without asking who calls.
    ///
    /// # Errors
    /// [`Error::Bind`] and [`Error::Tls`].
    pub async fn bind(
        address: SocketAddr,
        certificates: Arc<dyn ResolvesServerCert>,
        sources: FleetSources,
        extra: Router,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address, source };
        let mut tls = Arc::unwrap_or_clone(server_config(certificates)?);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        Ok(Self {
            address: listener.local_addr().map_err(failed)?,
            listener,
            tls: TlsAcceptor::from(Arc::new(tls)),
            shutdown: sources.shutdown.clone(),
            router: router(Fleet::new(sources), extra),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process drains, then lets answers that are under way finish; long polls end at once.
    pub async fn run(self) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = self.shutdown.draining() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (tls, router) = (self.tls.clone(), self.router.clone());
                    let shutdown = self.shutdown.clone();
                    self.shutdown.spawn(async move {
                        serve(stream, tls, router, &shutdown).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection of the fleet could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, router: Router, shutdown: &Shutdown) {
    // Without it small answers wait for the peer's delayed acknowledgement; they arrive all the same.
    let _ = stream.set_nodelay(true);
    let handshake = timeout(HANDSHAKE_WITHIN, tls.accept(stream));
    let stream = tokio::select! {
        Ok(Ok(stream)) = handshake => stream,
        () = shutdown.draining() => return,
        // Whoever does not finish a handshake has nothing to be told.
        else => return,
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Before the answers that draining brings about, so that they tell the peer to connect anew.
        biased;
        () = shutdown.draining() => {}
        // A peer that breaks off ends its own connection.
        _ = connection.as_mut() => return,
        () = sleep(random::between(YOUNGEST_END, OLDEST_END)) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(ANSWER_WITHIN, connection) => {}
        () = shutdown.aborting() => {}
    }
}

fn router(fleet: Fleet, extra: Router) -> Router {
    Router::new()
        .route("/v1/config", get(config::show))
        .route("/v1/ack", post(ack::take))
        .route("/v1/records", post(records::take))
        .route("/v1/state", get(state::show).post(state::take))
        .route("/v1/settings", get(settings::show))
        .route("/v1/errands", get(errands::show))
        .route("/v1/errands/{id}", post(errands::take))
        .route("/v1/fleet", post(peers::hear))
        .route(errands::PATH, post(errands::hear))
        .fallback(async || Problem::not_found("there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this is asked for in another way: GET for /v1/config, /v1/errands, /v1/settings and /v1/state, POST for the others and to tell /v1/state",
            )
        })
        .with_state(fleet)
        .merge(extra)
        .layer(middleware::from_fn(in_time))
}

/// Ends an answer that takes too long.
async fn in_time(request: Request, next: Next) -> Response {
    let mut response = match timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::unavailable("this took too long", 1).into_response(),
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body of a request whose sender is known, if it comes in time and is not longer than `most` octets.
pub(super) async fn read_body(request: Request, most: usize) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), most).collect();
    match timeout(BODY_WITHIN, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("this takes {most} octets at most"),
        )),
        Ok(Err(_)) => Err(Problem::bad_request("the body broke off")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        )),
    }
}
