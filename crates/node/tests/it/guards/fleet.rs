//! Real proxies that share one Redis, in front of one backend; and clients of them that come from wherever they say.

use std::fs;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use sekisho_testkit::{Peer, Process, RedisServer};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::backend::Backend;
use crate::world::{World, wait_for_metric};

pub(super) const HOUR: u64 = 3_600_000;
pub(super) const MINUTE: u64 = 60_000;

pub(super) struct Fleet {
    proxies: Vec<Process>,
    pub(super) redis: RedisServer,
    pub(super) backend: Backend,
    pub(super) worlds: Vec<World>,
}

/// Nobody waits for records to be taken that nobody takes.
impl Drop for Fleet {
    fn drop(&mut self) {
        for proxy in &self.proxies {
            proxy.signal(Signal::KILL);
        }
    }
}

/// A guard that enforces `spec`.
pub(super) fn guard(spec: Value) -> Value {
    let mut whole = json!({
        "lockGrowth": 2, "maxLock": 24 * HOUR, "knownGood": { "afterDays": 1, "keep": 720 * HOUR }
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({
        "object": { "kind": "LoginGuard", "namespace": "mail", "name": "guard" },
        "enforcement": "Enforce", "brake": "Off", "rule": "LoginGuard", "spec": whole
    })
}

pub(super) fn per_source(accounts: u64, pairs: u64) -> Value {
    json!({
        "distinctAccounts": accounts, "failedPairs": pairs, "per": HOUR, "lock": HOUR,
        "ipv4Prefix": 32, "ipv6Prefix": 64
    })
}

pub(super) fn per_account(passwords: u64) -> Value {
    json!({ "distinctPasswords": passwords, "per": HOUR, "lock": HOUR })
}

pub(super) fn per_pair(failures: u64) -> Value {
    json!({ "failures": failures, "per": HOUR, "lock": HOUR })
}

impl Fleet {
    /// So many proxies with this guard, once all of them count in Redis; `None` where there is no Redis. `edit` makes of the snapshot what a
    /// test needs beyond it.
    pub(super) async fn start(
        size: usize,
        guard: &Value,
        edit: impl Fn(&World, &mut Value),
    ) -> Option<Self> {
        // A machine that is busy with other tests is no outage.
        Self::start_patient("20s", size, guard, edit).await
    }

    /// The same, of proxies that wait so long for Redis.
    pub(super) async fn start_patient(
        patience: &str,
        size: usize,
        guard: &Value,
        edit: impl Fn(&World, &mut Value),
    ) -> Option<Self> {
        let mut fleet = Self {
            proxies: Vec::new(),
            redis: RedisServer::start()?,
            backend: Backend::start().await,
            worlds: Vec::new(),
        };
        for _ in 0..size {
            let mut world = World::new().await;
            let more = ["--counters-deadline", patience].map(str::to_owned);
            world.more.extend(more);
            fs::write(world.path("secrets/redis_url"), fleet.redis.url()).unwrap();
            let url = format!("http://{}/", fleet.backend.address);
            world.mount(&world.snapshot(1, |body| {
                let gateway = &mut body["gateway"];
                gateway["counters"] = json!({ "Redis": { "secret": "redis" } });
                gateway["listeners"][0]["proxyFrom"] = json!(["127.0.0.0/8"]);
                gateway["authentication"] = json!({
                    "requirement": "Required", "backends": [{ "http": { "url": url } }], "mechanisms": ["PLAIN"]
                });
                gateway["limits"] = json!({
                    "authAttempts": 1000, "errors": 1000, "tarpit": { "mode": "Never" }
                });
                body["rules"] = json!([guard]);
                edit(&world, body);
            }));
            fleet.proxies.push(world.start());
            fleet.worlds.push(world);
        }
        for (world, proxy) in fleet.worlds.iter().zip(&mut fleet.proxies) {
            proxy.wait_for_port(world.smtp.address());
            wait_for_metric(world, ASKED);
        }
        Some(fleet)
    }

    /// Ends a proxy, and starts another in its place.
    pub(super) fn restart(&mut self, proxy: usize) {
        let mut before = self.proxies.remove(proxy);
        before.signal(Signal::KILL);
        before.wait();
        let mut process = self.worlds[proxy].start();
        process.wait_for_port(self.worlds[proxy].smtp.address());
        wait_for_metric(&self.worlds[proxy], ASKED);
        self.proxies.insert(proxy, process);
    }

    pub(super) fn size(&self) -> usize {
        self.worlds.len()
    }

    /// A session at a proxy, from there.
    pub(super) async fn session(&self, proxy: usize, source: &str) -> Session {
        let source: IpAddr = source.parse().unwrap();
        let mut peer = Peer::connect(self.worlds[proxy].smtp.address()).await;
        let header = match source {
            IpAddr::V4(ip) => format!("PROXY TCP4 {ip} 192.0.2.1 4000 587"),
            IpAddr::V6(ip) => format!("PROXY TCP6 {ip} 2001:db8:ffff::1 4000 587"),
        };
        peer.say(&header).await;
        peer.expect_prefix("220 ").await;
        peer.say("EHLO client.example").await;
        peer.reply(250).await;
        Session(peer)
    }

    /// What a client is told that logs in at a proxy, from there.
    pub(super) async fn log_in(
        &self,
        proxy: usize,
        source: &str,
        account: &str,
        password: &str,
    ) -> String {
        let mut session = self.session(proxy, source).await;
        session.log_in(account, password).await
    }

    /// The same at every proxy, which must be told alike: the code.
    pub(super) async fn everywhere(&self, source: &str, account: &str, password: &str) -> String {
        let mut told = Vec::new();
        for proxy in 0..self.size() {
            told.push(self.log_in(proxy, source, account, password).await);
        }
        let codes: Vec<_> = told.iter().map(|told| &told[..3]).collect();
        assert!(codes.iter().all(|code| *code == codes[0]), "{told:?}");
        codes[0].to_owned()
    }

    /// The sum over the fleet of the series that begin so.
    pub(super) fn metric(&self, series: &str) -> u64 {
        self.worlds.iter().map(|world| metric(world, series)).sum()
    }

    /// How many proxies were ever left without an answer of Redis, so that each counted alone.
    pub(super) fn ever_alone(&self) -> usize {
        let failed = |world: &&World| metric(world, "sekisho_counter_errors_total{") > 0;
        self.worlds.iter().filter(failed).count()
    }
}

const ASKED: &str = "sekisho_counter_parts{gateway=\"mail/outbound\",state=\"asked\"} 1";

/// The sum of the series that begin so.
pub(super) fn metric(world: &World, series: &str) -> u64 {
    let metrics = world.get("/metrics").1;
    let values = metrics
        .lines()
        .filter(|line| line.starts_with(series))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

/// One client's session.
pub(super) struct Session(pub(super) Peer<TcpStream>);

impl Session {
    pub(super) async fn log_in(&mut self, account: &str, password: &str) -> String {
        self.0.say(&plain(account, password)).await;
        self.0.line().await
    }

    /// Goes through SCRAM with a proof that fits no password: the salt and the iterations that it was shown, and the end.
    pub(super) async fn scram(&mut self, account: &str) -> (String, String) {
        let first = format!("n,,n={account},r=rOprNGfwEbeRWgbNEkqO");
        let line = format!("AUTH SCRAM-SHA-256 {}", STANDARD.encode(first));
        self.0.say(&line).await;
        let told = self.0.line().await;
        let Some(challenge) = told.strip_prefix("334 ") else {
            return (String::new(), told);
        };
        let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
        let (nonce, shown) = challenge.split_once(',').unwrap();
        let last = format!("c=biws,{nonce},p={}", STANDARD.encode([7; 32]));
        self.0.say(&STANDARD.encode(last)).await;
        (shown.to_owned(), self.0.line().await)
    }
}

pub(super) fn plain(account: &str, password: &str) -> String {
    let shown = STANDARD.encode(format!("\0{account}\0{password}"));
    format!("AUTH PLAIN {shown}")
}
