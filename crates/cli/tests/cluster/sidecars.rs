//! Pods that ask for a sidecar, and namespaces whose mail has one way out.

use sekisho_testkit::{Port, wait_until};

use crate::mail::{Mail, gateway};
use crate::site::{Site, WEBHOOK};

const SIDECAR: &str = "
apiVersion: sekisho.dev/v1alpha1
kind: MailGateway
metadata: { name: local, namespace: mail }
spec:
  mode: Sidecar
  listeners: [{ name: submission, port: 587, tls: 'Off' }]
  authentication: { requirement: Optional }
  upstream: { endpoints: [{ address: 'mta.mail:25' }], tls: 'Off' }
";

fn pod(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, namespace: mail, labels: {labels} }}\n\
         spec: {{ serviceAccountName: app, containers: [{{ name: app, image: app:1 }}] }}\n"
    )
}

/// Whether the webhook knows its authority by now.
fn webhook_is_told(site: &Site) {
    wait_until("the webhook's authorities", || {
        let found = site.find("mutatingwebhookconfiguration", "", WEBHOOK)?;
        let told = found["webhooks"][0]["clientConfig"]["caBundle"].as_str()?;
        (!told.is_empty()).then_some(())
    });
}

#[test]
fn labelled_pods_get_a_sidecar_and_others_never_wait_for_us() {
    let fleet = Port::free();
    let url = format!("webhook.url=https://{}/inject", fleet.address());
    let Some(mail) = Mail::set_up(&[&url]) else {
        return;
    };
    let site = &mail.site;
    site.plane
        .apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: app, namespace: mail }\n");
    site.plane.apply(SIDECAR);
    let labelled = "{ sekisho.dev/gateway: local }";
    // Nobody answers the webhook yet: only who asks for it is refused.
    site.plane.apply(&pod("plain", "{ app: web }"));
    assert!(
        site.plane
            .try_apply(&pod("early", labelled))
            .refused()
            .contains("inject")
    );

    let control = site.control_at("control-0", fleet, Port::free(), &[]);
    webhook_is_told(site);
    site.condition(
        "mailgateway",
        "mail/local",
        "BypassPossible",
        "True",
        "Sidecar",
    );
    wait_until("a pod with its sidecar", || {
        site.plane
            .try_apply(&pod("web", labelled))
            .stderr
            .is_empty()
            .then_some(())
    });
    let injected = site.find("pod", "mail", "web").unwrap();
    let first = &injected["spec"]["initContainers"][0];
    assert_eq!(
        (&first["name"], &first["restartPolicy"]),
        (&"sekisho-proxy".into(), &"Always".into()),
        "{injected:#}"
    );
    let refused = site
        .plane
        .try_apply(&pod("lost", "{ sekisho.dev/gateway: nowhere }"))
        .refused();
    assert!(refused.contains("nowhere"), "{refused}");

    // A pod that was let in while the webhook was away.
    site.plane
        .kubectl(["delete", "mutatingwebhookconfiguration", WEBHOOK])
        .ok();
    site.plane.apply(&pod("missed", labelled));
    wait_until("an Event", || {
        let events = site.list("events.events.k8s.io", "mail");
        events
            .iter()
            .any(|event| event["reason"] == "NotInjected" && event["regarding"]["name"] == "missed")
            .then_some(())
    });
    let metrics = site.http(&control, "/metrics");
    assert!(
        metrics.contains(r#"sekisho_operator_pods_without_sidecar{namespace="mail"} 1"#),
        "{metrics}"
    );
}

#[test]
fn other_ways_out_are_shut_and_what_reopens_them_is_named() {
    let Some(mail) = Mail::set_up(&[]) else {
        return;
    };
    let site = &mail.site;
    let _control = site.control("control-0", &[]);
    site.plane.apply("apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { sekisho.dev/mail-through: mail.outbound } }\n");
    let plain = gateway(mail.port.number(), mail.sink.address().port());
    site.plane.apply(&format!(
        "{plain}  blockBypass: {{ namespaces: Labelled }}\n"
    ));
    wait_until("a policy in the gateway's namespace", || {
        site.find("networkpolicy", "mail", "sekisho-bypass.outbound")
    });
    wait_until("a policy in the namespace that agreed", || {
        site.find("networkpolicy", "shop", "sekisho-bypass-mail.outbound")
    });
    let says = |status, reason| {
        site.condition(
            "mailgateway",
            "mail/outbound",
            "BypassPossible",
            status,
            reason,
        )
    };
    says("False", "Blocked");

    let open = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: all-out, namespace: shop }\nspec: { podSelector: {}, policyTypes: [Egress], egress: [{}] }\n";
    site.plane.apply(open);
    assert!(says("True", "ReopenedByPolicy").contains("shop/all-out"));
    site.plane
        .kubectl(["delete", "networkpolicy", "all-out", "--namespace", "shop"])
        .ok();
    says("False", "Blocked");

    site.plane.apply(&plain);
    for (namespace, name) in [
        ("mail", "sekisho-bypass.outbound"),
        ("shop", "sekisho-bypass-mail.outbound"),
    ] {
        wait_until("the policy to go", || {
            site.find("networkpolicy", namespace, name)
                .is_none()
                .then_some(())
        });
    }
}
