//! A release from its installation to its end, and again: what the operator wrote survives upgrades, and only the kinds are left.

use sekisho_testkit::{ControlPlane, Controllers};

const NAMESPACE: &str = "sekisho-system";
const WEBHOOK: &str = "sekisho-system-sekisho-control";

fn helm(plane: &ControlPlane, arguments: &[&str]) -> String {
    let whole = arguments.iter().copied().chain(["--namespace", NAMESPACE]);
    plane.helm(whole).ok()
}

/// As the operator does it.
fn write_ca(plane: &ControlPlane) {
    let patch = format!(
        r#"[{{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "{}"}}]"#,
        ca(plane)
    );
    let what = ["patch", "mutatingwebhookconfiguration", WEBHOOK];
    let how = ["--type=json", "--field-manager=sekisho", "--patch", &patch];
    plane.kubectl(what.into_iter().chain(how)).ok();
}

/// The API server's own authority, in base64 as kubeconfigs have it.
fn ca(plane: &ControlPlane) -> String {
    let path = "jsonpath={.clusters[0].cluster.certificate-authority-data}";
    plane
        .kubectl(["config", "view", "--raw", "--output", path])
        .ok()
}

fn written_ca(plane: &ControlPlane) -> String {
    let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
    let arguments = [
        "get",
        "mutatingwebhookconfiguration",
        WEBHOOK,
        "--output",
        path,
    ];
    plane.kubectl(arguments).ok()
}

#[test]
fn an_uninstalled_release_leaves_the_kinds_alone_and_comes_back() {
    let Some(plane) = ControlPlane::start(Controllers::None) else {
        return;
    };
    let chart = crate::files::repository("charts/sekisho")
        .display()
        .to_string();
    plane.create_namespace(NAMESPACE);
    let notes = helm(&plane, &["install", "sekisho", &chart]);
    assert!(
        notes.contains("helm --namespace sekisho-system test sekisho"),
        "{notes}"
    );
    write_ca(&plane);
    helm(
        &plane,
        &["upgrade", "sekisho", &chart, "--set", "log=debug"],
    );
    assert_eq!(
        written_ca(&plane),
        ca(&plane),
        "an upgrade leaves caBundle alone"
    );

    helm(&plane, &["uninstall", "sekisho"]);
    let everything = "serviceaccounts,secrets,configmaps,services,deployments,pods,poddisruptionbudgets,networkpolicies,roles,rolebindings,persistentvolumeclaims";
    let left = plane
        .kubectl(["get", everything, "--namespace", NAMESPACE, "--output=name"])
        .ok();
    assert_eq!(left, "");
    let everywhere =
        "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,customresourcedefinitions";
    let left = plane.kubectl(["get", everywhere, "--output=name"]).ok();
    let ours: Vec<&str> = left
        .lines()
        .filter(|name| name.contains("sekisho"))
        .collect();
    assert_eq!(ours.len(), crate::files::definitions().len(), "{ours:?}");
    assert!(
        ours.iter()
            .all(|name| name.starts_with("customresourcedefinition")),
        "{ours:?}"
    );

    helm(&plane, &["install", "sekisho", &chart]);
}
