//! What each crate's dependency tree must not contain: the last column of the map in ARCHITECTURE.md.
//! Only what is linked into the crate counts; what its tests or build scripts need does not.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, Package, PackageId};

/// Asynchronous runtimes, the cluster, databases, expression engines, clocks, randomness, sockets and TLS.
const NOT_PURE: [&str; 12] = [
    "tokio",
    "kube",
    "kube-client",
    "sqlx",
    "redis",
    "cel",
    "cel-parser",
    "chrono",
    "time",
    "rand",
    "getrandom",
    "rustls",
];

/// A crate, and what its tree must not contain. Names of ours are without `sekisho-`.
const FORBIDDEN: [(&str, &[&str]); 11] = [
    ("policy", &[]),
    ("smtp", &[]),
    ("crd", &["kube-client", "kube-runtime", "tokio"]),
    ("compile", &["tokio", "kube-client", "sqlx"]),
    ("counters", &["kube", "sqlx"]),
    ("store", &["kube", "sekisho-crd"]),
    ("runtime", &["sekisho-policy", "kube", "sqlx"]),
    (
        "proxy",
        &[
            "kube",
            "sqlx",
            "sekisho-crd",
            "sekisho-compile",
            "sekisho-store",
        ],
    ),
    ("api", &["sekisho-smtp", "sekisho-proxy", "kube"]),
    (
        "operator",
        &["sqlx", "redis", "sekisho-api", "sekisho-proxy"],
    ),
    (
        "node",
        &[
            "kube",
            "k8s-openapi",
            "sqlx",
            "sekisho-crd",
            "sekisho-compile",
            "sekisho-store",
        ],
    ),
];

/// Which of ours each may name in its manifest.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("policy", &[]),
    ("smtp", &[]),
    ("crd", &[]),
    ("compile", &["crd", "policy"]),
    ("counters", &["policy"]),
    ("store", &["policy"]),
    ("runtime", &[]),
    ("proxy", &["policy", "smtp", "counters", "runtime"]),
    (
        "api",
        &["policy", "compile", "store", "counters", "runtime"],
    ),
    ("operator", &["crd", "compile", "policy", "runtime"]),
    ("node", &["policy", "proxy", "counters", "runtime"]),
];

struct Graph {
    packages: HashMap<PackageId, Package>,
    needs: HashMap<PackageId, Vec<PackageId>>,
}

impl Graph {
    fn read() -> Self {
        let metadata: Metadata = MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .other_options([
                "--locked".to_owned(),
                "--filter-platform".to_owned(),
                platform(),
            ])
            .exec()
            .unwrap();
        let packages: HashMap<_, _> = metadata
            .packages
            .into_iter()
            .map(|p| (p.id.clone(), p))
            .collect();
        let needs = metadata.resolve.unwrap().nodes.into_iter().map(|node| {
            let linked = node
                .dependencies
                .iter()
                .filter(|id| is_linked(&node, &packages[*id], &packages));
            (node.id.clone(), linked.cloned().collect())
        });
        Self {
            needs: needs.collect(),
            packages,
        }
    }

    fn ours(&self, name: &str) -> &Package {
        let name = format!("sekisho-{name}");
        self.packages
            .values()
            .find(|p| p.name.as_str() == name)
            .unwrap_or_else(|| panic!("no crate {name}"))
    }

    fn name(&self, id: &PackageId) -> &str {
        self.packages[id].name.as_str()
    }

    /// Everything that is linked into a crate, each with one way that leads to it.
    fn tree(&self, root: &PackageId) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![(root.clone(), vec![self.name(root).to_owned()])];
        while let Some((id, way)) = waiting.pop() {
            for next in &self.needs[&id] {
                let name = self.name(next).to_owned();
                if let Entry::Vacant(place) = found.entry(name.clone()) {
                    let way: Vec<String> = way.iter().cloned().chain([name]).collect();
                    place.insert(way.clone());
                    waiting.push((next.clone(), way));
                }
            }
        }
        found
    }
}

/// Cargo lists an optional dependency as soon as a feature mentions it weakly (`ring?/alloc`); linked it is only if
/// an enabled feature asks for it.
fn is_linked(node: &Node, dependency: &Package, packages: &HashMap<PackageId, Package>) -> bool {
    let package = &packages[&node.id];
    let declared = package
        .dependencies
        .iter()
        .filter(|d| d.name == dependency.name.as_str());
    declared
        .filter(|d| d.kind == DependencyKind::Normal)
        .any(|d| {
            let name = d.rename.as_ref().unwrap_or(&d.name);
            let asked = |item: &String| {
                *item == format!("dep:{name}") || item.starts_with(&format!("{name}/"))
            };
            let enabled = node
                .features
                .iter()
                .filter_map(|f| package.features.get(f.as_str()));
            !d.optional || enabled.flatten().any(asked)
        })
}

fn platform() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// What is linked into a crate when it is built alone. The metadata of the workspace cannot say that: in it one crate's features
/// are on for all.
fn linked_alone(name: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{lib}", "--package", &format!("sekisho-{name}")])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(|name| name.replace('_', "-")).collect()
}

#[test]
fn no_tree_contains_what_it_must_not() {
    let mut faults = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        let tree = linked_alone(name);
        assert!(tree.len() > 5, "the tree of {name} was not read: {tree:?}");
        let pure = matches!(name, "policy" | "smtp");
        let forbidden = forbidden
            .iter()
            .chain(if pure { &NOT_PURE[..] } else { &[] });
        for found in forbidden.filter(|forbidden| tree.contains(**forbidden)) {
            faults.push(format!(
                "cargo tree --package sekisho-{name} --invert {found}"
            ));
        }
    }
    assert!(
        faults.is_empty(),
        "these should find nothing:\n{}",
        faults.join("\n")
    );
}

#[test]
fn our_crates_know_only_those_below_them() {
    let graph = Graph::read();
    for (name, allowed) in ALLOWED {
        let package = graph.ours(name);
        let named: BTreeSet<&str> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .filter_map(|dependency| dependency.name.strip_prefix("sekisho-"))
            .collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(
            named.is_subset(&allowed),
            "{name} names {named:?}, and may name {allowed:?}"
        );
    }
}

#[test]
fn one_crypto_provider_serves_all() {
    let graph = Graph::read();
    let tree = graph.tree(&graph.ours("cli").id);
    assert!(
        tree.contains_key("aws-lc-rs"),
        "the graph was not read: there is no TLS in it"
    );
    for other in [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "rustls-rustcrypto",
    ] {
        assert!(!tree.contains_key(other), "{}", tree[other].join(" -> "));
    }
}

#[test]
fn the_tools_of_tests_are_linked_into_nothing() {
    let graph = Graph::read();
    for package in graph
        .packages
        .values()
        .filter(|p| p.name.starts_with("sekisho-"))
    {
        let tree = graph.tree(&package.id);
        assert!(
            !tree.contains_key("sekisho-testkit"),
            "{} links testkit",
            package.name
        );
    }
}
