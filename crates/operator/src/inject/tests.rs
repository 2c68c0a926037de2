//! Pods that get a sidecar, pods that do not, and hostile questions.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use sekisho_crd::MailGatewaySpec;
use serde_json::{Value, json};
use std::sync::Arc;

use super::*;
use crate::gateways::Injectable;
use crate::labels::INJECTED;
use crate::testing::{gateway, settings, spec};

fn sidecar() -> MailGatewaySpec {
    spec(json!({ "mode": "Sidecar" }))
}

fn pod(more: Value) -> Value {
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

fn injected(mut pod: Value) -> Result<Value, InjectError> {
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

fn lookup(namespace: &str, name: &str) -> Lookup {
    let found = |mode: &str| Injectable {
        uid: "uid".to_owned(),
        spec: spec(json!({ "mode": mode })),
    };
    match (namespace, name) {
        ("mail", "outbound") => Lookup::Found(Arc::new(found("Sidecar"))),
        ("mail", "own") => Lookup::Found(Arc::new(found("Gateway"))),
        ("mail", "broken") => Lookup::Unusable,
        ("starting", _) => Lookup::NotReady,
        _ => Lookup::Unknown,
    }
}

fn question(namespace: &str, object: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": namespace,
            "operation": "CREATE",
            "object": object,
        },
    })
}

fn answered(question: &Value) -> Value {
    let answer = review(question.to_string().as_bytes(), &lookup, &settings()).unwrap();
    assert_eq!(answer["response"]["uid"], question["request"]["uid"]);
    answer["response"].clone()
}

#[test]
fn the_patch_makes_the_injected_pod() {
    let before = pod(json!({ "volumes": [{ "name": "data", "emptyDir": {} }] }));
    let answer = answered(&question("mail", before.clone()));
    assert_eq!(
        (&answer["allowed"], &answer["patchType"]),
        (&json!(true), &json!("JSONPatch"))
    );
    let patch = base64::engine::general_purpose::STANDARD
        .decode(answer["patch"].as_str().unwrap())
        .unwrap();
    let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
    let mut after = before.clone();
    json_patch::patch(&mut after, &patch).unwrap();
    assert_eq!(after, injected(before).unwrap());
    let again = answered(&question("mail", after));
    assert_eq!(
        (&again["allowed"], again.get("patch")),
        (&json!(true), None)
    );
}

#[test]
fn what_asks_for_nothing_goes_through_as_it_is() {
    let mut unlabelled = pod(json!({}));
    unlabelled["metadata"]["labels"] = json!({});
    let mut update = question("mail", pod(json!({})));
    update["request"]["operation"] = json!("UPDATE");
    let mut exec = question("mail", pod(json!({})));
    exec["request"]["subResource"] = json!("exec");
    for question in [
        question("mail", unlabelled),
        question("mail", Value::Null),
        update,
        exec,
    ] {
        let answer = answered(&question);
        assert_eq!(
            (&answer["allowed"], answer.get("patch")),
            (&json!(true), None)
        );
    }
}

#[test]
fn refusals_say_why() {
    let named = |name: &str| {
        let mut pod = pod(json!({}));
        pod["metadata"]["labels"]["sekisho.dev/gateway"] = json!(name);
        pod
    };
    for (namespace, pod, code, why) in [
        ("mail", named("none"), 422, "no MailGateway mail/none"),
        ("mail", named("own"), 422, "mode Gateway"),
        ("mail", named("broken"), 422, "has errors"),
        (
            "mail",
            pod(json!({ "many": vec![Value::Null; 40_000] })),
            422,
            "more than 32768 values",
        ),
        ("starting", named("outbound"), 503, "has not read"),
        (
            "mail",
            pod(json!({ "hostNetwork": true })),
            422,
            "hostNetwork",
        ),
    ] {
        let answer = answered(&question(namespace, pod));
        assert_eq!(answer["allowed"], false, "{why}");
        assert_eq!(answer["status"]["code"], code, "{why}");
        assert!(
            answer["status"]["message"].as_str().unwrap().contains(why),
            "{answer}"
        );
    }
}

/// Every value of a good question is replaced by every sort of value: an answer or an error comes back, and no panic.
#[test]
fn hostile_questions_are_answered_or_refused() {
    let good = question(
        "mail",
        pod(json!({
            "volumes": [{ "name": "data" }],
            "securityContext": { "sysctls": [{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }] },
            "nodeSelector": { "a": "b" }, "os": { "name": "linux" }, "hostNetwork": false,
        })),
    );
    let mut paths = Vec::new();
    collect(&good, String::new(), &mut paths);
    let sorts = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e300),
        json!("\u{0}"),
        json!([]),
        json!([[]]),
        json!({}),
        json!([{ "name": 1 }]),
    ];
    for path in &paths {
        for sort in &sorts {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = sort.clone();
            let _ = review(bad.to_string().as_bytes(), &lookup, &settings());
        }
    }
    let text = good.to_string();
    for end in 0..text.len() {
        assert!(review(&text.as_bytes()[..end], &lookup, &settings()).is_err());
    }
    let deep = "[".repeat(100_000);
    assert!(review(deep.as_bytes(), &lookup, &settings()).is_err());
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, child)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            collect(child, format!("{path}/{key}"), paths);
        }),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, child)| {
            collect(child, format!("{path}/{index}"), paths);
        }),
        _ => {}
    }
    paths.push(path);
}

#[tokio::test]
async fn the_webhook_bounds_and_checks_what_it_reads() {
    use tower::ServiceExt as _;
    let router = router(Arc::new(settings()), Arc::new(lookup));
    let good = question("mail", pod(json!({}))).to_string();
    for (what, type_, body, status) in [
        ("good", "application/json", good.clone(), StatusCode::OK),
        (
            "with a charset",
            "Application/JSON; charset=utf-8",
            good.clone(),
            StatusCode::OK,
        ),
        (
            "another type",
            "text/plain",
            good.clone(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            "no review",
            "application/json",
            "{}".to_owned(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "another version",
            "application/json",
            good.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1"),
            StatusCode::BAD_REQUEST,
        ),
        (
            "no uid",
            "application/json",
            good.replace("705ab4f5-6393-11e8-b7cc-42010a800002", ""),
            StatusCode::BAD_REQUEST,
        ),
        (
            "too large",
            "application/json",
            format!("{good}{}", " ".repeat(MAX_REVIEW_BYTES)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
    ] {
        let request = Request::post(PATH)
            .header("content-type", type_)
            .body(Body::from(body))
            .unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{what}");
    }
}

/// A body that sends nothing until it is told to.
fn slow(until: tokio::sync::oneshot::Receiver<()>, then: String) -> Body {
    Body::from_stream(futures_util::stream::once(async move {
        let _ = until.await;
        Ok::<_, std::io::Error>(then)
    }))
}

#[tokio::test(start_paused = true)]
async fn slow_questions_hold_no_more_than_their_places_and_not_for_long() {
    use tower::ServiceExt as _;
    let router = router(Arc::new(settings()), Arc::new(lookup));
    let good = question("mail", pod(json!({}))).to_string();
    let ask = |body: Body| {
        let request = Request::post(PATH).header("content-type", "application/json");
        router.clone().oneshot(request.body(body).unwrap())
    };
    let mut never = Vec::new();
    let slow_ones = (0..16).map(|_| {
        let (told, until) = tokio::sync::oneshot::channel();
        never.push(told);
        tokio::spawn(ask(slow(until, good.clone())))
    });
    let slow_ones: Vec<_> = slow_ones.collect();
    tokio::task::yield_now().await;
    let begun = tokio::time::Instant::now();
    let refused = ask(Body::from(good.clone())).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(begun.elapsed().as_secs(), 2);
    for slow in slow_ones {
        let answer = slow.await.unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    }
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert_eq!(
        ask(Body::from(good)).await.unwrap().status(),
        StatusCode::OK
    );
}
