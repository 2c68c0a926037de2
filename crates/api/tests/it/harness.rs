//! A server with callers of a test's own, and a client that trusts it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use sekisho_api::fleet::{
    Books, Caller, Callers, Errands, FleetRunning, FleetServer, FleetSources, Introduction,
    NotAdmitted, Ready, Reports, Wanted,
};
use sekisho_api::{Answer, Configs, Tally};
use sekisho_policy::Envelope;
use sekisho_runtime::tls::{CertResolver, Identity, Roots, Verification, client_config};
use sekisho_runtime::{Clock, Metrics, Shutdown};
use sekisho_store::{AccountStates, Store};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) const SERVICE: &str = "sekisho-control.sekisho.svc";
pub(crate) const NOW: u64 = 1_780_300_000_000;

/// Tokens say who they are: `proxy~NAME~NAMESPACE/GATEWAY` and `replica~NAME`.
#[derive(Default)]
pub(crate) struct Names(pub(crate) AtomicUsize);

impl Callers for Names {
    fn identify<'a>(
        &'a self,
        token: &'a str,
        wanted: Wanted<'a>,
    ) -> Answer<'a, Result<Caller, NotAdmitted>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let parts: Vec<_> = token.split('~').collect();
        let answer = match (parts.as_slice(), wanted) {
            (["proxy", name, own], Wanted::Gateway(asked)) if *own == asked => Ok(Caller::Proxy {
                name: (*name).into(),
            }),
            (["replica", name], _) => Ok(Caller::Replica {
                name: (*name).into(),
            }),
            (["proxy", ..], _) => Err(NotAdmitted::Forbidden("not this pod's gateway".into())),
            (["down"], _) => Err(NotAdmitted::Unavailable("the API server is away".into())),
            _ => Err(NotAdmitted::Unauthenticated("nobody's token".into())),
        };
        Box::pin(async { answer })
    }
}

pub(crate) struct Control {
    pub(crate) address: SocketAddr,
    pub(crate) configs: Configs,
    /// What accounts may not do, where there is a store.
    pub(crate) accounts: Option<AccountStates>,
    pub(crate) reports: Reports,
    pub(crate) metrics: Metrics,
    pub(crate) callers: Arc<Names>,
    pub(crate) ready: Ready,
    pub(crate) shutdown: Shutdown,
    pub(crate) authorities: String,
    pub(crate) errands: Errands,
}

/// How a replica of a test makes itself known.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) authorities: Vec<u8>,
}

impl Introduction for Known {
    fn token(&self) -> Answer<'_, Result<String, String>> {
        let token = format!("replica~{}", self.name);
        Box::pin(async { Ok(token) })
    }

    fn authorities(&self) -> Answer<'_, Result<Vec<u8>, String>> {
        let pem = self.authorities.clone();
        Box::pin(async { Ok(pem) })
    }
}

impl Control {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    pub(crate) async fn start_with(store: Option<Store>) -> Self {
        let control = Self::start_unready(store).await;
        control.ready.set();
        control
    }

    /// One whose account states are elsewhere.
    pub(crate) async fn start_over(accounts: AccountStates) -> Self {
        let control = Self::start_parts(None, Some(accounts), Errands::alone).await;
        control.ready.set();
        control
    }

    /// One replica of several.
    pub(crate) async fn start_among(errands: impl FnOnce(Reports) -> Errands) -> Self {
        let control = Self::start_parts(None, None, errands).await;
        control.ready.set();
        control
    }

    /// A replica that has not seen what there is.
    pub(crate) async fn start_unready(store: Option<Store>) -> Self {
        let accounts = store.as_ref().map(AccountStates::in_ledger);
        Self::start_parts(store, accounts, Errands::alone).await
    }

    async fn start_parts(
        store: Option<Store>,
        accounts: Option<AccountStates>,
        errands: impl FnOnce(Reports) -> Errands,
    ) -> Self {
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let (configs, reports) = (Configs::default(), Reports::new(metrics.clone()));
        let errands = errands(reports.clone());
        let (callers, ready) = (Arc::new(Names::default()), Ready::default());
        let clock = Clock::manual(NOW);
        let books = match store {
            Some(store) => {
                let (books, writer) =
                    Books::with_store(store, Tally::default(), clock.clone(), metrics.clone());
                tokio::spawn(writer.run());
                books
            }
            None => Books::without_store(Tally::default(), clock.clone(), metrics.clone()),
        };
        let (identity, authorities) = identity();
        let sources = FleetSources {
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            configs: configs.clone(),
            reports: reports.clone(),
            errands: errands.clone(),
            books,
            accounts: accounts.clone(),
            clock,
            callers: callers.clone(),
            ready: ready.clone(),
        };
        let extra = axum::Router::new().route("/inject", axum::routing::post(async || "injected"));
        let certificates = CertResolver::new(identity, Vec::new());
        let loopback = "127.0.0.1:0".parse().unwrap();
        let server = FleetServer::bind(loopback, certificates, sources, extra)
            .await
            .unwrap();
        let address = server.address();
        shutdown.spawn(server.run());
        let (register, until) = (reports.clone(), shutdown.clone());
        tokio::spawn(async move { register.run(&until).await });
        Self {
            address,
            accounts,
            configs,
            reports,
            metrics,
            callers,
            ready,
            shutdown,
            authorities,
            errands,
        }
    }

    /// What the local server of this replica draws from.
    pub(crate) fn running(&self) -> FleetRunning {
        FleetRunning::new(
            self.configs.clone(),
            self.reports.fleet(),
            self.errands.clone(),
            self.ready.clone(),
        )
    }

    pub(crate) async fn connect(&self) -> Client {
        let pem = self.authorities.as_bytes();
        let origin = "test";
        let tls = client_config(Verification::Required(Roots::Pem { origin, pem })).unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = SERVICE.try_into().unwrap();
        let stream = TlsConnector::from(tls).connect(name, stream).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client(sender)
    }

    /// Waits until so many proxies are connected.
    pub(crate) async fn connected(&self, gateway: &str, count: usize) {
        let mut fleet = self.reports.fleet();
        fleet
            .wait_for(|fleet| fleet.get(gateway).map_or(0, |g| g.len()) == count)
            .await
            .unwrap();
    }
}

pub(crate) struct Client(pub(crate) SendRequest<Full<Bytes>>);

pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .header("host", SERVICE)
            .body(Full::from(body.into()))
            .unwrap();
        self.0.ready().await.unwrap();
        let (head, body) = self.0.send_request(request).await.unwrap().into_parts();
        Answered {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }
}

fn identity() -> (Identity, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![SERVICE.to_owned()]).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    let pem = params.self_signed(&key).unwrap().pem();
    let private = key.serialize_pem();
    let identity = Identity::from_pem("test", pem.as_bytes(), private.as_bytes(), NOW).unwrap();
    (identity, pem)
}

/// A snapshot of `mail/GATEWAY`, another one for each port.
pub(crate) fn envelope(gateway: &str, schema: u32, port: u16) -> Arc<Envelope> {
    let snapshot = serde_json::json!({
        "schema": schema,
        "gateway": {
            "object": { "kind": "MailGateway", "namespace": "mail", "name": gateway },
            "listeners": [],
            "authentication": { "requirement": "Optional", "backends": ["upstream"], "mechanisms": ["PLAIN"] },
            "upstream": { "endpoints": [{ "host": "postfix", "port": port }], "tls": "Off",
                "clientIdentity": "None", "recipientCheck": "AtRcpt" },
            "afterData": 45_000,
            "onUnavailable": { "config": "Keep", "message": "RouteClean" },
            "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" },
        },
        "rules": [],
        "pools": {},
    });
    let snapshot = serde_json::from_value(snapshot).unwrap();
    Arc::new(Envelope::seal(u64::from(port), snapshot))
}
