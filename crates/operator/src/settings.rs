//! What the builders of objects need to know: the control plane, and the gateway that objects are made for.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use sekisho_crd::{API_VERSION, Kind, MailGatewaySpec};

/// What every gateway's objects have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The namespace of the control plane.
    pub namespace: String,
    /// The name of the Service at which proxies ask for their configuration.
    pub service: String,
    /// The image of the proxy.
    pub proxy_image: String,
    /// When nodes fetch that image.
    pub pull_policy: PullPolicy,
}

impl Settings {
    /// The address at which proxies ask for their configuration.
    pub fn control_url(&self) -> String {
        format!("https://{}.{}.svc:8443", self.service, self.namespace)
    }
}

/// When nodes fetch an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Where it is not there yet.
    #[default]
    IfNotPresent,
    /// For each container.
    Always,
    /// Never; it must be there.
    Never,
}

impl PullPolicy {
    /// As a pod spec has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The gateway that objects are made for.
#[derive(Debug, Clone, Copy)]
pub struct GatewayInput<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid; empty where it is in no cluster.
    pub uid: &'a str,
    /// What it asks for.
    pub spec: &'a MailGatewaySpec,
}

impl GatewayInput<'_> {
    /// `NAMESPACE/NAME`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What ends an object together with the gateway.
    pub fn owner(&self) -> OwnerReference {
        owner_of(self.name, self.uid)
    }
}

/// What ends an object together with the gateway of this name and uid.
pub(crate) fn owner_of(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: Kind::MailGateway.as_str().to_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
