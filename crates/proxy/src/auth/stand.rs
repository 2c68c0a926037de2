//! A web server that says what a test wants, and what services are asked with, for tests.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sekisho_runtime::tls::{Roots, Verification, client_config};
use sekisho_runtime::{Clock, Metrics};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

use super::token::minted::NOW;
use super::{HashPool, Tools};
use crate::dns::Dns;
use crate::gateway::Credentials;

type Answering = dyn Fn(&Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync;
pub(super) type Seen = Arc<Mutex<Vec<Request<Bytes>>>>;

/// A server on a port of its own; it ends when it is dropped.
pub(super) struct Stand {
    pub(super) address: SocketAddr,
    inner: Arc<Inner>,
    _serving: AbortOnDropHandle<()>,
}

struct Inner {
    answering: Mutex<Arc<Answering>>,
    seen: Mutex<Seen>,
}

/// Answers.
pub(super) struct Reply;

impl Reply {
    pub(super) fn status(status: u16) -> Response<Full<Bytes>> {
        Response::builder()
            .status(status)
            .body(Full::default())
            .unwrap()
    }

    pub(super) fn json(text: &str) -> Response<Full<Bytes>> {
        Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())))
    }

    pub(super) fn redirect(to: &str) -> Response<Full<Bytes>> {
        let response = Response::builder().status(302).header("Location", to);
        response.body(Full::default()).unwrap()
    }

    pub(super) fn headers(headers: &[(&str, &str)]) -> Response<Full<Bytes>> {
        let mut response = Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Full::default()).unwrap()
    }
}

impl Stand {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            answering: Mutex::new(Arc::new(|_| Reply::status(404))),
            seen: Mutex::default(),
        });
        let serving = tokio::spawn(serve(listener, inner.clone()));
        Self {
            address,
            inner,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// From now on answers by this; what it is asked can be looked at.
    pub(super) fn answer(
        &self,
        by: impl Fn(&Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Seen {
        let seen = Seen::default();
        *self.inner.seen.lock().unwrap() = seen.clone();
        *self.inner.answering.lock().unwrap() = Arc::new(by);
        seen
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let inner = inner.clone();
        let service = service_fn(move |request| answer(request, inner.clone()));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    inner: Arc<Inner>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let request = Request::from_parts(parts, body);
    let answering = inner.answering.lock().unwrap().clone();
    let response = answering(&request);
    inner.seen.lock().unwrap().lock().unwrap().push(request);
    Ok(response)
}

#[derive(Debug)]
struct Secrets(BTreeMap<&'static str, &'static str>);

impl Credentials for Secrets {
    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        let value = self.0.get(&*format!("{secret}_{key}"))?;
        Some(Zeroizing::new(value.as_bytes().to_vec()))
    }

    fn label(&self, secret: &str) -> String {
        format!("Secret mail/{secret}")
    }
}

/// With the default domain example.jp, at the time that minted tokens know.
pub(crate) fn tools() -> Tools {
    let metrics = Metrics::new();
    let secrets = [
        ("client_username", "client"),
        ("client_password", "s:1"),
        ("key_value", "open sesame\n"),
    ];
    Tools {
        pool: HashPool::new(metrics.clone()),
        dns: Dns::system(metrics.clone()).unwrap(),
        tls: client_config(Verification::Required(Roots::WebPki)).unwrap(),
        credentials: Arc::new(Secrets(secrets.into())),
        metrics: metrics.gateway("mail/outbound"),
        clock: Clock::manual(NOW * 1000),
        default_domain: Some("example.jp".into()),
    }
}
