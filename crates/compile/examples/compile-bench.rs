//! How long the compiler takes with 5,000 policy objects at 200 gateways: `cargo run --release --example compile-bench`.
//!
//! Ends with an error where a figure is over its bound, so that a slower compiler does not go unnoticed.
#![expect(
    clippy::disallowed_methods,
    reason = "a stopwatch reads the clock; what is compiled does not"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sekisho_compile::{ObjectKey, Objects, Platform, SecretKeys, cluster, compile_all};
use sekisho_crd::Kind;
use sekisho_policy::Snapshot;
use serde_json::{Value, json};

const GATEWAYS: usize = 200;
const NAMESPACES: usize = 20;
/// What attaches to each gateway, or is routed to: 25 objects.
const LIMITS: usize = 17;
const COUNTRY_RULES: usize = 3;
const ROUNDS: usize = 15;

const FULL: Duration = Duration::from_millis(200);
const ONE_CHANGE: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let spread = scene(NAMESPACES);
    let (objects, read) = timed(|| take(&spread));
    println!(
        "{} objects in {GATEWAYS} gateways in {NAMESPACES} namespaces",
        spread.len()
    );
    println!("reading all as JSON: {}", shown(read));
    let mut namespaces = objects;
    let full = best(|| {
        namespaces
            .values()
            .for_each(|of| drop(compile(of, &none())))
    });
    let first = namespaces.keys().next().cloned().unwrap_or_default();
    let one = changes(
        namespaces.get_mut(&first).expect("the first of them"),
        &first,
    );

    let crowded = scene(1);
    let mut crowd = take(&crowded);
    let (name, crowd) = crowd.iter_mut().next().expect("one namespace");
    let crowd_full = best(|| drop(compile(crowd, &none())));
    let crowd_one = changes(crowd, name);

    let verdicts = [
        report("full compile", full, Some(FULL)),
        report("recompile after one change", one, Some(ONE_CHANGE)),
        report("full compile, all in one namespace", crowd_full, Some(FULL)),
        report(
            "recompile after one change, all in one namespace",
            crowd_one,
            None,
        ),
    ];
    if verdicts.iter().all(|good| *good) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn report(what: &str, took: Duration, bound: Option<Duration>) -> bool {
    let good = bound.is_none_or(|bound| took < bound);
    let bound = bound.map(|bound| format!(" (bound {})", shown(bound)));
    let verdict = if good { "" } else { " OVER" };
    println!(
        "{what}: {}{}{verdict}",
        shown(took),
        bound.unwrap_or_default()
    );
    good
}

fn shown(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed())
}

/// The median of some rounds.
fn best(mut work: impl FnMut()) -> Duration {
    let mut rounds: Vec<Duration> = (0..ROUNDS).map(|_| timed(&mut work).1).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

type Snapshots = BTreeMap<ObjectKey, Snapshot>;

fn none() -> Snapshots {
    Snapshots::new()
}

fn compile(objects: &Objects, previous: &Snapshots) -> Snapshots {
    let compiled = compile_all(objects, previous);
    let errors = compiled.diagnostics.iter().filter(|d| d.is_error());
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    assert!(
        errors.is_empty(),
        "the bench's objects are good: {errors:?}"
    );
    let whole = compiled.gateways.into_iter();
    whole
        .map(|(key, snapshot)| (key, snapshot.expect("no errors")))
        .collect()
}

/// One limit is changed and read, and its namespace compiled.
fn changes(objects: &mut Objects, namespace: &str) -> Duration {
    let mut previous = compile(objects, &none());
    let mut count = 1000;
    best(|| {
        count += 1;
        let changed = limit(namespace, 0, 0, count);
        put(objects, &changed);
        previous = compile(objects, &previous);
    })
}

fn put(objects: &mut Objects, object: &Value) {
    let kind: Kind = object["kind"]
        .as_str()
        .and_then(|kind| kind.parse().ok())
        .expect("a kind");
    let taken = cluster::read(kind, object).expect("it has a name");
    let found = taken.put(objects);
    assert!(found.is_empty(), "{found:?}");
}

/// The objects of each namespace, as the operator keeps them.
fn take(scene: &[Value]) -> BTreeMap<String, Objects> {
    let mut namespaces: BTreeMap<String, Objects> = BTreeMap::new();
    for object in scene {
        let namespace = object["metadata"]["namespace"]
            .as_str()
            .expect("a namespace");
        let objects = namespaces
            .entry(namespace.to_owned())
            .or_insert_with(|| Objects {
                platform: Platform::Cluster,
                secrets: BTreeMap::from([(
                    ObjectKey::new(namespace, "mail-tls"),
                    SecretKeys::Unread,
                )]),
                ..Objects::default()
            });
        put(objects, object);
    }
    namespaces
}

fn scene(namespaces: usize) -> Vec<Value> {
    let mut objects = Vec::new();
    for number in 0..GATEWAYS {
        let namespace = format!("tenant-{:02}", number % namespaces);
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

fn object(kind: Kind, namespace: &str, name: String, spec: Value) -> Value {
    json!({
        "apiVersion": sekisho_crd::API_VERSION, "kind": kind.as_str(),
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
    object(
        Kind::MailGateway,
        namespace,
        format!("outbound-{number}"),
        spec,
    )
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
        "targetRefs": [{ "name": format!("outbound-{number}") }],
        "sender": { "aliases": aliases },
        "classify": { "rules": rules, "suspectAt": 5, "spamAt": 10 },
        "route": {
            "clean": { "pool": format!("clean-{number}") },
            "suspect": { "pool": format!("slow-{number}") },
            "spam": { "pool": format!("spam-{number}") },
        },
    });
    object(
        Kind::SubmissionPolicy,
        namespace,
        format!("policy-{number}"),
        spec,
    )
}

fn guard(namespace: &str, number: usize) -> Value {
    let spec = json!({
        "targetRefs": [{ "name": format!("outbound-{number}") }],
        "perAccount": { "distinctPasswords": 10, "per": "1h", "lock": "30m" },
        "perSource": { "distinctAccounts": 5, "per": "1h", "lock": "1h" },
        "perAccountAndSource": { "failures": 10, "per": "15m", "lock": "15m" },
    });
    object(Kind::LoginGuard, namespace, format!("guard-{number}"), spec)
}

fn country_rule(namespace: &str, number: usize, rule: usize) -> Value {
    let from = ["CN", "RU", "BR", "US", "VN"][rule % 5];
    let spec = json!({
        "targetRefs": [{ "name": format!("outbound-{number}") }],
        "from": { "countries": [from] },
        "exempt": { "accounts": [format!("director{rule}@tenant-{number}.example")], "networks": ["192.0.2.0/24"] },
        "then": { "limits": [{ "unit": "Recipients", "count": 10 + rule, "per": "1h" }] },
    });
    object(
        Kind::CountryRule,
        namespace,
        format!("country-{number}-{rule}"),
        spec,
    )
}

fn limit(namespace: &str, number: usize, index: usize, count: usize) -> Value {
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
        "targetRefs": [{ "name": format!("outbound-{number}") }],
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
        Kind::RateLimit,
        namespace,
        format!("limit-{number}-{index}"),
        spec,
    )
}

fn pool(namespace: &str, number: usize, name: &str) -> Value {
    let spec = json!({
        "members": [{ "name": "a", "relay": { "address": format!("relay-{name}-{number}:25") } }],
    });
    object(
        Kind::EgressPool,
        namespace,
        format!("{name}-{number}"),
        spec,
    )
}
