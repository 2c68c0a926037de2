//! What a platform team does on its first day: a gateway, proxies, a rule, a mistake, and its mending.

use std::process::Command;

use sekisho_testkit::{Controllers, Port, Sink, wait_until};

use crate::files::lint;
use crate::site::Site;

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
    let (_, said) = send(port, 2);
    assert!(!said.contains("<** "), "{said}");
}

/// Of two recipients the second is one too many.
#[track_caller]
pub(crate) fn one_is_the_most(port: u16) {
    let (_, said) = send(port, 2);
    assert!(said.contains("<** ") && said.contains("4.5.3"), "{said}");
}

#[test]
fn a_gateway_enforces_what_is_applied_and_says_what_is_wrong() {
    let Some(site) = Site::install(Controllers::None, &[]) else {
        return;
    };
    if sekisho_testkit::require("swaks").is_none() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = runtime.block_on(Sink::start());
    let control = site.control("control-0", &[]);
    let port = Port::free();
    site.plane.create_namespace("mail");
    site.plane
        .apply(&gateway(port.number(), sink.address().port()));
    for kind in [
        "configmap",
        "secret",
        "deployment",
        "service",
        "serviceaccount",
        "networkpolicy",
        "poddisruptionbudget",
    ] {
        wait_until(kind, || site.find(kind, "mail", "sekisho-outbound"));
    }
    let outbound = |status, reason| {
        site.condition("mailgateway", "mail/outbound", "Programmed", status, reason)
    };
    outbound("Unknown", "NoProxies");
    let _proxy = site.proxy("mail/outbound", "outbound-0", control.fleet.address());
    outbound("True", "Programmed");
    two_pass(port.number());

    site.plane.apply(&policy(1));
    site.programmed("submissionpolicy", "mail/policy");
    one_is_the_most(port.number());
    a_mistake_is_told_and_mended(&site, port.number());
}

/// The schema admits it, the compiler does not: the author is told, and the last good rules stay.
fn a_mistake_is_told_and_mended(site: &Site, port: u16) {
    let says = |type_, status, reason| {
        site.condition("submissionpolicy", "mail/policy", type_, status, reason)
    };
    let broken = policy(5).replace("spec:", "spec:\n  match: { when: 'account.shoe == 42' }");
    site.plane.apply(&broken);
    let told = says("Accepted", "False", "InvalidExpression");
    let (accepted, linted) = lint(&format!("{}\n---\n{}", gateway(2525, 2526), broken));
    assert!(
        !accepted && linted.contains(&told),
        "lint says {linted}\nthe status says {told}"
    );
    says("Programmed", "False", "KeptPrevious");
    says("Stalled", "True", "InvalidExpression");
    one_is_the_most(port);
    wait_until("an Event", || {
        let events = site.list("events.events.k8s.io", "mail");
        let told = |event: &serde_json::Value| {
            event["reason"] == "InvalidExpression" && event["type"] == "Warning"
        };
        events.iter().any(told).then_some(())
    });
    site.plane
        .apply(&policy(5).replace("spec:", "spec:\n  match: null"));
    site.programmed("submissionpolicy", "mail/policy");
    two_pass(port);
}
