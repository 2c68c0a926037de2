//! The chart: what it refuses, that it renders the same twice, and that the API server takes what it renders, its pods in a
//! namespace that enforces the restricted Pod Security Standard.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use sekisho_testkit::{ControlPlane, Controllers};
use serde_json::Value;

use crate::files::{definitions, lint_folder, repository};

/// Sets of values that cover every branch of the templates.
const VALUES: &[(&str, &[&str])] = &[
    ("defaults", &[]),
    (
        "several replicas",
        &[
            "replicas=3",
            "store.type=None",
            "networkPolicy.enabled=true",
        ],
    ),
    (
        "two namespaces",
        &[
            "watchNamespaces={mail,shop}",
            "webhook.enabled=false",
            "nameOverride=checkpoint",
        ],
    ),
    (
        "everything else",
        &[
            "store.volume.type=PersistentVolumeClaim",
            "store.volume.storageClassName=fast",
            "tls.secretName=control-tls",
            "api.tokenSecret.name=control-token",
            "accounts.databaseSecret.name=accounts",
            "webhook.url=https://control.example.jp/inject",
            "clusterNetworks={10.0.0.0/8,fd00::/8}",
            "service.ipFamilyPolicy=PreferDualStack",
            "serviceAccount.annotations.team=mail",
            "podAnnotations.team=mail",
            "podLabels.team=mail",
            "nodeSelector.pool=mail",
            "tolerations[0].key=mail",
            "priorityClassName=system-cluster-critical",
            "imagePullSecrets[0].name=registry",
            "image.digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "networkPolicy.enabled=true",
            "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
            "networkPolicy.channelPorts={443,8443}",
            "notifications.networks={10.1.2.0/24,fd12::/16}",
            "notifications.authorities.configMap=desk-ca",
        ],
    ),
    (
        "somebody else's volume and CRDs",
        &[
            "store.volume.type=Existing",
            "store.volume.claimName=ledger",
            "crds.install=false",
            "aggregateClusterRoles=false",
        ],
    ),
];

/// What the schema of the values refuses, and where.
const REFUSED: &[(&str, &str)] = &[
    ("replicas=2", "/replicas"),
    ("replica=1", "'replica'"),
    ("image.tga=1", "/image"),
    ("store.type=Redis", "/store/type"),
    ("store.type=Postgres", "/store/type"),
    ("store.volume.type=Existing", "/store/volume/claimName"),
    ("watchNamespaces={mail}", "/webhook/enabled"),
    ("watchNamespaces={Mail}", "/watchNamespaces"),
    (
        "webhook.url=http://control.example.jp/inject",
        "/webhook/url",
    ),
    ("clusterNetworks={10.0.0.1}", "/clusterNetworks"),
    (
        "notifications.networks={desk.example}",
        "/notifications/networks",
    ),
    (
        "networkPolicy.channelPorts={0}",
        "/networkPolicy/channelPorts",
    ),
    ("leaseDuration=0s", "/leaseDuration"),
    ("log=info;reboot", "/log"),
    ("resources.limit.memory=1Gi", "/resources"),
];

const NAMESPACE: &str = "sekisho-system";

fn template(plane: &ControlPlane, values: &[&str]) -> sekisho_testkit::Ran {
    let chart = repository("charts/sekisho").display().to_string();
    let mut arguments = vec!["template", "sekisho", &chart, "--namespace", NAMESPACE];
    for value in values {
        arguments.extend(["--set", value]);
    }
    plane.helm(arguments)
}

#[test]
fn what_is_rendered_is_taken_and_its_pods_are_restricted() {
    let Some(plane) = ControlPlane::start(Controllers::None) else {
        return;
    };
    plane.apply(&restricted(&[NAMESPACE, "mail", "shop"]));
    let texts: Vec<String> = definitions().into_iter().map(|(_, text)| text).collect();
    plane.apply(&texts.join("---\n"));
    for (name, values) in VALUES {
        let text = template(&plane, values).ok();
        assert_eq!(
            text,
            template(&plane, values).ok(),
            "{name}: twice the same bytes"
        );
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--filename=-",
        ];
        let taken = plane.kubectl_as(&plane.admin_kubeconfig(), arguments, &text);
        assert_eq!(taken.stderr, "", "{name}");
        taken.ok();
        for (kind, pod) in pods(&plane, &text) {
            let arguments = [
                "create",
                "--dry-run=server",
                "--validate=strict",
                "--filename=-",
            ];
            let taken = plane.kubectl_as(&plane.admin_kubeconfig(), arguments, &pod);
            assert_eq!(taken.stderr, "", "{name}: the pod of the {kind}");
            taken.ok();
        }
    }
}

fn restricted(names: &[&str]) -> String {
    let one = |name: &&str| {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{ pod-security.kubernetes.io/enforce: restricted }}\n---\n"
        )
    };
    let accounts = "apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: default, namespace: sekisho-system }\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: sekisho-control, namespace: sekisho-system }\n---\n\
         apiVersion: v1\nkind: ServiceAccount\nmetadata: { name: checkpoint, namespace: sekisho-system }\n";
    names.iter().map(one).collect::<String>() + accounts
}

/// The Deployment's pod and the one of `helm test`, by kind.
fn pods(plane: &ControlPlane, text: &str) -> Vec<(String, String)> {
    let mut pods = Vec::new();
    for object in objects(plane, text) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let mut pod = match kind.as_str() {
            "Deployment" => object["spec"]["template"].clone(),
            "Pod" => object,
            _ => continue,
        };
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = "restricted".into();
        pod["metadata"]["namespace"] = NAMESPACE.into();
        pods.push((kind, pod.to_string()));
    }
    assert_eq!(pods.len(), 2);
    pods
}

/// YAML to JSON, by kubectl.
fn objects(plane: &ControlPlane, text: &str) -> Vec<Value> {
    let arguments = [
        "create",
        "--dry-run=client",
        "--validate=false",
        "--output=json",
        "--filename=-",
    ];
    let json = plane
        .kubectl_as(&plane.admin_kubeconfig(), arguments, text)
        .ok();
    serde_json::Deserializer::from_str(&json)
        .into_iter::<Value>()
        .map(Result::unwrap)
        .flat_map(|value| match value["items"].as_array() {
            Some(items) => items.clone(),
            None => vec![value],
        })
        .collect()
}

#[test]
fn values_are_checked() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    for (value, place) in REFUSED {
        let said = template(&plane, &[value]).refused();
        assert!(said.contains(place), "{value}: {said}");
    }
    let chart = repository("charts/sekisho").display().to_string();
    plane.helm(["lint", "--strict", &chart]).ok();
}

#[test]
fn monitors_are_rendered_only_when_asked_for() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    assert!(!template(&plane, &[]).ok().contains("monitoring.coreos.com"));
    let asked = [
        "serviceMonitor.enabled=true",
        "podMonitor.enabled=true",
        "podMonitor.labels.release=prometheus",
    ];
    let text = template(&plane, &asked).ok();
    assert_eq!(text.matches("\nkind: ServiceMonitor\n").count(), 1);
    assert_eq!(text.matches("\nkind: PodMonitor\n").count(), 2);
    assert!(text.contains("    release: prometheus\n"), "{text}");
}

#[test]
fn roles_name_every_kind_and_no_wildcard() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    let kinds: BTreeSet<String> = definitions()
        .iter()
        .map(|(_, text)| {
            let line = text.lines().find(|line| line.starts_with("    plural: "));
            line.unwrap().trim_start_matches("    plural: ").to_owned()
        })
        .collect();
    let mut roles = 0;
    for object in objects(&plane, &template(&plane, &[]).ok()) {
        let rules = object["rules"].as_array().cloned().unwrap_or_default();
        for rule in rules {
            assert!(!rule.to_string().contains("\"*\""), "{rule}");
            // Rules about paths of the API server name no resources.
            let names = rule["resources"].as_array().into_iter().flatten();
            let resources: BTreeSet<String> = names
                .map(|name| name.as_str().unwrap().to_owned())
                .collect();
            if rule["apiGroups"][0] == "sekisho.dev"
                && !resources.iter().any(|name| name.contains('/'))
            {
                assert_eq!(resources, kinds, "{rule}");
                roles += 1;
            }
        }
    }
    assert_eq!(roles, 3, "the operator's, view and edit");
}

/// `.ci/manifests` writes them.
#[test]
fn copies_and_rendered_manifests_are_fresh() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    for (name, text) in definitions() {
        let copy = repository("charts/sekisho/files/crds").join(&name);
        assert_eq!(
            fs::read_to_string(copy).unwrap(),
            text,
            "{name}: run .ci/manifests"
        );
    }
    let checked = Command::new(repository(".ci/manifests"))
        .arg("--check")
        .env("HELM", plane.helm_program())
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let base = repository("deploy/kustomize/base").display().to_string();
    let built = plane.kubectl(["kustomize", &base]).ok();
    assert!(
        built.contains("kind: MutatingWebhookConfiguration"),
        "{built}"
    );
}

#[test]
fn the_examples_are_accepted_by_lint_and_by_the_api_server() {
    let Some(plane) = ControlPlane::start(Controllers::None) else {
        return;
    };
    let texts: Vec<String> = definitions().into_iter().map(|(_, text)| text).collect();
    plane.apply(&texts.join("---\n"));
    let examples = repository("deploy/examples");
    // The certificate is the reader's to make; nothing else is wanting.
    let said = lint_folder(&examples);
    let complaints: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains("there is no Secret mail-tls"))
        .collect();
    assert_eq!(complaints, ["2 errors, 0 warnings"], "{said}");
    plane.create_namespace("mail");
    let folder = examples.display().to_string();
    let applied = plane.kubectl(["apply", "--namespace", "mail", "--filename", &folder]);
    assert_eq!(applied.stderr, "");
    applied.ok();
    let argo = repository("deploy/argocd/application.yaml")
        .display()
        .to_string();
    let read = plane.kubectl([
        "create",
        "--dry-run=client",
        "--validate=false",
        "--filename",
        &argo,
    ]);
    assert!(
        read.stderr.contains("no matches for kind \"Application\""),
        "well-formed, and Argo CD is not here: {}",
        read.stderr
    );
}
