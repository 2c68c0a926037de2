//! The HTTP server: which routes there are, and how connections are kept from costing much.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sekisho_runtime::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::access::{self, Access, Token};
use crate::problem::Problem;
use crate::state::{App, Sources};
use crate::{
    Error, accounts, bounces, brakes, configs, health, inbox, metrics, overview, page, points,
    records, settings, settings_jobs,
};

/// Connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 256;
/// A request head takes no longer; an idle connection is closed after it.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// No answer takes longer; the longest long poll takes 50 seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// A connection is not kept longer, whatever its reader does.
const CONNECTION_WITHIN: Duration = Duration::from_secs(10 * 60);
const LARGEST_HEAD: usize = 32 * 1024;

/// A bound server; [`Server::run`] serves.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    shutdown: Shutdown,
}

impl Server {
    /// Binds `address`. With a token, whatever shows configuration or people asks for it; without one, that is served
    /// on loopback addresses only.
    ///
    /// # Errors
    /// [`Error::Bind`].
    pub async fn bind(
        address: SocketAddr,
        token: Option<Token>,
        sources: Sources,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let shutdown = sources.shutdown.clone();
        let router = router(App::new(sources, Access::of(bound, token)));
        Ok(Self {
            listener,
            address: bound,
            router,
            shutdown,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process drains, then lets answers that are under way finish.
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
                    let (router, shutdown) = (self.router.clone(), self.shutdown.clone());
                    self.shutdown.spawn(async move {
                        serve(stream, router, &shutdown).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "an HTTP connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, shutdown: &Shutdown) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // A peer that breaks off or sends no HTTP ends its own connection; there is nothing to tell anybody.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.draining() => {}
        () = sleep(CONNECTION_WITHIN) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(ANSWER_WITHIN, connection) => {}
        () = shutdown.aborting() => {}
    }
}

fn router(app: App) -> Router {
    let guarded = Router::new()
        .route("/", get(page::show))
        .route("/page.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/v1/overview", get(overview::show))
        .route("/v1/config", get(configs::show))
        .route("/v1/brakes", delete(brakes::reset))
        .route("/v1/records", get(records::list))
        .route("/v1/records/{id}", get(records::show))
        .route("/v1/snapshots/{digest}", get(records::snapshot))
        .route("/v1/accounts/{account}", get(accounts::show))
        .route(
            "/v1/accounts/{account}/restrictions",
            post(accounts::restrict).delete(accounts::release),
        )
        .route("/v1/accounts/{account}/history", get(accounts::history))
        .route("/v1/accounts/{account}/points", get(points::show))
        .route(
            "/v1/accounts/{account}/settings",
            get(settings::show)
                .put(settings::replace)
                .patch(settings::change)
                .delete(settings::reset),
        )
        .route(
            "/v1/accounts/{account}/settings/history",
            get(settings::history),
        )
        .route(
            "/v1/settings/bulk",
            get(settings_jobs::list).post(settings_jobs::begin),
        )
        .route(
            "/v1/settings/bulk/{id}",
            get(settings_jobs::show).delete(settings_jobs::cancel),
        )
        .route("/v1/bounces", post(bounces::post))
        .route("/demo/messages", get(inbox::show))
        .layer(middleware::from_fn_with_state(app.clone(), access::guard));
    Router::new()
        .route("/metrics", get(metrics::show))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .merge(guarded)
        .fallback(async || Problem::not_found("there is nothing here; see /"))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this is asked for in another way: GET for everything but /v1/brakes, which takes DELETE, restrictions of accounts, which take POST and DELETE, settings of accounts, which take PUT, PATCH and DELETE, changes of many of them, which take POST and DELETE, and /v1/bounces, which takes POST"))
        .layer(middleware::from_fn(in_time))
        .with_state(app)
}

/// Ends an answer that takes too long, and marks every answer as not to be kept or guessed at.
async fn in_time(request: Request, next: Next) -> Response {
    let mut response = match timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this took too long").into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
