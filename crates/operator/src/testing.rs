//! Gateways and settings for the tests of the builders, and files that their output is compared with.

use std::fs;
use std::path::Path;

use sekisho_crd::MailGatewaySpec;
use serde_json::{Value, json};

use crate::settings::{GatewayInput, PullPolicy, Settings};

/// The spec of a gateway with two listeners, and `more` in it.
pub(crate) fn spec(more: Value) -> MailGatewaySpec {
    let mut spec = json!({
        "listeners": [
            { "name": "submission", "port": 587, "certificateRefs": [{ "name": "mail-tls" }] },
            { "name": "submissions", "port": 465, "tls": "Implicit", "certificateRefs": [{ "name": "mail-tls" }] },
        ],
        "upstream": { "endpoints": [{ "address": "postfix.mail:25" }] },
    });
    let Value::Object(more) = more else {
        panic!("{more} is no mapping")
    };
    spec.as_object_mut().unwrap().extend(more);
    serde_json::from_value(spec).unwrap()
}

/// That spec as the gateway mail/outbound.
pub(crate) fn gateway(spec: &MailGatewaySpec) -> GatewayInput<'_> {
    GatewayInput {
        namespace: "mail",
        name: "outbound",
        uid: "6ecbfb56-1f1f-4c5c-9d8b-0d3c5e1e9a77",
        spec,
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        namespace: "sekisho-system".to_owned(),
        service: "sekisho-control".to_owned(),
        proxy_image: "ghcr.io/sekisho/proxy:0.1.0".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
    }
}

/// Compares with a file of `tests/golden`, or writes it: `UPDATE_EXPECTED=1 cargo test -p sekisho-operator`.
pub(crate) fn golden(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    let rewrite = std::env::var_os("UPDATE_EXPECTED").is_some();
    if rewrite {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs; UPDATE_EXPECTED=1 writes it anew. Now it would be:\n{text}",
        file.display()
    );
}
