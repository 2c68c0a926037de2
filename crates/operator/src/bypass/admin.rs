//! The denying AdminNetworkPolicy, for clusters that have that API: no NetworkPolicy reopens what it shuts.

use std::collections::BTreeSet;

use kube::core::{ApiResource, GroupVersionKind};
use sekisho_crd::GatewayMode;
use serde_json::{Value, json};

use super::{MAIL_PORTS, admin_name, found_again, kept_pods, named, own_pods};
use crate::settings::GatewayInput;
use crate::workload::Desired;

/// Where it stands among other AdminNetworkPolicies, which are asked from 0 to 1000: behind those by which an administrator makes
/// exceptions, and before those that allow at large.
const PRIORITY: u32 = 500;

/// The API that a cluster must have for [`admin_policy`].
pub fn admin_resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("policy.networking.k8s.io", "v1alpha1", "AdminNetworkPolicy");
    ApiResource::from_gvk_with_plural(&kind, "adminnetworkpolicies")
}

/// The policy over the namespaces that [`super::chosen`] gave; none where there are none. It is of the whole cluster, so no
/// owner takes it along: its label [`crate::labels::BYPASS_OF`] says whose it is.
pub fn admin_policy(gateway: &GatewayInput<'_>, chosen: &BTreeSet<String>) -> Option<Desired> {
    if chosen.is_empty() {
        return None;
    }
    let resource = admin_resource();
    let name = admin_name(gateway);
    let namespaces = named(chosen.iter().cloned().collect());
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": name, "labels": found_again(gateway) },
        "spec": {
            "priority": PRIORITY,
            "subject": {
                "pods": { "namespaceSelector": namespaces, "podSelector": kept_pods(gateway) },
            },
            "egress": egress(gateway),
        },
    });
    Some(Desired {
        resource,
        namespace: None,
        name,
        body,
    })
}

fn egress(gateway: &GatewayInput<'_>) -> Vec<Value> {
    let deny = json!({
        "name": "no-mail-past-the-gateway",
        "action": "Deny",
        "to": [
            { "networks": ["0.0.0.0/0", "::/0"] },
            { "namespaces": {} },
        ],
        "ports": ports(MAIL_PORTS),
    });
    if gateway.spec.mode == GatewayMode::Sidecar {
        return vec![deny];
    }
    // Pass, not Allow: whether a pod reaches the gateway at all stays for the NetworkPolicies of its namespace to say.
    let pass = json!({
        "name": "to-the-gateway",
        "action": "Pass",
        "to": [{ "pods": {
            "namespaceSelector": named(vec![gateway.namespace.to_owned()]),
            "podSelector": own_pods(gateway),
        } }],
        "ports": ports(gateway.spec.listeners.iter().map(|listener| listener.port)),
    });
    vec![pass, deny]
}

fn ports(ports: impl IntoIterator<Item = u16>) -> Vec<Value> {
    let port = |port| json!({ "portNumber": { "protocol": "TCP", "port": port } });
    ports.into_iter().map(port).collect()
}
