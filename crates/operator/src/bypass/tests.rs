//! Who is kept from the ports of mail, and which policies let them through.

use k8s_openapi::api::networking::v1::NetworkPolicy;
use sekisho_crd::MailGatewaySpec;
use serde_json::{Value, json};

use super::*;
use crate::testing::{gateway, spec};

fn blocking(namespaces: &str) -> MailGatewaySpec {
    spec(json!({ "blockBypass": {
        "namespaces": namespaces,
        "exemptPods": [{ "label": "app", "values": ["postfix", "exim"] }],
    } }))
}

fn sidecar() -> MailGatewaySpec {
    spec(json!({ "mode": "Sidecar", "blockBypass": {} }))
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn namespaces_agree_by_their_label() {
    let labelled = |value: &str| BTreeMap::from([(MAIL_THROUGH.to_owned(), value.to_owned())]);
    let (ours, other) = (labelled("mail.outbound"), labelled("mail.other"));
    let all = [
        ("shop", Some(&ours)),
        ("web", Some(&other)),
        ("x", None),
        ("mail", None),
    ];
    for (spec, expected) in [
        (spec(json!({})), names(&[])),
        (blocking("Same"), names(&["mail"])),
        (blocking("Labelled"), names(&["mail", "shop"])),
        (sidecar(), names(&["mail"])),
    ] {
        assert_eq!(chosen(&gateway(&spec), all), expected);
    }
}

#[test]
fn golden_policies_of_one_gateway() {
    let spec = blocking("Labelled");
    let gateway = gateway(&spec);
    let chosen = names(&["mail", "shop"]);
    let all = policies(&gateway, &chosen).into_iter();
    let all = all.chain(admin_policy(&gateway, &chosen));
    let text: Vec<_> = all.map(|one| sekisho_crd::to_yaml(&one.body)).collect();
    crate::testing::golden("bypass.yaml", &text.join("---\n"));
}

#[test]
fn only_the_gateways_namespace_has_its_owner() {
    let spec = blocking("Labelled");
    let all = policies(&gateway(&spec), &names(&["mail", "shop"]));
    let owners: Vec<_> = all
        .iter()
        .map(|one| {
            (
                one.name.as_str(),
                one.body["metadata"]["ownerReferences"].is_array(),
            )
        })
        .collect();
    assert_eq!(
        owners,
        [
            ("sekisho-bypass.outbound", true),
            ("sekisho-bypass-mail.outbound", false)
        ]
    );
}

/// What is allowed is everything but the ports of mail, whatever port is asked about.
#[test]
fn the_ranges_leave_out_the_ports_of_mail_and_nothing_else() {
    let spec = blocking("Same");
    let all = policies(&gateway(&spec), &names(&["mail"]));
    let policy: NetworkPolicy = serde_json::from_value(all[0].body.clone()).unwrap();
    let rules = policy.spec.unwrap().egress.unwrap();
    let allowed = |port: u16| {
        rules[0].ports.iter().flatten().any(|range| {
            let Some(k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(from)) =
                range.port
            else {
                return false;
            };
            (from..=range.end_port.unwrap_or(from)).contains(&i32::from(port))
        })
    };
    for port in 1..=u16::MAX {
        assert_eq!(allowed(port), !MAIL_PORTS.contains(&port), "{port}");
    }
}

fn policy(name: &str, spec: Value) -> NetworkPolicy {
    serde_json::from_value(json!({
        "metadata": { "namespace": "mail", "name": name },
        "spec": spec,
    }))
    .unwrap()
}

fn opens(spec: &MailGatewaySpec, policy: &NetworkPolicy) -> bool {
    !reopened(&gateway(spec), &names(&["mail"]), [policy]).is_empty()
}

#[test]
fn rules_that_reopen_are_told_from_those_that_do_not() {
    let to = |to: Value| json!({ "to": [to] });
    let port = |port: Value| json!({ "ports": [port] });
    let spec = blocking("Same");
    for (rule, reopens) in [
        (json!({}), true),
        (json!({ "ports": [], "to": [] }), true),
        (port(json!({ "port": 25 })), true),
        (port(json!({ "port": 587, "protocol": "TCP" })), true),
        (port(json!({ "port": 26 })), false),
        (port(json!({ "port": 25, "protocol": "UDP" })), false),
        (port(json!({ "protocol": "TCP" })), true),
        (port(json!({ "protocol": "UDP" })), false),
        (port(json!({ "port": 400, "endPort": 500 })), true),
        (port(json!({ "port": 26, "endPort": 464 })), false),
        (port(json!({ "port": 1, "endPort": 25 })), true),
        (port(json!({ "port": "smtp" })), true),
        (to(json!({ "ipBlock": { "cidr": "192.0.2.0/24" } })), true),
        (
            to(json!({ "podSelector": { "matchLabels": { "app": "redis" } } })),
            true,
        ),
        (
            to(json!({ "podSelector": { "matchLabels": { "sekisho.dev/proxy-of": "outbound" } } })),
            false,
        ),
        (
            to(json!({ "podSelector": { "matchLabels": { "sekisho.dev/proxy-of": "other" } } })),
            true,
        ),
        (
            to(
                json!({ "podSelector": { "matchExpressions": [{ "key": "sekisho.dev/proxy-of", "operator": "In", "values": ["outbound"] }] } }),
            ),
            false,
        ),
        (
            to(
                json!({ "podSelector": { "matchExpressions": [{ "key": "sekisho.dev/proxy-of", "operator": "In", "values": ["outbound", "x"] }] } }),
            ),
            true,
        ),
        (
            to(
                json!({ "podSelector": { "matchExpressions": [{ "key": "sekisho.dev/proxy-of", "operator": "Exists" }] } }),
            ),
            true,
        ),
        (
            to(
                json!({ "namespaceSelector": {}, "podSelector": { "matchLabels": { "sekisho.dev/proxy-of": "outbound" } } }),
            ),
            true,
        ),
        (
            to(
                json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "mail" } }, "podSelector": { "matchLabels": { "sekisho.dev/proxy-of": "outbound" } } }),
            ),
            false,
        ),
        (
            json!({ "ports": [{ "port": 443 }], "to": [{ "ipBlock": { "cidr": "0.0.0.0/0" } }] }),
            false,
        ),
    ] {
        let policy = policy(
            "other",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [rule] }),
        );
        assert_eq!(opens(&spec, &policy), reopens, "{rule}");
    }
}

#[test]
fn policies_that_concern_nobody_who_is_kept_reopen_nothing() {
    let all = json!([{}]);
    let selected = |labels: Value| json!({ "podSelector": { "matchLabels": labels }, "policyTypes": ["Egress"], "egress": all });
    for (what, name, spec, reopens) in [
        (
            "no egress",
            "other",
            json!({ "podSelector": {}, "policyTypes": ["Ingress"] }),
            false,
        ),
        (
            "egress that is not said",
            "other",
            json!({ "podSelector": {}, "egress": all }),
            true,
        ),
        (
            "denies",
            "other",
            json!({ "podSelector": {}, "policyTypes": ["Egress"] }),
            false,
        ),
        (
            "its own",
            "sekisho-bypass.outbound",
            json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": all }),
            false,
        ),
        (
            "proxies",
            "other",
            selected(json!({ "sekisho.dev/proxy-of": "x" })),
            false,
        ),
        (
            "exempt",
            "other",
            selected(json!({ "app": "postfix" })),
            false,
        ),
        (
            "an application",
            "other",
            selected(json!({ "app": "web" })),
            true,
        ),
        (
            "those with a sidecar",
            "other",
            selected(json!({ "sekisho.dev/gateway": "outbound" })),
            true,
        ),
    ] {
        assert_eq!(
            opens(&blocking("Same"), &policy(name, spec)),
            reopens,
            "{what}"
        );
    }
    let with_sidecar = policy(
        "other",
        selected(json!({ "sekisho.dev/gateway": "outbound" })),
    );
    assert!(!opens(&sidecar(), &with_sidecar));
}

#[test]
fn other_namespaces_and_forged_labels_hide_nothing() {
    let spec = blocking("Same");
    let mut open = policy("other", json!({ "podSelector": {}, "egress": [{}] }));
    open.metadata.labels = Some(found_again(&gateway(&spec)));
    assert!(opens(&spec, &open));
    open.metadata.namespace = Some("elsewhere".to_owned());
    assert!(!opens(&spec, &open));
}

#[test]
fn the_condition_says_what_is_known() {
    let of = |spec: &MailGatewaySpec, reopened: &[Reopened]| {
        condition(&gateway(spec), &names(&["mail"]), reopened)
            .map(|condition| (condition.possible, condition.reason, condition.message))
    };
    let policy = |index: usize| Reopened {
        namespace: "mail".to_owned(),
        policy: format!("p{index:02}"),
    };
    let many: Vec<_> = (0..12).map(policy).collect();
    assert_eq!(of(&spec(json!({})), &[]), None);
    let (possible, reason, message) = of(&blocking("Same"), &[]).unwrap();
    assert_eq!((possible, reason), (Possible::No, "Blocked"));
    assert!(message.contains("pods of mail reach"), "{message}");
    let (possible, reason, message) = of(&blocking("Same"), &many).unwrap();
    assert_eq!((possible, reason), (Possible::Yes, "ReopenedByPolicy"));
    assert!(message.contains("mail/p09 and 2 more"), "{message}");
    let (possible, reason, _) = of(&spec(json!({ "mode": "Sidecar" })), &[]).unwrap();
    assert_eq!((possible, reason), (Possible::Yes, "Sidecar"));
}
