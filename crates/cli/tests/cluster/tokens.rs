//! Who is let in: the pod's own token, for the gateway that the pod is of, and nothing else.

use std::process::Command;

use sekisho_testkit::BoundTo;

use crate::mail::Mail;
use crate::site::{Control, SYSTEM, Site};

/// The status of an answer about the gateway's configuration, and what it says.
fn ask(site: &Site, control: &Control, gateway: &str, token: Option<&str>) -> String {
    let authorities = site.file(
        site.find("configmap", "mail", "sekisho-outbound").unwrap()["data"]["ca.crt"]
            .as_str()
            .unwrap(),
    );
    let address = control.fleet.address();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(authorities)
        .args(["--output", "-", "--write-out", "\n%{http_code}"])
        .arg(format!("https://{address}/v1/config?gateway={gateway}"));
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = said.rsplit_once('\n').unwrap_or(("", &said));
    format!("{status} {body}{}", String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_token_opens_the_configuration_of_its_own_pods_gateway() {
    let Some(mail) = Mail::set_up(&["webhook.enabled=false"]) else {
        return;
    };
    let site = &mail.site;
    let control = site.control("control-0", &[]);
    let account = "sekisho-outbound";
    site.eventually("the service account", || {
        site.find("serviceaccount", "mail", account)
    });
    site.eventually("the snapshot", || site.find("configmap", "mail", account));
    site.pod("mail", "own", account, "{ sekisho.dev/proxy-of: outbound }");
    site.pod(
        "mail",
        "sidecar",
        account,
        "{ sekisho.dev/gateway: outbound }",
    );
    site.pod("mail", "other", account, "{ sekisho.dev/proxy-of: other }");
    site.pod("mail", "none", account, "{ app: web }");
    let token = |pod, audience| {
        site.plane
            .token("mail", account, audience, BoundTo::Pod(pod))
    };
    let ours = Some("sekisho-control");
    let gateway = "mail/outbound";
    let table = [
        (Some(token("own", ours)), gateway, "200"),
        (Some(token("sidecar", ours)), gateway, "200"),
        (None, gateway, "401"),
        (Some("not.a.token".to_owned()), gateway, "401"),
        (Some(token("own", None)), gateway, "401"),
        (Some(token("own", Some("vault"))), gateway, "401"),
        (Some(token("other", ours)), gateway, "403"),
        (Some(token("none", ours)), gateway, "403"),
        (Some(token("own", ours)), "mail/inbound", "403"),
        (Some(token("own", ours)), "other/outbound", "403"),
        (
            Some(site.plane.token("mail", account, ours, BoundTo::Account)),
            gateway,
            "403",
        ),
        (
            Some(
                site.plane
                    .token(SYSTEM, "sekisho-control", ours, BoundTo::Pod("control-0")),
            ),
            gateway,
            "403",
        ),
    ];
    for (index, (token, gateway, status)) in table.iter().enumerate() {
        let said = ask(site, &control, gateway, token.as_deref());
        assert!(
            said.starts_with(status),
            "{index}: {status} was expected of {gateway}, not {said}"
        );
        assert!(*status == "200" || !said.contains("listeners"), "{said}");
    }

    // A pod that is gone takes its token along.
    let late = token("own", ours);
    site.plane
        .kubectl(["delete", "pod", "own", "--namespace", "mail", "--now"])
        .ok();
    let said = ask(site, &control, gateway, Some(&late));
    assert!(said.starts_with("401") || said.starts_with("200"), "{said}");
}
