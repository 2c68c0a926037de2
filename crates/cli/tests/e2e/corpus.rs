//! 6,046 real messages through the proxy, compared byte for byte at the sink.

use sekisho_testkit::{Sink, corpus};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

use crate::up::{Setup, Up};

/// A line on which to talk SMTP to a listener without TLS.
struct Client(BufStream<TcpStream>);

impl Client {
    async fn say(&mut self, line: &[u8]) -> String {
        self.0.write_all(line).await.unwrap();
        self.0.write_all(b"\r\n").await.unwrap();
        self.0.flush().await.unwrap();
        self.reply().await
    }

    async fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let start = all.len();
            assert!(
                self.0.read_line(&mut all).await.unwrap() > 0,
                "the connection was closed after {all:?}"
            );
            if all.as_bytes().get(start + 3) != Some(&b'-') {
                return all;
            }
        }
    }
}

/// As a mail program sends a file with LF line ends: CRLF, dots doubled. What stands alone as CR stays, for the proxy to mend.
fn on_the_wire(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + message.len() / 32);
    for line in message.split(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

/// What must arrive: every line end CRLF, a CR that stood alone included.
fn mended(wire: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(wire.len());
    for line in wire.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let line = line.strip_prefix(b".").unwrap_or(line);
        for part in line.split(|b| *b == b'\r') {
            lines.extend_from_slice(part);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_arrives_as_it_was_or_is_refused_with_a_reason() {
    let Some(corpus) = corpus() else { return };
    let sink = Sink::start().await;
    let port = sekisho_testkit::Port::free();
    let object = format!(
        "apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: {{ name: plain }}
spec:
  listeners: [{{ name: plain, port: {}, tls: \"Off\" }}]
  authentication: {{ requirement: Optional, backends: [{{ type: Upstream }}] }}
  limits: {{ transactionsPerSession: 10000 }}
  upstream: {{ endpoints: [{{ address: \"{}\" }}], tls: \"Off\" }}
---
apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: {{ name: plain }}
spec:
  targetRefs: [{{ group: sekisho.dev, kind: MailGateway, name: plain }}]
  sender: {{ envelope: Any, header: Any }}
  attachments: {{ blockedExtensions: [exe, scr, gif, zip, doc], action: Reject }}
  classify:
    rules: [{{ name: money, header: Subject, matches: \"(?i)money\", score: 12 }}]
    suspectAt: 5
    spamAt: 10
  route: {{}}",
        port.number(),
        sink.address()
    );
    let mut setup = Setup::to(sink.address());
    setup.objects = &object;
    let up = Up::start(&setup);
    sekisho_testkit::wait_for_port(port.address());
    let mut client = Client(BufStream::new(
        TcpStream::connect(port.address()).await.unwrap(),
    ));
    client.reply().await;
    client.say(b"EHLO corpus.test").await;
    let (mut sent, mut refused) = (0usize, Vec::new());
    for (name, message) in corpus.messages() {
        for line in [&b"MAIL FROM:<a@example.jp>"[..], b"RCPT TO:<b@example.net>"] {
            let said = client.say(line).await;
            assert!(said.starts_with("250"), "{name}: {said}\n{}", up.log());
        }
        let said = client.say(b"DATA").await;
        assert!(said.starts_with("354"), "{name}: {said}");
        let wire = on_the_wire(&message);
        client.0.write_all(&wire).await.unwrap();
        let said = client.say(b".").await;
        sent += 1;
        let arrived = sink.take();
        if said.starts_with("250") {
            assert_eq!(arrived.len(), 1, "{name}");
            let expected = mended(&wire);
            let data = &arrived[0].data;
            assert!(data.starts_with(b"Received: "), "{name}");
            assert!(data.ends_with(&expected), "{name} was changed on the way");
            let added = String::from_utf8_lossy(&data[..data.len() - expected.len()]).into_owned();
            let fields = added
                .lines()
                .filter(|line| !line.starts_with([' ', '\t']))
                .count();
            assert_eq!(
                fields, 1,
                "{name}: more than the Received field was added: {added}"
            );
        } else {
            assert!(
                said.starts_with("550 5.7.1") && said.contains('['),
                "{name}: {said}"
            );
            assert!(arrived.is_empty(), "{name} was refused and arrived");
            refused.push(name);
        }
    }
    assert_eq!(sent, 6046);
    assert!(
        !refused.is_empty() && refused.len() < 60,
        "{} were refused: {refused:?}",
        refused.len()
    );
    assert!(client.say(b"QUIT").await.starts_with("221"));
}
