//! Channels are told by whoever may, once, signed, and again where they did not hear.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sekisho_api::{Answer, Configs, letters};
use sekisho_policy::states::Imposition;
use sekisho_policy::{Account, Envelope, Timestamp};
use sekisho_proxy::{Dns, Reach, Webhooks};
use sekisho_runtime::{Clock, Metrics, Shutdown};
use sekisho_store::{AccountStates, Store};
use sekisho_testkit::Desk;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::{Herald, License, Signing, Tools};
use crate::service::read_authorities;

const NOW: u64 = 1_800_000_000_000;
const PATIENCE: Duration = Duration::from_secs(15);

/// What a Secret holds, or why it is not to be had. Each replica has one of its own, so that it is seen who told.
#[derive(Clone)]
struct Own(Arc<Mutex<Result<Vec<u8>, String>>>);

impl Own {
    fn holding(secret: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Ok(secret.to_vec()))))
    }

    fn set(&self, secret: Result<&[u8], &str>) {
        *self.0.lock().unwrap() = secret.map(<[u8]>::to_vec).map_err(str::to_owned);
    }
}

impl Signing for Own {
    fn secret<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
    ) -> Answer<'a, Result<Zeroizing<Vec<u8>>, String>> {
        assert_eq!(name, "signs");
        let secret = self.0.lock().unwrap().clone();
        Box::pin(async { secret.map(Zeroizing::new) })
    }
}

/// A lease that is given and taken.
#[derive(Default)]
struct Lease {
    held: AtomicBool,
    asked: AtomicU32,
}

impl License for Lease {
    fn time_left(&self) -> Option<Duration> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let held = self.held.load(Ordering::SeqCst);
        held.then_some(Duration::from_secs(10))
    }
}

impl Lease {
    /// Waits until whoever goes by it has looked twice more, so that it knows.
    async fn is_known(&self) {
        let before = self.asked.load(Ordering::SeqCst);
        while self.asked.load(Ordering::SeqCst) < before + 2 {
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What replicas share: a store, what is published, and a clock.
struct Shared {
    states: AccountStates,
    configs: Configs,
    clock: Clock,
    shutdown: Shutdown,
    _folder: TempDir,
}

impl Shared {
    async fn with(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("ledger.sqlite")).await;
        let configs = Configs::default();
        configs.publish(snapshot(url));
        Self {
            states: AccountStates::in_ledger(&store.unwrap()),
            configs,
            clock: Clock::manual(NOW),
            shutdown: Shutdown::new(),
            _folder: folder,
        }
    }

    /// Starts one that tells while it has the lease.
    fn replica(&self, secret: &[u8]) -> Arc<Lease> {
        self.replica_with(&Own::holding(secret), None)
    }

    /// The same, with what channels are signed with and the authorities that theirs come from.
    fn replica_with(&self, secrets: &Own, authorities: Option<(&str, &[u8])>) -> Arc<Lease> {
        let (lease, metrics) = (Arc::new(Lease::default()), Metrics::new());
        let dns = Dns::with_servers(&["127.0.0.1:9".parse().unwrap()], metrics.clone()).unwrap();
        let license: Arc<dyn License> = lease.clone();
        let herald = Herald::new(Tools {
            outbox: self.states.outbox().clone(),
            configs: self.configs.clone(),
            secrets: Arc::new(secrets.clone()),
            license,
            webhooks: Webhooks::new(dns, authorities, Reach::Anywhere).unwrap(),
            clock: self.clock.clone(),
            metrics,
        });
        self.shutdown.spawn(herald.run(self.shutdown.clone()));
        lease
    }

    async fn impose(&self, account: &str) {
        let now = Timestamp(self.clock.now_ms());
        let restriction = json!({
            "level": "Suspend", "since": now, "why": "100 points", "decision": "0000-0000-0007",
            "origin": { "Rule": { "kind": "AbuseRule", "namespace": "mail", "name": "stolen" } },
        });
        let told = [Imposition {
            account: Account::canonical(account, None),
            restriction: serde_json::from_value(restriction).unwrap(),
        }];
        let letters =
            |imposition: &Imposition| letters::letters(&self.configs, "mail", imposition, now);
        let imposed = self.states.impose("mail", &told, "pod", now, &letters);
        assert_eq!(imposed.await.unwrap().posted.waiting, 1);
    }

    async fn waits(&self) -> bool {
        let now = Timestamp(self.clock.now_ms());
        !self
            .states
            .outbox()
            .due_channels(now)
            .await
            .unwrap()
            .is_empty()
    }

    async fn is_empty(&self) {
        let crossed_out = async {
            // What is put off comes back by an hour.
            self.clock.advance(Duration::from_secs(3_600));
            while self.waits().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, crossed_out).await.unwrap();
    }
}

fn snapshot(url: &str) -> Arc<Envelope> {
    let object =
        |kind: &str, name: &str| json!({ "kind": kind, "namespace": "mail", "name": name });
    let notify =
        json!([{ "object": object("NotificationChannel", "desk"), "url": url, "secret": "signs" }]);
    let snapshot = json!({
        "schema": 1,
        "gateway": {
            "object": object("MailGateway", "out"),
            "listeners": [],
            "authentication": { "requirement": "Optional", "backends": ["upstream"], "mechanisms": ["PLAIN"] },
            "upstream": { "endpoints": [{ "host": "postfix", "port": 25 }], "tls": "Off",
                "clientIdentity": "None", "recipientCheck": "AtRcpt" },
            "afterData": 45_000,
            "onUnavailable": { "config": "Keep", "message": "RouteClean" },
            "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" },
        },
        "rules": [{
            "object": object("AbuseRule", "stolen"), "enforcement": "Enforce", "brake": "Off", "rule": "AbuseRule",
            "spec": { "signals": [], "decay": 1, "growth": 2, "maxFor": 1,
                "ladder": [{ "at": 100, "level": "Suspend", "notify": notify }] },
        }],
        "pools": {},
    });
    Arc::new(Envelope::seal(1, serde_json::from_value(snapshot).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_lease_tells_and_the_next_one_goes_on() {
    let desk = Desk::open();
    let shared = Shared::with(&desk.url()).await;
    let [one, other] = [shared.replica(b"of one"), shared.replica(b"of the other")];
    shared.impose("a@example.jp").await;
    one.is_known().await;
    other.is_known().await;
    assert!(desk.has_heard_no_more(), "nobody may tell");

    one.held.store(true, Ordering::SeqCst);
    let told = desk.next();
    assert!(told.is_signed_by(b"of one"), "{told:?}");
    assert_eq!(told.body["account"], "a@example.jp");
    shared.is_empty().await;

    // One attempt fails; then the lease changes hands.
    desk.answers("503 Service Unavailable");
    shared.impose("b@example.jp").await;
    let failed = desk.next();
    assert!(failed.is_signed_by(b"of one"), "{failed:?}");
    one.held.store(false, Ordering::SeqCst);
    one.is_known().await;
    desk.answers("204 No Content");
    shared.clock.advance(Duration::from_secs(3_600));
    one.is_known().await;
    assert!(desk.has_heard_no_more(), "who lost the lease stops");
    other.held.store(true, Ordering::SeqCst);
    let again = desk.next();
    assert!(again.is_signed_by(b"of the other"), "{again:?}");
    assert_eq!(again.body, failed.body, "the same message, by the same id");
    shared.is_empty().await;
    assert!(desk.has_heard_no_more(), "each once");
}

/// What a replica was telling when it was killed is told again: a receiver knows it by its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_within_an_attempt_leaves_it_to_the_next() {
    let desk = Desk::open();
    let shared = Shared::with(&desk.url()).await;
    // The answer never comes, and the process ends.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/heard", silent.local_addr().unwrap());
    shared.configs.publish(snapshot(&url));
    let ending = Shutdown::new();
    let killed = Shared {
        states: shared.states.clone(),
        configs: shared.configs.clone(),
        clock: shared.clock.clone(),
        shutdown: ending.clone(),
        _folder: tempfile::tempdir().unwrap(),
    };
    killed.replica(b"of one").held.store(true, Ordering::SeqCst);
    shared.impose("a@example.jp").await;
    let (mut stream, _) = timeout(PATIENCE, silent.accept()).await.unwrap().unwrap();
    let mut octets = Vec::new();
    let first: Value = loop {
        assert!(stream.read_buf(&mut octets).await.unwrap() > 0);
        let text = String::from_utf8_lossy(&octets);
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(Ok(body)) = body.map(serde_json::from_str) {
            break body;
        }
    };
    ending.begin();
    // The connection breaks as the herald ends.
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
    let _ = read.await.expect("it ends at once");
    shared.configs.publish(snapshot(&desk.url()));
    shared
        .replica(b"of the other")
        .held
        .store(true, Ordering::SeqCst);
    assert_eq!(desk.next().body, first);
    shared.is_empty().await;
}

impl Shared {
    /// Waits until a replica has tried to tell, and has not been heard; it stops then.
    async fn is_put_off(&self, replica: &Lease) {
        let put_off = async {
            while self.waits().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, put_off).await.unwrap();
        replica.held.store(false, Ordering::SeqCst);
        replica.is_known().await;
        // What is put off comes back by an hour.
        self.clock.advance(Duration::from_secs(3_600));
        assert!(self.waits().await, "nobody was told of it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_secret_nobody_is_told_and_a_new_one_signs_from_then_on() {
    let desk = Desk::open();
    let shared = Shared::with(&desk.url()).await;
    shared.impose("a@example.jp").await;
    // An empty one is anybody's.
    for secret in [Err("there is no Secret signs"), Ok(&b""[..])] {
        let secrets = Own::holding(b"");
        secrets.set(secret);
        let replica = shared.replica_with(&secrets, None);
        replica.held.store(true, Ordering::SeqCst);
        shared.is_put_off(&replica).await;
        assert!(desk.has_heard_no_more());
    }
    // One that is there is asked anew for each round.
    let secrets = Own::holding(b"of March");
    let replica = shared.replica_with(&secrets, None);
    replica.held.store(true, Ordering::SeqCst);
    let told = desk.next();
    assert!(told.is_signed_by(b"of March"), "{told:?}");
    assert_eq!(told.body["account"], "a@example.jp");
    shared.is_empty().await;
    secrets.set(Ok(b"of April"));
    shared.impose("b@example.jp").await;
    let told = desk.next();
    assert!(told.is_signed_by(b"of April"), "{told:?}");
    assert!(!told.is_signed_by(b"of March"));
    shared.is_empty().await;
    assert!(desk.has_heard_no_more(), "each once");
}

/// As `--channel-ca` has it: the file's authorities, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_who_its_authority_says_that_it_is() {
    let (desk, authority) = Desk::open_tls();
    let (_, another) = Desk::open_tls();
    let shared = Shared::with(&desk.url()).await;
    shared.impose("a@example.jp").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let authorities = |pem: &str| {
        std::fs::write(&path, pem).unwrap();
        read_authorities(&path).unwrap()
    };
    let (name, pem) = authorities(&another);
    let secrets = Own::holding(b"of one");
    let stranger = shared.replica_with(&secrets, Some((&name, &pem)));
    stranger.held.store(true, Ordering::SeqCst);
    shared.is_put_off(&stranger).await;
    assert!(desk.has_heard_no_more(), "it might be anybody");
    let (name, pem) = authorities(&format!("{another}{authority}"));
    let replica = shared.replica_with(&secrets, Some((&name, &pem)));
    replica.held.store(true, Ordering::SeqCst);
    let told = desk.next();
    assert!(told.is_signed_by(b"of one"), "{told:?}");
    assert_eq!(told.body["account"], "a@example.jp");
    shared.is_empty().await;
}
