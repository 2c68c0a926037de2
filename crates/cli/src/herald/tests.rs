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
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::{Herald, License, Signing, Tools};

const NOW: u64 = 1_800_000_000_000;
const PATIENCE: Duration = Duration::from_secs(15);

/// A desk that answers as it was told to, and says what it heard: who signed, and what.
struct Desk {
    url: String,
    answers: Arc<Mutex<&'static str>>,
    heard: mpsc::UnboundedReceiver<(String, Value)>,
}

impl Desk {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/heard", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new("204 No Content"));
        let (says, heard) = mpsc::unbounded_channel();
        let answer = Arc::clone(&answers);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (head, body) = request(&mut stream).await;
                let status = *answer.lock().unwrap();
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                let signature = field(&head, "sekisho-signature: ");
                if says.send((signature, body)).is_err() {
                    return;
                }
            }
        });
        Self {
            url,
            answers,
            heard,
        }
    }

    fn answers(&self, status: &'static str) {
        *self.answers.lock().unwrap() = status;
    }

    async fn next(&mut self) -> (String, Value) {
        timeout(PATIENCE, self.heard.recv()).await.unwrap().unwrap()
    }
}

async fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut octets = Vec::new();
    loop {
        let count = stream.read_buf(&mut octets).await.unwrap();
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.to_owned(), body);
        }
        assert!(count > 0, "{text}");
    }
}

fn field(head: &str, name: &str) -> String {
    let own = |line: &&str| line.to_ascii_lowercase().starts_with(name);
    let line = head.lines().find(own).unwrap();
    line[name.len()..].to_owned()
}

/// Each replica signs with a secret of its own, so that it is seen who told.
struct Own(&'static [u8]);

impl Signing for Own {
    fn secret<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
    ) -> Answer<'a, Result<Zeroizing<Vec<u8>>, String>> {
        assert_eq!(name, "signs");
        Box::pin(async { Ok(Zeroizing::new(self.0.to_vec())) })
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
    fn replica(&self, secret: &'static [u8]) -> Arc<Lease> {
        let (lease, metrics) = (Arc::new(Lease::default()), Metrics::new());
        let dns = Dns::with_servers(&["127.0.0.1:9".parse().unwrap()], metrics.clone()).unwrap();
        let license: Arc<dyn License> = lease.clone();
        let herald = Herald::new(Tools {
            outbox: self.states.outbox().clone(),
            configs: self.configs.clone(),
            secrets: Arc::new(Own(secret)),
            license,
            webhooks: Webhooks::new(dns, None, Reach::Anywhere).unwrap(),
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

fn is_signed_by(secret: &[u8], signature: &str, body: &Value) -> bool {
    use hmac::{Hmac, KeyInit as _, Mac as _};

    let (at, hex) = signature.split_once(",v1=").unwrap();
    let at = at.strip_prefix("t=").unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    // Objects of JSON are written in the order of their keys, here as there.
    mac.update(format!("{at}.{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    let own: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    own == hex
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_lease_tells_and_the_next_one_goes_on() {
    let mut desk = Desk::open().await;
    let shared = Shared::with(&desk.url).await;
    let [one, other] = [shared.replica(b"of one"), shared.replica(b"of the other")];
    shared.impose("a@example.jp").await;
    one.is_known().await;
    other.is_known().await;
    assert!(desk.heard.try_recv().is_err(), "nobody may tell");

    one.held.store(true, Ordering::SeqCst);
    let (signature, told) = desk.next().await;
    assert!(is_signed_by(b"of one", &signature, &told), "{signature}");
    assert_eq!(told["account"], "a@example.jp");
    shared.is_empty().await;

    // One attempt fails; then the lease changes hands.
    desk.answers("503 Service Unavailable");
    shared.impose("b@example.jp").await;
    let (signature, failed) = desk.next().await;
    assert!(is_signed_by(b"of one", &signature, &failed), "{signature}");
    one.held.store(false, Ordering::SeqCst);
    one.is_known().await;
    desk.answers("204 No Content");
    shared.clock.advance(Duration::from_secs(3_600));
    one.is_known().await;
    assert!(desk.heard.try_recv().is_err(), "who lost the lease stops");
    other.held.store(true, Ordering::SeqCst);
    let (signature, again) = desk.next().await;
    assert!(
        is_signed_by(b"of the other", &signature, &again),
        "{signature}"
    );
    assert_eq!(again, failed, "the same message, by the same id");
    shared.is_empty().await;
    assert!(desk.heard.try_recv().is_err(), "each once");
}

/// What a replica was telling when it was killed is told again: a receiver knows it by its id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_within_an_attempt_leaves_it_to_the_next() {
    let mut desk = Desk::open().await;
    let shared = Shared::with(&desk.url).await;
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
    let (_, first) = request(&mut stream).await;
    ending.begin();
    // The connection breaks as the herald ends.
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
    let _ = read.await.expect("it ends at once");
    shared.configs.publish(snapshot(&desk.url));
    shared
        .replica(b"of the other")
        .held
        .store(true, Ordering::SeqCst);
    let (_, again) = desk.next().await;
    assert_eq!(again, first);
    shared.is_empty().await;
}
