//! The servers of a control plane, as it runs them: the one that proxies ask, and the one that people ask.

use std::net::SocketAddr;
use std::sync::Arc;

use sekisho_api::fleet::{
    Books, Caller, Callers, Errands, FleetRunning, FleetServer, FleetSources, NotAdmitted, Ready,
    Reports, Wanted,
};
use sekisho_api::{Answer, Configs, Server, Sources, Tally, Token};
use sekisho_policy::Envelope;
use sekisho_runtime::tls::{CertResolver, Identity};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use sekisho_store::{AccountStates, Store};
use sekisho_testkit::ask_http;
use serde_json::Value;
use tempfile::TempDir;

use crate::world::World;

const TOKEN: &str = "0123456789abcdef";

/// A control plane whose proxies show their names as tokens.
pub(crate) struct Desk {
    /// Where proxies ask.
    pub(crate) fleet: SocketAddr,
    /// Where people do.
    http: SocketAddr,
    reports: Reports,
    shutdown: Shutdown,
    _folder: TempDir,
}

struct Names;

impl Callers for Names {
    fn identify<'a>(
        &'a self,
        token: &'a str,
        wanted: Wanted<'a>,
    ) -> Answer<'a, Result<Caller, NotAdmitted>> {
        let answer = match wanted {
            Wanted::Gateway("mail/outbound") => Ok(Caller::Proxy { name: token.into() }),
            _ => Err(NotAdmitted::Forbidden("not this pod's gateway".into())),
        };
        Box::pin(async { answer })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl Desk {
    /// One that knows this gateway. Proxies go on with the rules that they have.
    pub(crate) async fn open(world: &World, gateway: Envelope) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger.sqlite")).await;
        let store = store.unwrap();
        let (clock, metrics, shutdown) = (Clock::system(), Metrics::new(), Shutdown::new());
        let (reports, tally) = (Reports::new(metrics.clone()), Tally::default());
        let accounts = Some(AccountStates::in_ledger(&store));
        let (errands, ready) = (Errands::alone(reports.clone()), Ready::default());
        ready.set();
        let (books, writer) =
            Books::with_store(store.clone(), tally.clone(), clock.clone(), metrics.clone());
        tokio::spawn(writer.run());
        let sources = FleetSources {
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
            configs: Configs::default(),
            reports: reports.clone(),
            errands: errands.clone(),
            books,
            accounts: accounts.clone(),
            clock: clock.clone(),
            callers: Arc::new(Names),
            ready: ready.clone(),
        };
        let fleet = serve_fleet(world, &clock, sources).await;
        let configs = Configs::default();
        configs.publish(Arc::new(gateway));
        let running = FleetRunning::new(configs.clone(), reports.fleet(), errands, ready);
        let sources = Sources {
            clock,
            metrics,
            health: Health::default(),
            shutdown: shutdown.clone(),
            configs,
            store: Some(store),
            accounts,
            tally,
            running: Arc::new(running),
            inbox: None,
            first_message: None,
        };
        let token = Token::parse(TOKEN).unwrap();
        let loopback = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(loopback, Some(token), sources).await.unwrap();
        let http = server.address();
        shutdown.spawn(server.run());
        let (register, until) = (reports.clone(), shutdown.clone());
        tokio::spawn(async move { register.run(&until).await });
        Self {
            fleet,
            http,
            reports,
            shutdown,
            _folder: folder,
        }
    }

    /// Waits until so many proxies are connected.
    pub(crate) async fn connected(&self, count: usize) {
        let mut fleet = self.reports.fleet();
        let all =
            fleet.wait_for(|fleet| fleet.get("mail/outbound").map_or(0, |g| g.len()) == count);
        all.await.unwrap();
    }

    /// Status and body of what somebody with the token is answered.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        ask_http(self.http, (method, path), Some(TOKEN), body)
    }
}

async fn serve_fleet(world: &World, clock: &Clock, sources: FleetSources) -> SocketAddr {
    let (certificate, key) = world.authority.issue("127.0.0.1");
    let now = clock.now_ms();
    let identity = Identity::from_pem("test", certificate.as_bytes(), key.as_bytes(), now);
    let certificates = CertResolver::new(identity.unwrap(), Vec::new());
    let loopback = "127.0.0.1:0".parse().unwrap();
    let shutdown = sources.shutdown.clone();
    let server = FleetServer::bind(loopback, certificates, sources, axum::Router::new());
    let server = server.await.unwrap();
    let address = server.address();
    shutdown.spawn(server.run());
    address
}
