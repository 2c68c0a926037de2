//! What the benches of the control plane measure with: 5,000 policy objects at 200 gateways.

use serde_json::{Value, json};

/// The gateways, and the namespaces over which they are spread unless a bench says otherwise.
pub const GATEWAYS: usize = 200;
pub const NAMESPACES: usize = 20;
/// What attaches to each gateway, or is routed to: 25 objects.
const LIMITS: usize = 17;
const COUNTRY_RULES: usize = 3;
const API_VERSION: &str = "sekisho.dev/v1alpha1";

/// The namespace of a gateway.
pub fn namespace_of(gateway: usize, namespaces: usize) -> String {
    format!("tenant-{:02}", gateway % namespaces)
}

/// The name of a gateway.
pub fn gateway_name(gateway: usize) -> String {
    format!("outbound-{gateway}")
}

/// All objects, spread over so many namespaces.
pub fn scene(namespaces: usize) -> Vec<Value> {
    let mut objects = Vec::new();
    for number in 0..GATEWAYS {
        let namespace = namespace_of(number, namespaces);
        objects.push(gateway(&namespace, number));
        objects.push(policy(&namespace, number));
        objects.push(guard(&namespace, number));
        objects.extend((0..COUNTRY_RULES).map(|rule| country_rule(&namespace, number, rule)));
        objects
            .extend((0..LIMITS).map(|limit_number| limit(&namespace, number, limit_number, 500)));
        objects
            .extend(["clean", "slow", "spam"].map(|pool_name| pool(&namespace, number, pool_name)));
    }
    objects
}

fn object(kind: &str, namespace: &str, name: String, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSION, "kind": kind,
        "metadata": { "namespace": namespace, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": spec,
    })
}

fn gateway(namespace: &str, number: usize) -> Value {
    let spec = json!({
        "listeners": [
            { "name": "submission", "port": 587, "certificateRefs": [{ "name": "mail-tls" }] },
            { "name": "submissions", "port": 465, "tls": "Implicit", "certificateRefs": [{ "name": "mail-tls" }] },
        ],
        "authentication": { "defaultDomain": format!("tenant-{number}.example") },
        "upstream": { "endpoints": [{ "address": format!("postfix-{number}:25") }] },
        "home": ["JP"],
    });
    object("MailGateway", namespace, gateway_name(number), spec)
}

fn policy(namespace: &str, number: usize) -> Value {
    let aliases: Vec<Value> = (0..20)
        .map(|alias| {
            json!({ "account": format!("user{alias}@tenant-{number}.example"),
                "addresses": [format!("sales{alias}@tenant-{number}.example")] })
        })
        .collect();
    let rules: Vec<Value> = [
        "casino|lottery",
        "v[i1]agra",
        "wire transfer within \\d+ hours",
    ]
    .iter()
    .enumerate()
    .map(|(index, pattern)| {
        json!({ "name": format!("rule-{index}"), "header": "Subject",
            "matches": format!("(?i){pattern}"), "score": 5 })
    })
    .collect();
    let spec = json!({
        "targetRefs": [{ "name": gateway_name(number) }],
        "sender": { "aliases": aliases },
        "classify": { "rules": rules, "suspectAt": 5, "spamAt": 10 },
        "route": {
            "clean": { "pool": format!("clean-{number}") },
            "suspect": { "pool": format!("slow-{number}") },
            "spam": { "pool": format!("spam-{number}") },
        },
    });
    object(
        "SubmissionPolicy",
        namespace,
        format!("policy-{number}"),
        spec,
    )
}

fn guard(namespace: &str, number: usize) -> Value {
    let spec = json!({
        "targetRefs": [{ "name": gateway_name(number) }],
        "perAccount": { "distinctPasswords": 10, "per": "1h", "lock": "30m" },
        "perSource": { "distinctAccounts": 5, "per": "1h", "lock": "1h" },
        "perAccountAndSource": { "failures": 10, "per": "15m", "lock": "15m" },
    });
    object("LoginGuard", namespace, format!("guard-{number}"), spec)
}

fn country_rule(namespace: &str, number: usize, rule: usize) -> Value {
    let from = ["CN", "RU", "BR", "US", "VN"][rule % 5];
    let spec = json!({
        "targetRefs": [{ "name": gateway_name(number) }],
        "from": { "countries": [from] },
        "exempt": { "accounts": [format!("director{rule}@tenant-{number}.example")], "networks": ["192.0.2.0/24"] },
        "then": { "limits": [{ "unit": "Recipients", "count": 10 + rule, "per": "1h" }] },
    });
    object(
        "CountryRule",
        namespace,
        format!("country-{number}-{rule}"),
        spec,
    )
}

/// A limit of a gateway; `count` is the one that benches change.
pub fn limit(namespace: &str, number: usize, index: usize, count: usize) -> Value {
    let overrides: Vec<Value> = (0..index % 3)
        .map(|each| {
            json!({ "name": format!("newsletter-{each}"),
                "match": { "accounts": [format!("news{each}@tenant-{number}.example")] },
                "limits": [{ "unit": "Recipients", "count": 5000, "per": "1h" }] })
        })
        .collect();
    let key = [
        json!(["Account"]),
        json!(["SourcePrefix"]),
        json!(["Account", "Source"]),
    ];
    let mut spec = json!({
        "targetRefs": [{ "name": gateway_name(number) }],
        "key": key[index % 3],
        "limits": [
            { "unit": "Recipients", "count": count, "per": format!("{}m", index + 1) },
            { "unit": "Messages", "count": 100, "per": "1h" },
        ],
        "match": { "networks": [format!("10.{index}.0.0/16")], "when": "message.size > 1000 && source.country != 'JP'" },
    });
    if !overrides.is_empty() {
        spec["overrides"] = Value::from(overrides);
    }
    object(
        "RateLimit",
        namespace,
        format!("limit-{number}-{index}"),
        spec,
    )
}

fn pool(namespace: &str, number: usize, name: &str) -> Value {
    let spec = json!({
        "members": [{ "name": "a", "relay": { "address": format!("relay-{name}-{number}:25") } }],
    });
    object("EgressPool", namespace, format!("{name}-{number}"), spec)
}
