//! A workload of the cluster that sends mail by the token of its service account.

use std::process::Command;

use sekisho_testkit::BoundTo;

use crate::mail::{Mail, gateway};

/// Logs in as a workload does, with Python's smtplib, and sends; whether it could, and what was said.
fn send(port: u16, token: &str) -> (bool, String) {
    const CLIENT: &str = "
import smtplib, sys
with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as smtp:
    smtp.ehlo()
    smtp.auth('OAUTHBEARER', lambda challenge=None: '\\x01' if challenge else 'n,,\\x01auth=Bearer %s\\x01\\x01' % sys.argv[2])
    smtp.sendmail('app@example.jp', ['b@example.net'], 'Subject: hello\\r\\n\\r\\nhello\\r\\n')
";
    let mut command = Command::new("python3");
    let ran = command
        .args(["-c", CLIENT, &port.to_string(), token])
        .output()
        .unwrap();
    let mut said = String::from_utf8_lossy(&ran.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&ran.stderr));
    (ran.status.success(), said)
}

#[test]
fn a_workload_logs_in_by_its_token() {
    let Some(mail) = Mail::set_up(&["webhook.enabled=false"]) else {
        return;
    };
    let (site, port) = (&mail.site, mail.port.number());
    let tokens = "{ requirement: Required, mechanisms: [OAUTHBEARER], backends: [{ type: ServiceAccount, serviceAccount: { audiences: [sekisho-smtp], namespaces: [shop] } }] }";
    let object = gateway(port, mail.sink.address().port());
    // Made anew: an apply on top of the first would add to the mechanisms that it had by default.
    let delete = ["delete", "mailgateway", "outbound", "--namespace", "mail"];
    site.plane.kubectl(delete).ok();
    site.plane
        .apply(&object.replace("{ requirement: Optional }", tokens));
    let control = site.control("control-0", &[]);
    let outbound = "mail/outbound";
    site.eventually("the cluster's keys", || {
        let secret = site.find("secret", "mail", "sekisho-outbound")?;
        secret["data"]["_cluster.jwks"].as_str().map(drop)
    });
    let proxy = site.proxy(outbound, "outbound-0", control.fleet.address());
    site.eventually("the keys in the proxy", || {
        site.mount(outbound, &proxy.mounts)?;
        proxy
            .mounts
            .join("secrets/_cluster.jwks")
            .exists()
            .then_some(())
    });
    site.programmed("mailgateway", outbound);
    for (namespace, account) in [("shop", "app"), ("other", "app")] {
        site.plane.create_namespace(namespace);
        site.plane.apply(&format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{ name: {account}, namespace: {namespace} }}\n"
        ));
    }
    site.pod("shop", "app-1", "app", "{}");
    let audience = Some("sekisho-smtp");
    let good = site
        .plane
        .token("shop", "app", audience, BoundTo::Pod("app-1"));
    site.eventually("a login", || send(port, &good).0.then_some(()));
    let refused = [
        site.plane.token("shop", "app", None, BoundTo::Account),
        site.plane
            .token("shop", "app", Some("sekisho-control"), BoundTo::Account),
        site.plane.token("other", "app", audience, BoundTo::Account),
        format!("{}x", &good[..good.len() - 1]),
    ];
    for token in refused {
        let (passed, said) = send(port, &token);
        assert!(!passed && said.contains("535"), "{said}");
    }
}
