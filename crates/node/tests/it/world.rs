//! One proxy of a test: its folders, its ports, the next hop and what it is configured with.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use sekisho_policy::{Envelope, Snapshot};
use sekisho_testkit::{Peer, Port, Process, Sink, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::authority::Authority;
use crate::control::{ControlPlane, Offer, TOKEN, packed};

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
    pub(crate) sink: Sink,
    pub(crate) smtp: Port,
    pub(crate) second: Port,
    pub(crate) http: Port,
    pub(crate) control: SocketAddr,
    pub(crate) more: Vec<String>,
}

impl World {
    /// Everything that a pod has, but for a snapshot and a control plane: nobody listens at `control`.
    pub(crate) async fn new() -> Self {
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: Authority::new(),
            sink: Sink::start().await,
            smtp: Port::free(),
            second: Port::free(),
            http: Port::free(),
            control: ([127, 0, 0, 1], 9).into(),
            more: Vec::new(),
        };
        fs::create_dir(world.path("secrets")).unwrap();
        fs::write(world.path("secrets/_fleet.key"), [7; 32]).unwrap();
        fs::write(world.path("token"), format!("{TOKEN}\n")).unwrap();
        fs::write(world.path("ca.crt"), world.authority.pem()).unwrap();
        world
    }

    /// The same, with a control plane that offers this.
    pub(crate) async fn with_control(offer: impl FnOnce(&Self) -> Offer) -> (Self, ControlPlane) {
        let mut world = Self::new().await;
        let tls = world.authority.server("127.0.0.1");
        let control = ControlPlane::start(tls, offer(&world)).await;
        world.control = control.address;
        (world, control)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn mount(&self, envelope: &Envelope) {
        fs::write(self.path("draft"), packed(envelope)).unwrap();
        fs::rename(self.path("draft"), self.path("snapshot.json.zst")).unwrap();
    }

    pub(crate) fn start(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-proxy"));
        command
            .args(["--gateway", "mail/outbound", "--name", "proxy-0"])
            .args(["--control", &format!("https://{}", self.control)])
            .args(["--listen", "127.0.0.1", "--drain", "5s"])
            .args(["--http", &self.http.address().to_string()])
            .args(["--log", "info,sekisho_proxy=debug"]);
        let paths = [
            ("--ca", "ca.crt"),
            ("--token-file", "token"),
            ("--snapshot", "snapshot.json.zst"),
            ("--secrets", "secrets"),
            ("--state", "state"),
        ];
        for (flag, name) in paths {
            command.arg(flag).arg(self.path(name));
        }
        command.args(&self.more);
        Process::spawn(command)
    }

    /// A snapshot with one listener, or what `edit` makes of it.
    pub(crate) fn snapshot(&self, generation: u64, edit: impl FnOnce(&mut Value)) -> Envelope {
        let sink = self.sink.address();
        let mut body = json!({
            "schema": 1,
            "gateway": {
                "object": { "kind": "MailGateway", "namespace": "mail", "name": "outbound" },
                "listeners": [self.listener("submission", self.smtp.number())],
                "authentication": { "requirement": "Optional", "backends": [], "mechanisms": [] },
                "upstream": {
                    "endpoints": [{ "host": sink.ip().to_string(), "port": sink.port() }],
                    "tls": "Off", "clientIdentity": "None", "recipientCheck": "AtRcpt"
                },
                "afterData": 5000,
                "onUnavailable": { "config": "Keep", "message": "RouteSuspect" },
                "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" }
            },
            "rules": [],
            "pools": {}
        });
        edit(&mut body);
        let snapshot: Snapshot = serde_json::from_value(body).unwrap();
        Envelope::seal(generation, snapshot)
    }

    pub(crate) fn plain(&self, generation: u64) -> Envelope {
        self.snapshot(generation, |_| {})
    }

    /// With a second listener, so that it shows which of two is in force.
    pub(crate) fn with_second(&self, generation: u64) -> Envelope {
        let second = self.listener("second", self.second.number());
        self.snapshot(generation, |body| {
            body["gateway"]["listeners"]
                .as_array_mut()
                .unwrap()
                .push(second);
        })
    }

    pub(crate) fn listener(&self, name: &str, port: u16) -> Value {
        json!({ "name": name, "port": port, "tls": "Off" })
    }

    /// Status and body of `GET path`.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        wait_until("the HTTP server", || {
            let mut stream = TcpStream::connect(self.http.address()).ok()?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            .ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let (head, body) = answer.split_once("\r\n\r\n")?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some((status, body.to_owned()))
        })
    }

    /// Waits until `/readyz` answers this status, and with these words.
    pub(crate) fn wait_for_ready(&self, status: u16, words: &str) {
        let mut last = None;
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(&format!("/readyz with {status} and {words:?}"), || {
                let answer = self.get("/readyz");
                let is = answer.0 == status && answer.1.contains(words);
                last = Some(answer);
                is.then_some(())
            });
        }));
        assert!(found.is_ok(), "{last:?}");
    }

    /// A session on the first listener, greeted.
    pub(crate) async fn session(&self) -> Peer<tokio::net::TcpStream> {
        let mut peer = Peer::connect(self.smtp.address()).await;
        peer.expect_prefix("220 ").await;
        peer.say("HELO client.example").await;
        peer.expect_prefix("250 ").await;
        peer
    }

    /// Whether somebody listens there.
    pub(crate) fn is_open(port: &Port) -> bool {
        TcpStream::connect(port.address()).is_ok()
    }
}

/// Waits until the metrics have this line.
pub(crate) fn wait_for_metric(world: &World, line: &str) {
    wait_until(line, || {
        world.get("/metrics").1.contains(line).then_some(())
    });
}

/// Sends a message; the reply to its final dot.
pub(crate) async fn send(peer: &mut Peer<tokio::net::TcpStream>, to: &str) -> String {
    peer.say("MAIL FROM:<a@example.jp>").await;
    peer.expect_prefix("250 ").await;
    peer.say(&format!("RCPT TO:<{to}>")).await;
    let reply = peer.line().await;
    if !reply.starts_with("250 ") {
        return reply;
    }
    peer.say("DATA").await;
    peer.expect_prefix("354 ").await;
    peer.say("Subject: hello\r\n\r\nbody\r\n.").await;
    peer.line().await
}
