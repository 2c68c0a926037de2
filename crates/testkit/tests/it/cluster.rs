//! A control plane of one's own: it starts, knows who is who, and comes back from what tests do to it.

use sekisho_testkit::{BoundTo, ControlPlane, Controllers};

const POD: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: { name: proxy }
---
apiVersion: v1
kind: Pod
metadata: { name: a }
spec:
  serviceAccountName: proxy
  containers: [{ name: a, image: none.invalid/a }]
";

fn review(plane: &ControlPlane, token: &str, audience: &str) -> String {
    let review = format!(
        "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {{ token: {token}, audiences: [{audience}] }}\n"
    );
    let arguments = ["create", "--filename=-", "--output=json"];
    plane
        .kubectl_as(&plane.admin_kubeconfig(), arguments, &review)
        .ok()
}

#[test]
fn tokens_are_bound_to_their_audience_and_pod_and_accounts_may_nothing() {
    let Some(plane) = ControlPlane::shared() else {
        return;
    };
    plane.create_namespace("tokens");
    plane.apply(&POD.replace("metadata: {", "metadata: { namespace: tokens,"));
    plane.mark_running("tokens", "a", "10.0.0.7");
    let token = plane.token("tokens", "proxy", Some("desk"), BoundTo::Pod("a"));
    let known = review(&plane, &token, "desk");
    assert!(known.contains("\"authenticated\": true"), "{known}");
    assert!(
        known.contains("authentication.kubernetes.io/pod-uid"),
        "{known}"
    );
    let other = review(&plane, &token, "elsewhere");
    assert!(!other.contains("\"authenticated\": true"), "{other}");

    let kubeconfig = plane.kubeconfig_for_service_account("tokens", "proxy");
    let refused = plane.kubectl_as(&kubeconfig, ["get", "pods", "-n", "tokens"], "");
    assert!(refused.refused().contains("cannot list resource \"pods\""));

    // One that was not asked about yet: the API server remembers its answers for ten seconds.
    let token = plane.token("tokens", "proxy", Some("desk"), BoundTo::Pod("a"));
    plane.kubectl(["delete", "pod", "a", "-n", "tokens"]).ok();
    let gone = review(&plane, &token, "desk");
    assert!(!gone.contains("\"authenticated\": true"), "{gone}");
}

#[test]
fn what_was_written_outlives_restarts_and_a_restored_backup_forgets_it() {
    let Some(plane) = ControlPlane::start(Controllers::None) else {
        return;
    };
    let names = || plane.kubectl(["get", "namespaces", "--output=name"]).ok();
    plane.create_namespace("before");
    let backup = plane.back_up();
    plane.create_namespace("after");
    plane.stop_api_server();
    assert!(!plane.raw("/readyz").status.success());
    plane.start_api_server();
    plane.stop_etcd();
    plane.start_etcd();
    assert!(names().contains("namespace/after"), "{}", names());
    plane.restore(&backup);
    assert!(names().contains("namespace/before"), "{}", names());
    assert!(!names().contains("namespace/after"), "{}", names());
}

#[test]
fn with_controllers_what_is_owned_goes_with_its_owner() {
    let Some(plane) = ControlPlane::start(Controllers::All) else {
        return;
    };
    plane.create_namespace("garbage");
    let made = [
        "create",
        "deployment",
        "a",
        "--image=none.invalid/a",
        "-n",
        "garbage",
    ];
    plane.kubectl(made).ok();
    let owned = [
        "wait",
        "--for=create",
        "replicasets",
        "--selector=app=a",
        "-n",
        "garbage",
    ];
    plane.kubectl(owned).ok();
    plane
        .kubectl(["delete", "namespace", "garbage", "--timeout=60s"])
        .ok();
}
