//! What stands around the proxies: their identity, who reaches them, and how many may be away at once.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{metadata, proxy};
use crate::labels;
use crate::settings::GatewayInput;

/// The identity of the proxies. It has no rights in the cluster; its tokens are for the control plane alone.
pub(super) fn service_account(gateway: &GatewayInput<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(gateway),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// One proxy may be away at a time. It is there with one replica too: then it lets that one go, because a budget that did not
/// would hold up every drain of a node for ever.
pub(super) fn disruption_budget(gateway: &GatewayInput<'_>) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(gateway),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(own_pods(gateway)),
            // A proxy that is not ready serves nobody, and must not keep its node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

/// Anybody may reach the listeners, for the gateway itself says who comes in; only pods reach the metrics. Proxies may go
/// anywhere: next hops, engines, Redis and DNS servers can be at any address, and a rule that names them by address
/// would cut off mail when one moves.
pub(super) fn network_policy(gateway: &GatewayInput<'_>) -> NetworkPolicy {
    let listeners = gateway.spec.listeners.iter();
    let everybody = NetworkPolicyIngressRule {
        from: None,
        ports: Some(listeners.map(|listener| tcp(listener.port)).collect()),
    };
    let pods = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![tcp(proxy::http_port(gateway.spec, &[]))]),
    };
    NetworkPolicy {
        metadata: metadata(gateway),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(own_pods(gateway)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![everybody, pods]),
            egress: Some(vec![NetworkPolicyEgressRule::default()]),
        }),
    }
}

fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(port.into())),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    }
}

fn own_pods(gateway: &GatewayInput<'_>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::own_pods(gateway.name)),
        ..LabelSelector::default()
    }
}
