//! A control plane that follows a script: what it offers, whom it believes, and what it was told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use sekisho_policy::{Envelope, Report};
use sekisho_testkit::wait_until;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub(crate) const TOKEN: &str = "the-first-token";

/// What `GET /v1/config` answers.
#[derive(Clone)]
pub(crate) enum Offer {
    Status(u16),
    Snapshot(Box<Envelope>),
    /// These octets, said to be zstd, under this digest.
    Octets(Vec<u8>, Option<String>),
}

pub(crate) struct State {
    pub(crate) offer: Offer,
    pub(crate) token: String,
    pub(crate) tls: Arc<ServerConfig>,
    /// Takes connections and says nothing, not even in TLS.
    pub(crate) hangs: bool,
    /// What `POST /v1/records` answers.
    pub(crate) records_status: u16,
    pub(crate) reports: Vec<Report>,
    pub(crate) tokens: Vec<String>,
    /// Records by instance, at their place in its sequence.
    pub(crate) records: BTreeMap<String, BTreeMap<u64, Value>>,
    pub(crate) record_requests: u64,
    pub(crate) connections: u64,
    pub(crate) polls: u64,
    /// What it says of accounts, each at its revision; `None` where it keeps nothing of the kind.
    pub(crate) states: Option<BTreeMap<u64, Value>>,
    /// What its store is called.
    pub(crate) store: Option<&'static str>,
    /// What it says of accounts' settings, each at its revision; `None` where it keeps nothing of the kind.
    pub(crate) settings: Option<BTreeMap<u64, Value>>,
    /// What proxies imposed.
    pub(crate) impositions: Vec<Value>,
    /// Polls for what it says of accounts.
    pub(crate) state_polls: u64,
}

#[derive(Clone)]
pub(crate) struct ControlPlane {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    hang_up: Arc<Notify>,
    _accepting: Arc<Accepting>,
}

struct Accepting(JoinHandle<()>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ControlPlane {
    pub(crate) async fn start(tls: Arc<ServerConfig>, offer: Offer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, tls, offer)
    }

    pub(crate) fn serve(listener: TcpListener, tls: Arc<ServerConfig>, offer: Offer) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            offer,
            token: TOKEN.to_owned(),
            tls,
            hangs: false,
            records_status: 204,
            reports: Vec::new(),
            tokens: Vec::new(),
            records: BTreeMap::new(),
            record_requests: 0,
            connections: 0,
            polls: 0,
            states: None,
            store: None,
            settings: None,
            impositions: Vec::new(),
            state_polls: 0,
        }));
        let (changed, hang_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let served = Served {
            state: state.clone(),
            changed: changed.clone(),
        };
        let accepting = tokio::spawn(accept(listener, served, hang_up.clone()));
        Self {
            address,
            state,
            changed,
            hang_up,
            _accepting: Arc::new(Accepting(accepting)),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Offers something else; open polls are answered.
    pub(crate) fn offer(&self, offer: Offer) {
        self.state().offer = offer;
        self.changed.notify_waiters();
    }

    /// Says something of an account, from now on.
    pub(crate) fn say(&self, change: Value) {
        {
            let mut state = self.state();
            let states = state.states.get_or_insert_default();
            let revision = states.len() as u64 + 2;
            states.insert(revision, change);
        }
        self.changed.notify_waiters();
    }

    /// An account's settings are these from now on.
    pub(crate) fn set(&self, account: &str, settings: Value) {
        {
            let mut state = self.state();
            let all = state.settings.get_or_insert_default();
            let revision = all.len() as u64 + 2;
            all.insert(
                revision,
                json!({ "account": account, "settings": settings }),
            );
        }
        self.changed.notify_waiters();
    }

    /// Ends every connection.
    pub(crate) fn hang_up(&self) {
        self.hang_up.notify_waiters();
    }

    /// Waits until a report says this.
    pub(crate) fn wait_for_report(&self, what: &str, says: impl Fn(&Report) -> bool) -> Report {
        wait_until(&format!("a report: {what}"), || {
            let state = self.state();
            state
                .reports
                .iter()
                .rev()
                .find(|report| says(report))
                .cloned()
        })
    }

    pub(crate) fn wait_for(&self, what: &str, is: impl Fn(&State) -> bool) {
        wait_until(what, || is(&self.state()).then_some(()));
    }

    /// All records, in the order of their streams.
    pub(crate) fn records(&self) -> Vec<Value> {
        let state = self.state();
        let streams = state.records.values();
        streams
            .flat_map(|stream| stream.values().cloned())
            .collect()
    }
}

#[derive(Clone)]
struct Served {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

async fn accept(listener: TcpListener, served: Served, hang_up: Arc<Notify>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                served.state.lock().unwrap().connections += 1;
                connections.spawn(converse(stream, served.clone()));
            }
            () = hang_up.notified() => connections.abort_all(),
        }
    }
}

async fn converse(stream: TcpStream, served: Served) {
    let (tls, hangs) = {
        let state = served.state.lock().unwrap();
        (state.tls.clone(), state.hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(served.answer(request).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Served {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned())
        };
        let token = header(AUTHORIZATION.as_str()).unwrap_or_default();
        let expected = {
            let mut state = self.state.lock().unwrap();
            state.tokens.push(token.clone());
            format!("Bearer {}", state.token)
        };
        if token != expected {
            return status(401);
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        if !["/v1/state", "/v1/settings"].contains(&request.uri().path()) {
            assert_eq!(query, "gateway=mail/outbound");
        }
        match request.uri().path() {
            "/v1/config" => {
                let waits = header("prefer")
                    .map(|prefer| assert_eq!(prefer, "wait=50"))
                    .is_some();
                assert_eq!(header("sekisho-schema").as_deref(), Some("1"));
                self.config(header(IF_NONE_MATCH.as_str()), waits).await
            }
            "/v1/ack" => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let report = Report::read(&body).unwrap();
                self.state.lock().unwrap().reports.push(report);
                status(204)
            }
            "/v1/records" => {
                let instance = header("sekisho-instance").unwrap();
                let first: u64 = header("sekisho-sequence").unwrap().parse().unwrap();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                self.take_records(instance, first, &body)
            }
            "/v1/state" if request.method() == Method::POST => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let answer = self.take_impositions(&body);
                self.changed.notify_waiters();
                answer
            }
            "/v1/state" => {
                let since = query.strip_prefix("gateway=mail/outbound&since=").unwrap();
                self.states(since.parse().unwrap()).await
            }
            "/v1/settings" => {
                assert_eq!(request.method(), Method::GET);
                let since = query.strip_prefix("gateway=mail/outbound&since=").unwrap();
                let since = since.parse().unwrap();
                self.told(since, |state| state.settings.as_ref()).await
            }
            _ => status(404),
        }
    }

    async fn states(&self, since: u64) -> Response<Full<Bytes>> {
        self.state.lock().unwrap().state_polls += 1;
        self.told(since, |state| state.states.as_ref()).await
    }

    /// What is said after a revision, once there is something.
    async fn told(
        &self,
        since: u64,
        of: impl Fn(&State) -> Option<&BTreeMap<u64, Value>>,
    ) -> Response<Full<Bytes>> {
        let news = || {
            let state = self.state.lock().unwrap();
            let states = of(&state)?;
            let newest = states.keys().next_back().copied().unwrap_or(1);
            // One that is ahead knows what this one has forgotten.
            let since = if since > newest { 0 } else { since };
            let changes: Vec<_> = states
                .range(since + 1..)
                .map(|(_, change)| change)
                .collect();
            let onto = if since == 0 { "Nothing" } else { "Known" };
            let answer = json!({
                "revision": newest, "onto": onto, "rest": "Nothing", "changes": changes, "store": state.store
            });
            Some((answer, changes.is_empty()))
        };
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                match news() {
                    None => return status(404),
                    Some((answer, true)) if since > 0 && answer["onto"] == "Known" => {}
                    Some((answer, _)) => {
                        return Response::new(Full::new(answer.to_string().into()));
                    }
                }
                changed.await;
            }
        };
        waiting.await
    }

    fn take_impositions(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().unwrap();
        let told: Value = serde_json::from_slice(body).unwrap();
        let impositions = told["impositions"].as_array().unwrap();
        let Some(states) = &mut state.states else {
            return status(404);
        };
        for imposition in impositions {
            let revision = states.len() as u64 + 2;
            let mut change = imposition.clone();
            change["origin"] = imposition["restriction"]["origin"].clone();
            states.insert(revision, change);
        }
        let revision = states.len() + 1;
        state.impositions.extend(impositions.iter().cloned());
        let answer =
            json!({ "revision": revision, "onto": "Known", "rest": "Nothing", "changes": [] });
        Response::new(Full::new(answer.to_string().into()))
    }

    async fn config(&self, known: Option<String>, waits: bool) -> Response<Full<Bytes>> {
        if !waits {
            return self.news(known.as_deref()).unwrap_or_else(|| status(304));
        }
        self.state.lock().unwrap().polls += 1;
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(response) = self.news(known.as_deref()) {
                    return response;
                }
                changed.await;
            }
        };
        let waited = timeout(Duration::from_secs(50), waiting).await;
        waited.unwrap_or_else(|_| status(304))
    }

    fn news(&self, known: Option<&str>) -> Option<Response<Full<Bytes>>> {
        let offer = self.state.lock().unwrap().offer.clone();
        let (octets, digest) = match offer {
            Offer::Status(code) => return Some(status(code)),
            Offer::Snapshot(envelope) => (packed(&envelope), Some(envelope.digest)),
            Offer::Octets(octets, digest) => (octets, digest),
        };
        let tag = digest.map(|digest| format!("\"{digest}\""));
        if known.is_some() && known == tag.as_deref() {
            return None;
        }
        let mut response = Response::builder().header(CONTENT_ENCODING, "zstd");
        if let Some(tag) = tag {
            response = response.header(ETAG, tag);
        }
        Some(response.body(Full::new(octets.into())).unwrap())
    }

    fn take_records(&self, instance: String, first: u64, body: &[u8]) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().unwrap();
        state.record_requests += 1;
        if state.records_status != 204 {
            return status(state.records_status);
        }
        let lines = zstd::decode_all(body).unwrap();
        let stream = state.records.entry(instance).or_default();
        let lines = lines.split(|c| *c == b'\n').filter(|line| !line.is_empty());
        for (at, line) in (first..).zip(lines) {
            stream.insert(at, serde_json::from_slice(line).unwrap());
        }
        status(204)
    }
}

pub(crate) fn packed(envelope: &Envelope) -> Vec<u8> {
    zstd::encode_all(&*serde_json::to_vec(envelope).unwrap(), 3).unwrap()
}

fn status(code: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}
