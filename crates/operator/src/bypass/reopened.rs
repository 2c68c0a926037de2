//! Which other NetworkPolicies let pods reach the ports of mail again.
//!
//! Whatever is not known for certain counts as reopening: a report too many is read, one too few is a way out.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sekisho_crd::GatewayMode;

use super::{MAIL_PORTS, NAMESPACE_NAME, name_in};
use crate::labels::{GATEWAY, PROXY_OF};
use crate::settings::GatewayInput;

/// A NetworkPolicy that reopens the ports of mail.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reopened {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub policy: String,
}

impl fmt::Display for Reopened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.policy)
    }
}

/// Those of `policies`, in the `chosen` namespaces, by which a pod that shall go through the gateway may reach a port of mail
/// elsewhere; sorted. The gateway's own is told by its name, for anybody can write a label.
pub fn reopened<'a>(
    gateway: &GatewayInput<'_>,
    chosen: &BTreeSet<String>,
    policies: impl IntoIterator<Item = &'a NetworkPolicy>,
) -> Vec<Reopened> {
    let reopens = |policy: &NetworkPolicy| {
        let namespace = policy.metadata.namespace.clone().unwrap_or_default();
        let name = policy.metadata.name.clone().unwrap_or_default();
        let concerns = chosen.contains(&namespace) && name != name_in(gateway, &namespace);
        let spec = policy.spec.as_ref().filter(|_| concerns)?;
        let opens = has_egress(spec)
            && !selects_only_free_pods(gateway, &namespace, spec)
            && spec
                .egress
                .iter()
                .flatten()
                .any(|rule| opens(gateway, &namespace, rule));
        opens.then_some(Reopened {
            namespace,
            policy: name,
        })
    };
    let found: BTreeSet<Reopened> = policies.into_iter().filter_map(reopens).collect();
    found.into_iter().collect()
}

/// Whether a policy is about egress: where it does not say, it is if it has rules of egress.
fn has_egress(spec: &NetworkPolicySpec) -> bool {
    match spec.policy_types.as_deref() {
        None | Some([]) => spec.egress.is_some(),
        Some(types) => types.iter().any(|type_| type_ == "Egress"),
    }
}

/// Whether a policy selects none but pods that are free to reach the ports anyway.
fn selects_only_free_pods(
    gateway: &GatewayInput<'_>,
    namespace: &str,
    spec: &NetworkPolicySpec,
) -> bool {
    let Some(selector) = &spec.pod_selector else {
        return false;
    };
    let own_sidecars = gateway.spec.mode == GatewayMode::Sidecar
        && namespace == gateway.namespace
        && demands_one_of(selector, GATEWAY, &[gateway.name]);
    let exempt = gateway
        .spec
        .block_bypass
        .iter()
        .flat_map(|asked| &asked.exempt_pods);
    let is_exempt = exempt.into_iter().any(|exempt| {
        let values: Vec<&str> = exempt.values.iter().map(|value| value.as_str()).collect();
        demands_one_of(selector, &exempt.label, &values)
    });
    own_sidecars || is_exempt || demands(selector, PROXY_OF)
}

fn opens(gateway: &GatewayInput<'_>, namespace: &str, rule: &NetworkPolicyEgressRule) -> bool {
    let ports = match rule.ports.as_deref() {
        None | Some([]) => true,
        Some(ports) => ports.iter().any(is_of_mail),
    };
    let elsewhere = match rule.to.as_deref() {
        None | Some([]) => true,
        Some(peers) => peers
            .iter()
            .any(|peer| !is_gateway(gateway, namespace, peer)),
    };
    ports && elsewhere
}

/// Whether a port can be one of mail. What a name stands for is up to the pod at the other end.
fn is_of_mail(port: &NetworkPolicyPort) -> bool {
    if port.protocol.as_deref().unwrap_or("TCP") != "TCP" {
        return false;
    }
    match &port.port {
        None | Some(IntOrString::String(_)) => true,
        Some(IntOrString::Int(from)) => {
            let to = port.end_port.unwrap_or(*from);
            MAIL_PORTS
                .iter()
                .any(|mail| (*from..=to).contains(&i32::from(*mail)))
        }
    }
}

/// Whether a peer can be nothing but the gateway's own pods.
fn is_gateway(gateway: &GatewayInput<'_>, namespace: &str, peer: &NetworkPolicyPeer) -> bool {
    let namespace_fits = match &peer.namespace_selector {
        None => namespace == gateway.namespace,
        Some(selector) => demands_one_of(selector, NAMESPACE_NAME, &[gateway.namespace]),
    };
    let pods_fit = peer
        .pod_selector
        .as_ref()
        .is_some_and(|selector| demands_one_of(selector, PROXY_OF, &[gateway.name]));
    peer.ip_block.is_none()
        && gateway.spec.mode == GatewayMode::Gateway
        && namespace_fits
        && pods_fit
}

/// Whether all that a selector selects has the label.
fn demands(selector: &LabelSelector, key: &str) -> bool {
    let exact = selector.match_labels.as_ref();
    let rules = selector.match_expressions.iter().flatten();
    exact.is_some_and(|labels| labels.contains_key(key))
        || rules
            .filter(|rule| rule.key == key)
            .any(|rule| rule.operator == "Exists" || rule.operator == "In")
}

/// Whether all that a selector selects has the label with one of these values.
fn demands_one_of(selector: &LabelSelector, key: &str, values: &[&str]) -> bool {
    let exact = selector
        .match_labels
        .as_ref()
        .and_then(|labels| labels.get(key));
    let mut rules = selector.match_expressions.iter().flatten();
    exact.is_some_and(|value| values.contains(&value.as_str()))
        || rules.any(|rule| {
            let given = rule.values.as_deref().unwrap_or_default();
            rule.key == key
                && rule.operator == "In"
                && !given.is_empty()
                && given.iter().all(|value| values.contains(&value.as_str()))
        })
}
