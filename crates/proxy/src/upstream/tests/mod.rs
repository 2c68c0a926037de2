//! Conversations with next hops that follow a script, well or badly, over loopback.

mod choice;
mod contest;
mod endpoints;
mod identity;
mod login;
mod message;
mod misbehaviour;
mod relay_login;
mod reuse;
mod tls;
mod tokens;
mod trust;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_policy::Snapshot;
use sekisho_policy::route::Route;
use sekisho_policy::snapshot::Pool;
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::MemberState;
use sekisho_runtime::tls::{Roots, Verification, client_config};
use sekisho_smtp::Command;
use sekisho_smtp::command::{ClientName, MailCommand, RcptCommand};
use sekisho_smtp::xclient::{Proto, Told};
use sekisho_testkit::Peer;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::{
    Caller, ClientIdentity, Deadlines, Destination, Environment, Failure, NextHops, Tokens,
    Transaction,
};
use crate::dns::Dns;
use crate::gateway::Credentials;

const FULL: &str =
    "250-hop\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n";
const BARE: &str = "250 hop\r\n";

/// A next hop on loopback.
pub(super) struct Hop(TcpListener);

impl Hop {
    pub(super) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(super) fn json(&self) -> Value {
        address(self.address())
    }

    pub(super) async fn accept(&self) -> Peer<TcpStream> {
        self.accept_from().await.0
    }

    pub(super) async fn accept_from(&self) -> (Peer<TcpStream>, IpAddr) {
        let accepted = timeout(Duration::from_secs(10), self.0.accept()).await;
        let (stream, from) = accepted.expect("a connection within ten seconds").unwrap();
        (Peer::over(stream), from.ip())
    }

    /// Accepts a connection that begins with a PROXY header; returns its first 16 octets.
    pub(super) async fn accept_proxied(&self) -> ([u8; 16], Peer<TcpStream>) {
        let mut stream = self.accept().await.into_stream();
        let mut fixed = [0; 16];
        stream.read_exact(&mut fixed).await.unwrap();
        let mut rest = vec![0; usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))];
        stream.read_exact(&mut rest).await.unwrap();
        (fixed, Peer::over(stream))
    }

    /// Accepts, greets, and answers EHLO.
    pub(super) async fn serve(&self, ehlo: &str) -> Peer<TcpStream> {
        let mut peer = self.accept().await;
        peer.say("220 hop").await;
        peer.expect("EHLO proxy.example.jp").await;
        peer.send(ehlo.as_bytes()).await;
        peer
    }

    /// Whether nobody is at the door.
    pub(super) async fn is_quiet(&self) -> bool {
        timeout(Duration::ZERO, self.0.accept()).await.is_err()
    }
}

pub(super) fn address(address: SocketAddr) -> Value {
    json!({ "host": address.ip().to_string(), "port": address.port() })
}

/// A port where nobody listens.
pub(super) async fn nobody() -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    address(listener.local_addr().unwrap())
}

pub(super) fn snapshot(upstream: Value, pools: Value) -> Snapshot {
    let object = |kind: &str| json!({ "kind": kind, "namespace": "default", "name": "test" });
    let mut upstream_full =
        json!({ "tls": "Off", "clientIdentity": "None", "recipientCheck": "AtRcpt" });
    upstream_full
        .as_object_mut()
        .unwrap()
        .extend(upstream.as_object().unwrap().clone());
    let mut pools_full = pools;
    for pool in pools_full.as_object_mut().unwrap().values_mut() {
        let mut full = json!({
            "object": object("EgressPool"), "maxConnections": 10, "messagesPerConnection": 10, "selection": "Weighted",
        });
        full.as_object_mut()
            .unwrap()
            .extend(pool.as_object().unwrap().clone());
        *pool = full;
    }
    serde_json::from_value(json!({
        "schema": 1,
        "gateway": {
            "object": object("MailGateway"),
            "listeners": [],
            "authentication": { "requirement": "Optional", "backends": ["upstream"], "mechanisms": ["PLAIN"] },
            "upstream": upstream_full,
            "afterData": 45_000,
            "onUnavailable": { "config": "Keep", "message": "RouteClean" },
            "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" },
        },
        "rules": [],
        "pools": pools_full,
    }))
    .unwrap()
}

pub(super) fn environment(deadlines: Deadlines) -> Arc<Environment> {
    environment_trusting(deadlines, Roots::WebPki)
}

pub(super) fn environment_trusting(deadlines: Deadlines, roots: Roots<'_>) -> Arc<Environment> {
    let metrics = Metrics::new();
    Arc::new(Environment {
        tls_opportunistic: client_config(Verification::Opportunistic).unwrap(),
        tls_required: client_config(Verification::Required(roots)).unwrap(),
        dns: Dns::with_servers(&["127.0.0.1:9".parse().unwrap()], metrics.clone()).unwrap(),
        credentials: Arc::<Logins>::default(),
        tokens: Tokens::default(),
        metrics: metrics.gateway("default/test"),
        host_name: ClientName::new("proxy.example.jp").unwrap(),
        deadlines,
    })
}

/// The Secrets of a test.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<HashMap<(String, String), Vec<u8>>>);

impl Logins {
    pub(super) fn set(&self, secret: &str, password: &str) {
        self.put(secret, "username", b"gate");
        self.put(secret, "password", password.as_bytes());
    }

    pub(super) fn put(&self, secret: &str, key: &str, value: &[u8]) {
        let key = (secret.to_owned(), key.to_owned());
        self.0.lock().unwrap().insert(key, value.to_vec());
    }
}

impl Credentials for Logins {
    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>> {
        let key = (secret.to_owned(), key.to_owned());
        let value = self.0.lock().unwrap().get(&key).cloned();
        value.map(Zeroizing::new)
    }

    fn label(&self, secret: &str) -> String {
        format!("Secret default/{secret}")
    }
}

/// Next hops, and a client to send for.
pub(super) struct Stage {
    pub(super) environment: Arc<Environment>,
    pub(super) snapshot: Snapshot,
    pub(super) hops: NextHops,
    pub(super) caller: Caller,
}

impl Stage {
    /// With the gateway's upstream alone.
    pub(super) fn upstream(upstream: Value) -> Self {
        Self::new(upstream, json!({}), Deadlines::default())
    }

    pub(super) fn to(hop: &Hop) -> Self {
        Self::upstream(json!({ "endpoints": [hop.json()] }))
    }

    pub(super) fn within(hop: &Hop, deadlines: Deadlines) -> Self {
        Self::new(json!({ "endpoints": [hop.json()] }), json!({}), deadlines)
    }

    pub(super) fn new(upstream: Value, pools: Value, deadlines: Deadlines) -> Self {
        Self::over(environment(deadlines), snapshot(upstream, pools))
    }

    pub(super) fn over(environment: Arc<Environment>, snapshot: Snapshot) -> Self {
        let hops = NextHops::load(&snapshot, Arc::clone(&environment), None).unwrap();
        Self {
            environment,
            snapshot,
            hops,
            caller: Caller::new(client()),
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, Failure> {
        self.begin_with("MAIL FROM:<a@example.jp>", in_time()).await
    }

    pub(super) async fn begin_with(
        &self,
        command: &str,
        deadline: Instant,
    ) -> Result<Transaction, Failure> {
        let destination = Destination {
            route: Route::Upstream,
            seed: 1,
            account: None,
            recipient_domain: None,
        };
        self.hops
            .begin(&self.caller, &destination, mail(command), deadline)
            .await
    }

    pub(super) async fn begin_in(&self, pool: &str, seed: u64) -> Result<Transaction, Failure> {
        let name: Arc<str> = pool.into();
        let pool: Arc<Pool> = Arc::new(self.snapshot.pools[pool].clone());
        let route = Route::Pool {
            name: &name,
            pool: &pool,
        };
        let destination = Destination {
            route,
            seed,
            account: None,
            recipient_domain: None,
        };
        self.hops
            .begin(
                &self.caller,
                &destination,
                mail("MAIL FROM:<a@example.jp>"),
                in_time(),
            )
            .await
    }

    /// A whole message to one recipient; panics unless it is accepted up to the final dot.
    pub(super) async fn send(&self) -> super::End {
        let mut transaction = self.begin().await.unwrap();
        transaction
            .recipients(&[rcpt("b@example.com")])
            .await
            .unwrap();
        transaction.data().await.unwrap();
        transaction
            .write(b"Subject: x\r\n\r\nhello\r\n")
            .await
            .unwrap();
        transaction.finish().await.unwrap()
    }

    pub(super) fn metrics(&self) -> String {
        self.environment.metrics.process().encode(0)
    }
}

/// The other side of [`Stage::send`], up to the final dot.
pub(super) async fn receive(peer: &mut Peer<TcpStream>) {
    peer.expect("MAIL FROM:<a@example.jp>").await;
    peer.expect("RCPT TO:<b@example.com>").await;
    peer.send(b"250 sender\r\n250 recipient\r\n").await;
    peer.expect("DATA").await;
    peer.say("354 go on").await;
    assert_eq!(peer.data().await, b"Subject: x\r\n\r\nhello\r\n.\r\n");
}

pub(super) fn in_time() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub(super) fn client() -> ClientIdentity {
    ClientIdentity {
        source: "203.0.113.9:4242".parse().unwrap(),
        destination: "192.0.2.1:587".parse().unwrap(),
        name: Told::Unavailable,
        helo: ClientName::new("client.example.net"),
        proto: Proto::Esmtp,
        login: None,
    }
}

pub(super) fn mail(line: &str) -> MailCommand {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{other:?}"),
    }
}

pub(super) fn rcpt(address: &str) -> RcptCommand {
    rcpt_line(&format!("RCPT TO:<{address}>"))
}

pub(super) fn rcpt_line(line: &str) -> RcptCommand {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Rcpt(rcpt)) => rcpt,
        other => panic!("{other:?}"),
    }
}
