//! What a gateway of mode Gateway runs as: Deployment, Service, ServiceAccount, PodDisruptionBudget and NetworkPolicy.
//!
//! Pure: the same gateway and settings give the same objects, ready for server-side apply. A changed rule changes none of
//! them, so only what must restart proxies (image, ports, resources, placement) rolls the Deployment.

mod around;
mod deployment;
pub(crate) mod proxy;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::ApiResource;
use sekisho_crd::GatewayMode;
use serde::Serialize;
use serde_json::Value;

use crate::labels;
use crate::settings::{GatewayInput, Settings};

/// An object as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Its kind.
    pub resource: ApiResource,
    /// Its namespace; none for what is of the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The whole of it, for server-side apply.
    pub body: Value,
}

impl Desired {
    pub(crate) fn of<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            resource: ApiResource::erase::<K>(&()),
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
            body: serde_json::to_value(object).expect("an object is plain data"),
        }
    }
}

/// The objects of a gateway, in the order in which they are applied; none for mode Sidecar. What was applied before and is
/// not among them is to be deleted.
pub fn desired(gateway: &GatewayInput<'_>, settings: &Settings) -> Vec<Desired> {
    match gateway.spec.mode {
        GatewayMode::Sidecar => Vec::new(),
        GatewayMode::Gateway => vec![
            Desired::of(&around::service_account(gateway)),
            Desired::of(&around::network_policy(gateway)),
            Desired::of(&service::service(gateway)),
            Desired::of(&deployment::deployment(gateway, settings)),
            Desired::of(&around::disruption_budget(gateway)),
        ],
    }
}

/// Whether an object that is already there is the own one of the gateway with this uid. One of the same name that is somebody
/// else's, such as the control plane's own Service where a gateway is called `control`, is not to be written.
pub fn is_own(existing: &ObjectMeta, uid: &str) -> bool {
    existing
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The metadata that all objects of a gateway share.
fn metadata(gateway: &GatewayInput<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(labels::object_name(gateway.name)),
        namespace: Some(gateway.namespace.to_owned()),
        labels: Some(labels::managed(gateway.name)),
        owner_references: Some(vec![gateway.owner()]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
