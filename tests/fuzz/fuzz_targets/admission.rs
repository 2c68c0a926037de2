//! Questions of an API server: every body is answered or refused, never with a panic; and what was injected once is left alone.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sekisho_operator::inject::{Injected, Lookup, inject, review};
use sekisho_operator::{GatewayInput, Injectable, PullPolicy, Settings};

fuzz_target!(|data: &[u8]| {
    let settings = Settings {
        namespace: "sekisho-system".into(),
        service: "sekisho-control".into(),
        proxy_image: "proxy:1".into(),
        pull_policy: PullPolicy::IfNotPresent,
    };
    let spec = serde_json::json!({
        "mode": "Sidecar",
        "listeners": [{ "name": "submission", "port": 587, "tls": "Off" }],
        "upstream": { "endpoints": [{ "address": "postfix.mail:25" }] },
    });
    let gateway = Arc::new(Injectable { uid: String::new(), spec: serde_json::from_value(spec).unwrap() });
    let found = Arc::clone(&gateway);
    let lookup = move |_: &str, _: &str| Lookup::Found(Arc::clone(&found));
    let _ = review(data, &lookup, &settings);
    let Ok(mut pod) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let gateway = GatewayInput { namespace: "mail", name: "outbound", uid: "", spec: &gateway.spec };
    if inject(&mut pod, &gateway, &settings).is_ok() {
        let once = pod.clone();
        assert_eq!(inject(&mut pod, &gateway, &settings), Ok(Injected::AlreadyInjected));
        assert_eq!(pod, once);
    }
});
