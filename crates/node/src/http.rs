//! `/metrics`, `/healthz` and `/readyz`, for the kubelet and Prometheus alone: nothing here shows configuration or people.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown, metrics};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 64;
/// A request head takes no longer; an idle connection is closed after it.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// A connection is not kept longer, whatever its reader does.
const CONNECTION_WITHIN: Duration = Duration::from_secs(5 * 60);
const LARGEST_HEAD: usize = 16 * 1024;
const AFTER_FAULT: Duration = Duration::from_millis(100);

/// What is asked for answers.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) shutdown: Shutdown,
}

/// Binds `address`.
///
/// # Errors
/// Somebody has it, or it is none of this machine's.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another address with --http")
    })?;
    tracing::info!(address = %listener.local_addr()?, "serving /metrics, /healthz and /readyz");
    Ok(listener)
}

/// Serves until the process ends: a probe must see that it drains.
pub(crate) async fn serve(listener: TcpListener, sources: Sources) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sources = sources.clone();
                tokio::spawn(async move {
                    // Whoever breaks off or sends no HTTP ends its own connection; there is nothing to tell anybody.
                    let _ = timeout(CONNECTION_WITHIN, converse(stream, sources)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                sleep(AFTER_FAULT).await;
            }
        }
    }
}

async fn converse(stream: TcpStream, sources: Sources) -> Result<(), hyper::Error> {
    let answering = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &sources);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answering)
        .await
}

fn answer<B>(request: &Request<B>, sources: &Sources) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let refused = |status, text: &str| respond(status, TEXT, text.to_owned());
    let known = ["/metrics", "/healthz", "/readyz"].contains(&request.uri().path());
    if known && ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "this is asked for with GET\n",
        );
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let text = sources.metrics.encode(sources.clock.now_ms());
            respond(StatusCode::OK, metrics::CONTENT_TYPE, text)
        }
        "/healthz" => match sources.health.liveness() {
            Ok(well) => respond(StatusCode::OK, TEXT, well.to_owned()),
            Err(why) => refused(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        "/readyz" => {
            let report = sources.health.readiness(sources.shutdown.is_draining());
            let status = if report.is_ready() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            // States and texts: writing them as JSON cannot fail.
            let json = serde_json::to_string(&report).unwrap_or_default();
            respond(status, "application/json", json)
        }
        _ => refused(
            StatusCode::NOT_FOUND,
            "there is /metrics, /healthz and /readyz\n",
        ),
    }
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str, sources: &Sources) -> StatusCode {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(())
            .unwrap();
        answer(&request, sources).status()
    }

    #[tokio::test]
    async fn probes_are_told_what_is_so() {
        let sources = Sources {
            clock: Clock::manual(0),
            metrics: Metrics::new(),
            health: Health::default(),
            shutdown: Shutdown::new(),
        };
        let config = sources.health.component("config");
        let get = |path: &str| ask(Method::GET, path, &sources).as_u16();
        assert_eq!((get("/readyz"), get("/healthz")), (503, 200));
        config.degraded("old rules");
        assert_eq!((get("/readyz"), get("/metrics"), get("/")), (200, 200, 404));
        assert_eq!(ask(Method::POST, "/metrics", &sources).as_u16(), 405);
        sources.shutdown.begin();
        assert_eq!(
            get("/readyz"),
            503,
            "a process that drains takes no more work"
        );
        drop(sources.health.vital("ledger"));
        assert_eq!(get("/healthz"), 503);
    }
}
