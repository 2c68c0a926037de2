//! Keeps pods from reaching mail servers other than through their gateway, and says where that is not so.
//!
//! NetworkPolicies only ever add permissions: what this one leaves out, another can grant ([`reopened`]). Where the cluster
//! has AdminNetworkPolicy, a denying one holds against them. Whose namespaces are concerned is for those to say who may
//! label Namespaces: a gateway's author alone restricts none but the gateway's own.

mod admin;
mod condition;
mod policy;
mod reopened;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use sekisho_crd::{BypassNamespaces, GatewayMode};

pub use admin::{admin_policy, admin_resource};
pub use condition::{BYPASS_POSSIBLE, BypassCondition, Possible, condition};
pub use policy::policies;
pub use reopened::{Reopened, reopened};

use crate::labels::{self, GATEWAY, MAIL_THROUGH, PROXY_OF};
use crate::settings::GatewayInput;

/// The ports of mail: between servers (RFC 5321), and of submission with TLS from the start and without (RFC 8314, RFC 6409).
pub const MAIL_PORTS: [u16; 3] = [25, 465, 587];

/// The label that every Namespace has from the API server, with its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The namespaces in which bypasses of a gateway are blocked, out of all with their labels; none where it does not ask for it.
pub fn chosen<'a>(
    gateway: &GatewayInput<'_>,
    namespaces: impl IntoIterator<Item = (&'a str, Option<&'a BTreeMap<String, String>>)>,
) -> BTreeSet<String> {
    let Some(asked) = &gateway.spec.block_bypass else {
        return BTreeSet::new();
    };
    let through = labels::dotted(gateway.namespace, gateway.name);
    let agrees = |labels: Option<&BTreeMap<String, String>>| {
        // Pods of other namespaces cannot have this gateway's sidecar, so their ports would only be shut.
        gateway.spec.mode == GatewayMode::Gateway
            && asked.namespaces == BypassNamespaces::Labelled
            && labels.and_then(|labels| labels.get(MAIL_THROUGH)) == Some(&through)
    };
    let others = namespaces.into_iter().filter(|(_, labels)| agrees(*labels));
    others
        .map(|(name, _)| name)
        .chain([gateway.namespace])
        .map(str::to_owned)
        .collect()
}

/// The name of what blocks bypasses in a namespace. Gateways and namespaces have no dots in their names, so nobody can
/// give a gateway a name by which it meets the policies, or anything else, of another.
fn name_in(gateway: &GatewayInput<'_>, namespace: &str) -> String {
    if namespace == gateway.namespace {
        format!("sekisho-bypass.{}", gateway.name)
    } else {
        admin_name(gateway)
    }
}

fn admin_name(gateway: &GatewayInput<'_>) -> String {
    format!("sekisho-bypass-{}.{}", gateway.namespace, gateway.name)
}

/// The pods that are kept from the ports: all but proxies, those with the sidecar, and those that the gateway exempts.
fn kept_pods(gateway: &GatewayInput<'_>) -> LabelSelector {
    let mut rules = vec![LabelSelectorRequirement {
        key: PROXY_OF.to_owned(),
        operator: "DoesNotExist".to_owned(),
        values: None,
    }];
    let not_in = |key: &str, values: Vec<String>| LabelSelectorRequirement {
        key: key.to_owned(),
        operator: "NotIn".to_owned(),
        values: Some(values),
    };
    if gateway.spec.mode == GatewayMode::Sidecar {
        rules.push(not_in(GATEWAY, vec![gateway.name.to_owned()]));
    }
    let exempt = gateway.spec.block_bypass.iter();
    for exempt in exempt.flat_map(|asked| &asked.exempt_pods) {
        let values = exempt.values.iter().map(ToString::to_string).collect();
        rules.push(not_in(&exempt.label, values));
    }
    LabelSelector {
        match_expressions: Some(rules),
        ..LabelSelector::default()
    }
}

fn named(namespaces: Vec<String>) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: NAMESPACE_NAME.to_owned(),
            operator: "In".to_owned(),
            values: Some(namespaces),
        }]),
        ..LabelSelector::default()
    }
}

fn own_pods(gateway: &GatewayInput<'_>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::own_pods(gateway.name)),
        ..LabelSelector::default()
    }
}

/// The labels by which what is in other namespaces, or in none, is found again when it is to go.
fn found_again(gateway: &GatewayInput<'_>) -> BTreeMap<String, String> {
    let mut labels = labels::managed(gateway.name);
    labels.insert(
        labels::BYPASS_OF.to_owned(),
        labels::dotted(gateway.namespace, gateway.name),
    );
    labels
}

#[cfg(test)]
mod tests;
