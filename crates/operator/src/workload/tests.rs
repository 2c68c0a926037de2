//! The objects of gateways, in tables; `tests/golden` has all of one gateway's.

use sekisho_crd::MailGatewaySpec;
use serde_json::{Value, json};

use super::*;
use crate::settings::PullPolicy;
use crate::testing::{gateway, settings};

fn spec(more: Value) -> MailGatewaySpec {
    crate::testing::spec(more)
}

fn body(spec: &MailGatewaySpec, kind: &str) -> Value {
    let all = desired(&gateway(spec), &settings());
    let found = all.into_iter().find(|one| one.resource.kind == kind);
    found.map(|one| one.body).unwrap()
}

fn arguments(deployment: &Value) -> Vec<String> {
    serde_json::from_value(deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone())
        .unwrap()
}

#[test]
fn everything_is_owned_labelled_and_of_the_gateways_namespace() {
    let spec = spec(json!({}));
    let all = desired(&gateway(&spec), &settings());
    let kinds: Vec<_> = all.iter().map(|one| one.resource.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "ServiceAccount",
            "NetworkPolicy",
            "Service",
            "Deployment",
            "PodDisruptionBudget"
        ]
    );
    for one in &all {
        assert_eq!(
            (one.name.as_str(), one.namespace.as_deref()),
            ("sekisho-outbound", Some("mail"))
        );
        let meta = &one.body["metadata"];
        assert_eq!(meta["labels"]["app.kubernetes.io/managed-by"], "sekisho");
        assert_eq!(meta["labels"]["app.kubernetes.io/instance"], "outbound");
        assert_eq!(meta["ownerReferences"][0]["controller"], true);
        assert_eq!(meta["ownerReferences"][0]["blockOwnerDeletion"], true);
        assert_eq!(meta["ownerReferences"][0]["uid"], gateway(&spec).uid);
        assert_eq!(one.body["status"], Value::Null);
    }
}

#[test]
fn a_sidecar_gateway_runs_nothing_of_its_own() {
    let spec = spec(json!({ "mode": "Sidecar" }));
    assert_eq!(desired(&gateway(&spec), &settings()), vec![]);
}

#[test]
fn a_changed_rule_of_the_gateway_rolls_nothing() {
    let before = spec(json!({}));
    let after = spec(json!({
        "home": ["JP", "DE"],
        "deadlines": { "afterData": "60s" },
        "privacy": { "recipients": "Plain" },
        "headers": { "verdict": "Include" },
        "upstream": { "endpoints": [{ "address": "other.mail:25" }] },
    }));
    assert_eq!(
        desired(&gateway(&before), &settings()),
        desired(&gateway(&after), &settings())
    );
}

#[test]
fn replicas_are_left_alone_where_none_are_asked_for() {
    for (more, replicas) in [
        (json!({}), Value::Null),
        (json!({ "replicas": 3 }), json!(3)),
    ] {
        assert_eq!(
            body(&spec(more), "Deployment")["spec"]["replicas"],
            replicas
        );
    }
}

#[test]
fn sysctls_are_asked_for_where_a_port_is_low() {
    let sysctls = |spec: &MailGatewaySpec| {
        body(spec, "Deployment")["spec"]["template"]["spec"]["securityContext"]["sysctls"].clone()
    };
    let high = json!({ "listeners": [{ "name": "a", "port": 2587, "tls": "Off" }] });
    assert_eq!(sysctls(&spec(high)), Value::Null);
    assert_eq!(
        sysctls(&spec(json!({}))),
        json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }])
    );
}

#[test]
fn metrics_step_aside_for_a_listener() {
    let spec = spec(json!({ "listeners": [
        { "name": "a", "port": 9090, "tls": "Off" }, { "name": "b", "port": 9091, "tls": "Off" },
    ] }));
    let deployment = body(&spec, "Deployment");
    assert!(arguments(&deployment).contains(&"--http=0.0.0.0:9092".to_owned()));
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], 9092);
    let policy = body(&spec, "NetworkPolicy");
    assert_eq!(policy["spec"]["ingress"][1]["ports"][0]["port"], 9092);
}

#[test]
fn the_grace_covers_leaving_and_draining() {
    let deployment = body(&spec(json!({})), "Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    let leave = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        .as_i64()
        .unwrap();
    let drain = arguments(&deployment)
        .iter()
        .find_map(|flag| {
            flag.strip_prefix("--drain=")?
                .strip_suffix('s')?
                .parse::<i64>()
                .ok()
        })
        .unwrap();
    assert!(leave + drain < grace, "{leave} {drain} {grace}");
}

#[test]
fn the_client_s_address_is_kept_unless_told_otherwise() {
    for (service, type_, policy) in [
        (json!(null), "ClusterIP", json!(null)),
        (json!({ "type": "ClusterIP" }), "ClusterIP", json!(null)),
        (
            json!({ "type": "LoadBalancer" }),
            "LoadBalancer",
            json!("Local"),
        ),
        (json!({ "type": "NodePort" }), "NodePort", json!("Local")),
        (
            json!({ "type": "NodePort", "externalTrafficPolicy": "Cluster" }),
            "NodePort",
            json!("Cluster"),
        ),
    ] {
        let more = match service {
            Value::Null => json!({}),
            service => json!({ "service": service }),
        };
        let made = body(&spec(more.clone()), "Service");
        assert_eq!(made["spec"]["type"], type_, "{more}");
        assert_eq!(made["spec"]["externalTrafficPolicy"], policy, "{more}");
    }
}

#[test]
fn memory_for_messages_follows_the_limit() {
    for (resources, limit, request, messages) in [
        (json!({}), "512Mi", "128Mi", "256Mi"),
        (
            json!({ "limits": { "memory": "1Gi" } }),
            "1Gi",
            "128Mi",
            "512Mi",
        ),
        (
            json!({ "limits": { "memory": "64Mi" } }),
            "64Mi",
            "64Mi",
            "32Mi",
        ),
        (
            json!({ "limits": { "memory": "64Gi" } }),
            "64Gi",
            "128Mi",
            "4096Mi",
        ),
        (
            json!({ "requests": { "memory": "1G" } }),
            "1000000000",
            "1G",
            "500000000",
        ),
        (
            json!({ "limits": { "memory": "99999999" } }),
            "99999999",
            "99999999",
            "49999999",
        ),
    ] {
        let deployment = body(
            &spec(json!({ "pods": { "resources": resources } })),
            "Deployment",
        );
        let made = &deployment["spec"]["template"]["spec"]["containers"][0]["resources"];
        assert_eq!(made["limits"]["memory"], limit);
        assert_eq!(made["requests"]["memory"], request);
        let flag = format!("--message-memory={messages}");
        assert!(arguments(&deployment).contains(&flag), "{flag}");
        // The proxy reads it by the same rules.
        messages.parse::<sekisho_crd::ByteSize>().unwrap();
    }
}

#[test]
fn labels_of_the_author_replace_none_of_ours() {
    let spec = spec(json!({ "pods": {
        "labels": { "team": "mail", "sekisho.dev/gateway": "other", "sekisho.dev/proxy-of": "other", "app.kubernetes.io/name": "x" },
        "annotations": { "sekisho.dev/injected": "1", "example.jp/a": "b" },
    } }));
    let template = body(&spec, "Deployment")["spec"]["template"]["metadata"].clone();
    assert_eq!(
        template["labels"],
        json!({
            "app.kubernetes.io/instance": "outbound",
            "app.kubernetes.io/managed-by": "sekisho",
            "app.kubernetes.io/name": "sekisho-proxy",
            "sekisho.dev/proxy-of": "outbound",
            "team": "mail",
        })
    );
    assert_eq!(
        template["annotations"],
        json!({ "example.jp/a": "b", "kubectl.kubernetes.io/default-container": "sekisho-proxy" })
    );
}

#[test]
fn what_is_somebody_elses_is_not_written() {
    let spec = spec(json!({}));
    let gateway = gateway(&spec);
    let mut existing = metadata(&gateway);
    assert!(is_own(&existing, gateway.uid));
    existing.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
    assert!(!is_own(&existing, gateway.uid));
    existing.owner_references = None;
    assert!(!is_own(&existing, gateway.uid));
}

#[test]
fn the_image_and_its_policy_are_the_settings() {
    let mut settings = settings();
    settings.proxy_image = "registry.example.jp/proxy:2".to_owned();
    settings.pull_policy = PullPolicy::Always;
    let spec = spec(json!({}));
    let all = desired(&gateway(&spec), &settings);
    let deployment = all
        .iter()
        .find(|one| one.resource.kind == "Deployment")
        .unwrap();
    let container = &deployment.body["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.jp/proxy:2");
    assert_eq!(container["imagePullPolicy"], "Always");
}

#[test]
fn golden_objects_of_one_gateway() {
    let spec = spec(json!({
        "replicas": 2,
        "service": {
            "type": "LoadBalancer",
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
            "annotations": { "example.jp/balancer": "mail" },
        },
        "pods": {
            "resources": { "requests": { "cpu": "250m" }, "limits": { "memory": "1Gi" } },
            "nodeSelector": { "pool": "mail" },
            "tolerations": [{ "key": "mail", "operator": "Exists", "effect": "NoSchedule" }],
            "priorityClassName": "mail",
            "labels": { "team": "mail" },
        },
    }));
    let all = desired(&gateway(&spec), &settings());
    let text: Vec<_> = all
        .iter()
        .map(|one| sekisho_crd::to_yaml(&one.body))
        .collect();
    crate::testing::golden("gateway.yaml", &text.join("---\n"));
}
