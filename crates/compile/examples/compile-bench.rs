//! How long the compiler takes with 5,000 policy objects at 200 gateways: `cargo run --release --example compile-bench`.
//!
//! Ends with an error where a figure is over its bound, so that a slower compiler does not go unnoticed.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a stopwatch reads the clock and prints; what is compiled does neither"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sekisho_compile::{ObjectKey, Objects, Platform, SecretKeys, cluster, compile_all};
use sekisho_crd::Kind;
use sekisho_policy::Snapshot;
use sekisho_testkit::scene::{self, GATEWAYS, NAMESPACES};
use serde_json::Value;

const ROUNDS: usize = 15;

const FULL: Duration = Duration::from_millis(200);
const ONE_CHANGE: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    let spread = scene::scene(NAMESPACES);
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

    let crowded = scene::scene(1);
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
        let changed = scene::limit(namespace, 0, 0, count);
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
