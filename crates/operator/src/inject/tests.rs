//! Pods that get a sidecar, and pods that do not.

use sekisho_crd::MailGatewaySpec;
use serde_json::{Value, json};

use super::*;
use crate::labels::INJECTED;
use crate::testing::{gateway, settings, spec};

fn sidecar() -> MailGatewaySpec {
    spec(json!({ "mode": "Sidecar" }))
}

pub(super) fn pod(more: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "shop", "namespace": "mail", "labels": { "sekisho.dev/gateway": "outbound" } },
        "spec": {
            "containers": [{ "name": "shop", "image": "shop:1", "ports": [{ "containerPort": 8080 }], "futureField": { "kept": 1 } }],
            "initContainers": [{ "name": "migrate", "image": "shop:1" }],
        },
    });
    let spec = pod["spec"].as_object_mut().unwrap();
    spec.extend(more.as_object().unwrap().clone());
    pod
}

pub(super) fn injected(mut pod: Value) -> Result<Value, InjectError> {
    inject(&mut pod, &gateway(&sidecar()), &settings()).map(|_| pod)
}

fn flag(pod: &Value, flag: &str) -> String {
    let args = pod["spec"]["initContainers"][0]["args"].as_array().unwrap();
    let found = args.iter().find_map(|arg| arg.as_str()?.strip_prefix(flag));
    found.unwrap().to_owned()
}

#[test]
fn golden_pod() {
    let restricted = json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "shop", "image": "shop:1",
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
        "initContainers": [],
    });
    let text = sekisho_crd::to_yaml(&injected(pod(restricted)).unwrap());
    crate::testing::golden("injected-pod.yaml", &text);
}

#[test]
fn the_sidecar_is_first_and_always_restarted() {
    let pod = injected(pod(json!({}))).unwrap();
    let all = pod["spec"]["initContainers"].as_array().unwrap();
    assert_eq!(
        (all.len(), &all[0]["name"], &all[1]["name"]),
        (2, &json!("sekisho-proxy"), &json!("migrate"))
    );
    assert_eq!(all[0]["restartPolicy"], "Always");
    assert_eq!(flag(&pod, "--listen="), "127.0.0.1");
    assert_eq!(
        pod["metadata"]["annotations"][INJECTED],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(pod["spec"]["containers"][0]["futureField"]["kept"], 1);
}

#[test]
fn twice_is_once() {
    for more in [
        json!({}),
        json!({ "initContainers": null, "volumes": null, "securityContext": {} }),
        json!({ "volumes": [{ "name": "data", "emptyDir": {} }, { "name": "sekisho-secrets", "hostPath": { "path": "/" } }] }),
        json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 9090 }, { "containerPort": 9091, "protocol": "TCP" }] }] }),
        json!({ "securityContext": { "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "25" }] } }),
    ] {
        let once = injected(pod(more.clone())).unwrap();
        let mut twice = once.clone();
        let spec = sidecar();
        let outcome = inject(&mut twice, &gateway(&spec), &settings());
        assert_eq!(outcome, Ok(Injected::AlreadyInjected), "{more}");
        assert_eq!(once, twice, "{more}");
        let volumes = once["spec"]["volumes"].as_array().unwrap();
        let ours = volumes
            .iter()
            .filter(|one| one["name"] == "sekisho-secrets");
        assert!(
            ours.clone().count() == 1 && ours.clone().all(|one| one.get("hostPath").is_none()),
            "{more}"
        );
    }
}

#[test]
fn another_version_or_a_forged_one_is_replaced() {
    let good = injected(pod(json!({}))).unwrap();
    for (what, path, value) in [
        (
            "an older image",
            "/spec/initContainers/0/image",
            json!("old:1"),
        ),
        (
            "other flags",
            "/spec/initContainers/0/args",
            json!(["--listen=0.0.0.0"]),
        ),
        (
            "another command",
            "/spec/initContainers/0/command",
            json!(["sh"]),
        ),
        (
            "no native sidecar",
            "/spec/initContainers/0/restartPolicy",
            Value::Null,
        ),
        (
            "an older version",
            "/metadata/annotations",
            json!({ INJECTED: "0.0.1" }),
        ),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(path).unwrap() = value;
        let spec = sidecar();
        assert_eq!(
            inject(&mut other, &gateway(&spec), &settings()),
            Ok(Injected::Injected),
            "{what}"
        );
        assert_eq!(other, good, "{what}");
    }
}

#[test]
fn a_sidecar_with_anything_more_is_replaced() {
    let good = injected(pod(
        json!({ "volumes": [{ "name": "data", "emptyDir": {} }] }),
    ))
    .unwrap();
    let first = "/spec/initContainers/0";
    let token = json!({ "name": "data", "mountPath": "/etc/sekisho/extra" });
    let with = |path: &str, field: &str, value: Value| {
        let mut forged = good.clone();
        forged.pointer_mut(path).unwrap()[field] = value;
        forged
    };
    let mut mounts = good.pointer(first).unwrap()["volumeMounts"]
        .as_array()
        .unwrap()
        .clone();
    mounts.push(token);
    let security = format!("{first}/securityContext");
    let secrets = good["spec"]["volumes"].as_array().unwrap();
    let secrets = secrets
        .iter()
        .position(|one| one["name"] == "sekisho-secrets")
        .unwrap();
    let secrets = format!("/spec/volumes/{secrets}");
    let mut second = good.clone();
    second["spec"]["initContainers"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    for (what, mut forged) in [
        ("privileged", with(&security, "privileged", json!(true))),
        ("root", with(&security, "runAsUser", json!(0))),
        (
            "with capabilities",
            with(
                &format!("{security}/capabilities"),
                "add",
                json!(["NET_ADMIN"]),
            ),
        ),
        (
            "a variable",
            with(
                first,
                "env",
                json!([{ "name": "LD_PRELOAD", "value": "/x.so" }]),
            ),
        ),
        (
            "variables of a Secret",
            with(first, "envFrom", json!([{ "secretRef": { "name": "x" } }])),
        ),
        ("a mount", with(first, "volumeMounts", json!(mounts))),
        (
            "a hook",
            with(
                first,
                "lifecycle",
                json!({ "postStart": { "exec": { "command": ["sh"] } } }),
            ),
        ),
        ("a directory", with(first, "workingDir", json!("/etc"))),
        ("no probe", with(first, "readinessProbe", Value::Null)),
        (
            "an easier probe",
            with(
                &format!("{first}/readinessProbe"),
                "failureThreshold",
                json!(99),
            ),
        ),
        (
            "less memory",
            with(&format!("{first}/resources/limits"), "memory", json!("1Mi")),
        ),
        (
            "claims",
            with(
                &format!("{first}/resources"),
                "claims",
                json!([{ "name": "x" }]),
            ),
        ),
        (
            "messages elsewhere",
            with(first, "terminationMessagePath", json!("/tmp/x")),
        ),
        (
            "another Secret",
            with(&format!("{secrets}/secret"), "secretName", json!("other")),
        ),
        ("not in the first place", second),
    ] {
        let outcome = inject(&mut forged, &gateway(&sidecar()), &settings());
        assert_eq!(outcome, Ok(Injected::Injected), "{what}");
        let sidecar = forged.pointer(first);
        assert_eq!(sidecar, good.pointer(first), "{what}");
        let named = |name: &str| {
            let volumes = forged["spec"]["volumes"].as_array().unwrap().clone();
            volumes.into_iter().find(|one| one["name"] == name)
        };
        assert_eq!(
            named("sekisho-secrets").as_ref(),
            good.pointer(&secrets),
            "{what}"
        );
    }
}

#[test]
fn what_the_api_server_writes_by_itself_is_no_forgery() {
    let mut defaulted = injected(pod(json!({}))).unwrap();
    let first = &mut defaulted["spec"]["initContainers"][0];
    first["terminationMessagePath"] = json!("/dev/termination-log");
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        first[probe]["successThreshold"] = json!(1);
    }
    first["resources"]["limits"]["cpu"] = json!("2");
    let before = defaulted.clone();
    let outcome = inject(&mut defaulted, &gateway(&sidecar()), &settings());
    assert_eq!(
        (outcome, defaulted),
        (Ok(Injected::AlreadyInjected), before)
    );
}

#[test]
fn metrics_step_aside_for_the_application() {
    let ports = json!({ "containers": [{ "name": "prometheus", "ports": [{ "containerPort": 9090 }, { "containerPort": 9091, "protocol": "UDP" }] }] });
    assert_eq!(
        flag(&injected(pod(ports)).unwrap(), "--http="),
        "0.0.0.0:9091"
    );
}

#[test]
fn low_ports_are_opened_where_they_are_needed() {
    let sysctls = |pod: &Value| pod["spec"]["securityContext"]["sysctls"].clone();
    let set = |value: &str| json!({ "securityContext": { "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": value }] } });
    let opened = injected(pod(json!({}))).unwrap();
    assert_eq!(sysctls(&opened)[0]["value"], "0");
    let kept = injected(pod(set("400"))).unwrap();
    assert_eq!(sysctls(&kept)[0]["value"], "400");
    for shut in ["1024", "466", "", "x", "-1"] {
        assert!(
            matches!(
                injected(pod(set(shut))),
                Err(InjectError::LowPortsShut { port: 465, .. })
            ),
            "{shut}"
        );
    }
    let high = spec(
        json!({ "mode": "Sidecar", "listeners": [{ "name": "a", "port": 2587, "tls": "Off" }] }),
    );
    let mut one = pod(json!({}));
    inject(&mut one, &gateway(&high), &settings()).unwrap();
    assert_eq!(sysctls(&one), Value::Null);
}

#[test]
fn pods_that_cannot_have_it_are_told_why_and_left_alone() {
    let spec_gateway = spec(json!({}));
    let mut one = pod(json!({}));
    assert!(matches!(
        inject(&mut one, &gateway(&spec_gateway), &settings()),
        Err(InjectError::NotSidecar(_))
    ));
    assert_eq!(one, pod(json!({})));
    let spec = sidecar();
    let cases = [
        (json!({ "hostNetwork": true }), "hostNetwork"),
        (json!({ "os": { "name": "windows" } }), "Windows"),
        (
            json!({ "nodeSelector": { "kubernetes.io/os": "windows" } }),
            "Windows",
        ),
        (
            json!({ "containers": [{ "name": "smtp", "ports": [{ "containerPort": 587 }] }] }),
            "container smtp has port 587",
        ),
        (
            json!({ "containers": [{ "name": "sekisho-proxy" }] }),
            "the sidecar's name",
        ),
        (
            json!({ "containers": [{ "name": "thief", "volumeMounts": [{ "name": "sekisho-secrets", "mountPath": "/x" }] }] }),
            "container thief mounts the volume sekisho-secrets",
        ),
        (
            json!({ "initContainers": [{ "name": "thief", "volumeMounts": [{ "name": "a" }, { "name": "sekisho-token", "mountPath": "/x" }] }] }),
            "container thief mounts the volume sekisho-token",
        ),
        (json!({ "containers": [] }), "containers"),
        (json!({ "containers": "x" }), "containers"),
        (json!({ "volumes": 1 }), "volumes"),
        (json!({ "initContainers": {} }), "initContainers"),
        (json!({ "securityContext": [] }), "securityContext"),
        (json!({ "securityContext": { "sysctls": 1 } }), "sysctls"),
    ];
    for (more, why) in cases {
        let before = pod(more.clone());
        let mut after = before.clone();
        let error = inject(&mut after, &gateway(&spec), &settings()).unwrap_err();
        assert!(error.to_string().contains(why), "{more}: {error}");
        assert_eq!(before, after, "{more}");
    }
}
