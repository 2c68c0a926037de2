//! Real content engines: rspamd and SpamAssassin's spamd decide which pool a message leaves by.

use std::net::SocketAddr;

use sekisho_testkit::{Peer, Port, Rspamd, Sink, Spamd, wait_for_port};
use tokio::net::TcpStream;

use crate::up::{Setup, Up};

const CLEAN: &str = "From: Alice <alice@example.jp>\r\nTo: Bob <bob@example.net>\r\nSubject: Lunch on Friday\r\n\
Date: Sun, 22 Nov 2026 10:00:00 +0900\r\nMessage-ID: <5f3c1f2e-77aa-4b1c-9d55-1f0e6f6b2a11@example.jp>\r\nMIME-Version: 1.0\r\n\
Content-Type: text/plain; charset=utf-8\r\n\r\nHello Bob,\r\n\r\nshall we meet at noon in front of the station?\r\n\r\nAlice\r\n";
/// What every filter must know for spam.
const GTUBE: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

/// A gateway that asks one engine, with a relay for what is clean and one for spam.
struct Gate {
    up: Up,
    port: Port,
    clean: Sink,
    spam: Sink,
}

impl Gate {
    async fn start(engine: &str) -> Self {
        let (clean, spam, port) = (Sink::start().await, Sink::start().await, Port::free());
        let objects = objects(engine, &port, clean.address(), spam.address());
        let mut setup = Setup::to(clean.address());
        setup.objects = &objects;
        let up = Up::start(&setup);
        wait_for_port(port.address());
        Self {
            up,
            port,
            clean,
            spam,
        }
    }

    /// Sends a message and returns the reply to its end.
    async fn send(&self, message: &str, code: u16) -> String {
        let mut client: Peer<TcpStream> = Peer::connect(self.port.address()).await;
        client.reply(220).await;
        client.ask("EHLO pc.example.jp", 250).await;
        client.ask("MAIL FROM:<alice@example.jp>", 250).await;
        client.ask("RCPT TO:<bob@example.net>", 250).await;
        client.ask("DATA", 354).await;
        client.send(message.as_bytes()).await;
        client.ask(".", code).await.concat()
    }

    /// How many messages came to the clean relay and to the other.
    fn arrived(&self) -> (usize, usize) {
        (self.clean.take().len(), self.spam.take().len())
    }
}

fn objects(engine: &str, port: &Port, clean: SocketAddr, spam: SocketAddr) -> String {
    let pool = |name: &str, relay: SocketAddr| {
        format!(
            "apiVersion: sekisho.dev/v1alpha1
kind: EgressPool
metadata: {{ name: {name} }}
spec:
  members: [{{ name: only, relay: {{ address: \"{relay}\", tls: \"Off\" }} }}]
---
"
        )
    };
    format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: {{ name: plain }}
spec:
  listeners: [{{ name: plain, port: {}, tls: \"Off\" }}]
  authentication: {{ requirement: Optional, backends: [{{ type: Upstream }}] }}
  upstream: {{ endpoints: [{{ address: \"{clean}\" }}], tls: \"Off\" }}
  onUnavailable: {{ message: Defer, classifier: Defer }}
---
apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: {{ name: plain }}
spec:
  targetRefs: [{{ group: sekisho.dev, kind: MailGateway, name: plain }}]
  sender: {{ envelope: Any, header: Any }}
  classify: {{ engines: [{engine}] }}
  route: {{ clean: {{ pool: clean }}, suspect: {{ pool: spam }}, spam: {{ pool: spam }} }}
---
{}{}",
        port.number(),
        pool("clean", clean),
        pool("spam", spam),
    )
}

/// The decision id at the end of a reply.
fn id(reply: &str) -> &str {
    let (_, id) = reply.rsplit_once('[').unwrap();
    id.split_once(']').unwrap().0
}

async fn separates(engine: &str, reject_at: u32) {
    let gate = Gate::start(&format!("{{ {engine} }}")).await;
    let gtube = format!("{CLEAN}\r\n{GTUBE}\r\n");
    let said = gate.send(CLEAN, 250).await;
    let explained = gate.up.explained(id(&said));
    assert_eq!(gate.arrived(), (1, 0), "{explained}");
    let said = gate.send(&gtube, 250).await;
    let explained = gate.up.explained(id(&said));
    assert_eq!(gate.arrived(), (0, 1), "{explained}");
    assert!(explained.contains("GTUBE"), "{explained}");
    // Names of rules, nothing of the message.
    assert!(!explained.contains("XJS"), "{explained}");

    let strict = Gate::start(&format!("{{ {engine}, rejectAt: {reject_at} }}")).await;
    let said = strict.send(&gtube, 550).await;
    assert!(said.contains("5.7.1"), "{said}");
    strict.send(CLEAN, 250).await;
    assert_eq!(strict.arrived(), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rspamd_separates_spam_from_clean_mail() {
    let Some(rspamd) = Rspamd::start(1) else {
        return;
    };
    let address = rspamd.address();
    // Its worst score is that of `reject`: 15.
    separates(
        &format!("type: Rspamd, url: \"http://{address}\", timeout: 20s, suspectAt: 6, spamAt: 12"),
        15,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spamd_separates_spam_from_clean_mail() {
    let Some(spamd) = Spamd::start(1) else {
        return;
    };
    let address = spamd.address();
    separates(
        &format!("type: Spamd, url: \"tcp://{address}\", timeout: 20s, suspectAt: 5, spamAt: 10"),
        500,
    )
    .await;
}
