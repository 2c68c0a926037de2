//! The NetworkPolicy of each chosen namespace: everything may be reached but the ports of mail, and the gateway.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sekisho_crd::GatewayMode;

use super::{MAIL_PORTS, found_again, kept_pods, name_in, named, own_pods};
use crate::settings::GatewayInput;
use crate::workload::Desired;

/// One NetworkPolicy for each of the namespaces that [`super::chosen`] gave.
pub fn policies(gateway: &GatewayInput<'_>, chosen: &BTreeSet<String>) -> Vec<Desired> {
    let policies = chosen.iter().map(|namespace| policy(gateway, namespace));
    policies.map(|policy| Desired::of(&policy)).collect()
}

fn policy(gateway: &GatewayInput<'_>, namespace: &str) -> NetworkPolicy {
    let mut egress = vec![NetworkPolicyEgressRule {
        to: None,
        ports: Some(other_ports()),
    }];
    if gateway.spec.mode == GatewayMode::Gateway {
        egress.push(to_gateway(gateway));
    }
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(name_in(gateway, namespace)),
            namespace: Some(namespace.to_owned()),
            labels: Some(found_again(gateway)),
            // An owner is of the same namespace; elsewhere the label says whose it is.
            owner_references: (namespace == gateway.namespace).then(|| vec![gateway.owner()]),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(kept_pods(gateway)),
            policy_types: Some(vec!["Egress".to_owned()]),
            egress: Some(egress),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// All ports but those of mail: a NetworkPolicy can only say what is allowed.
fn other_ports() -> Vec<NetworkPolicyPort> {
    let mut ports = Vec::new();
    let mut from = 1;
    for mail in MAIL_PORTS {
        ports.push(tcp(from, mail - 1));
        from = mail + 1;
    }
    ports.push(tcp(from, u16::MAX));
    ports.extend(["UDP", "SCTP"].map(|protocol| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    }));
    ports
}

fn to_gateway(gateway: &GatewayInput<'_>) -> NetworkPolicyEgressRule {
    let listeners = gateway.spec.listeners.iter();
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(named(vec![gateway.namespace.to_owned()])),
            pod_selector: Some(own_pods(gateway)),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(listeners.map(|l| tcp(l.port, l.port)).collect()),
    }
}

fn tcp(from: u16, to: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(from.into())),
        end_port: (to > from).then(|| to.into()),
        protocol: Some("TCP".to_owned()),
    }
}
