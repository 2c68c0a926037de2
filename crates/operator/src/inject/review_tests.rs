//! What the API server asks, what others ask, and how they are answered.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use serde_json::{Value, json};
use std::sync::Arc;

use super::tests::{injected, pod};
use super::*;
use crate::gateways::Injectable;
use crate::testing::{settings, spec};

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
