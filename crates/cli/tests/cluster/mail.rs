//! A gateway of the cluster with a sink behind it, and messages through it.

use std::process::Command;

use sekisho_testkit::{Controllers, Port, Sink};
use tokio::runtime::Runtime;

use crate::site::Site;

/// A cluster with the gateway `mail/outbound`, whose listener is at `port`.
pub(crate) struct Mail {
    pub(crate) site: Site,
    pub(crate) port: Port,
    pub(crate) sink: Sink,
    _runtime: Runtime,
}

impl Mail {
    /// Installs the chart and applies the gateway; nothing runs yet.
    pub(crate) fn set_up(values: &[&str]) -> Option<Self> {
        Self::set_up_with(Controllers::None, values)
    }

    pub(crate) fn set_up_with(controllers: Controllers, values: &[&str]) -> Option<Self> {
        sekisho_testkit::require("swaks")?;
        let site = Site::install(controllers, values)?;
        let runtime = Runtime::new().unwrap();
        let sink = runtime.block_on(Sink::start());
        let port = Port::free();
        site.plane.create_namespace("mail");
        site.plane
            .apply(&gateway(port.number(), sink.address().port()));
        Some(Self {
            site,
            port,
            sink,
            _runtime: runtime,
        })
    }
}

pub(crate) const GATEWAY: &str = "
apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: { name: outbound, namespace: mail }
spec:
  replicas: 2
  listeners: [{ name: submission, port: PORT, tls: 'Off' }]
  authentication: { requirement: Optional }
  upstream: { endpoints: [{ address: '127.0.0.1:UPSTREAM' }], tls: 'Off' }
";

pub(crate) const POLICY: &str = "
apiVersion: sekisho.dev/v1alpha1
kind: SubmissionPolicy
metadata: { name: policy, namespace: mail }
spec:
  targetRefs: [{ group: sekisho.dev, kind: MailGateway, name: outbound }]
  sender: { envelope: Any, header: Any }
  message: { maxRecipients: MOST }
";

pub(crate) fn gateway(port: u16, upstream: u16) -> String {
    GATEWAY
        .replace("PORT", &port.to_string())
        .replace("UPSTREAM", &upstream.to_string())
}

pub(crate) fn policy(most: u32) -> String {
    POLICY.replace("MOST", &most.to_string())
}

/// Whether swaks got a message to so many recipients through, and what it says of it.
pub(crate) fn send(port: u16, recipients: usize) -> (bool, String) {
    let to: Vec<String> = (0..recipients)
        .map(|n| format!("r{n}@example.net"))
        .collect();
    let ran = Command::new("swaks")
        .args(["--server", "127.0.0.1", "--port", &port.to_string()])
        .args(["--helo", "client.example", "--from", "a@example.jp"])
        .args(["--to", &to.join(","), "--body", "hello"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    (ran.status.success(), said)
}

/// A message to two recipients goes to both.
#[track_caller]
pub(crate) fn two_pass(port: u16) {
    let (passed, said) = send(port, 2);
    assert!(passed && !said.contains("<** "), "{said}");
}

/// Of two recipients the second is one too many.
#[track_caller]
pub(crate) fn one_is_the_most(port: u16) {
    let (_, said) = send(port, 2);
    assert!(said.contains("<** ") && said.contains("4.5.3"), "{said}");
}
