//! The Service in front of a gateway's proxies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Cidr;
use crate::values::forms;

/// The Service in front of a gateway's proxies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.type != 'ClusterIP' || !has(self.externalTrafficPolicy)",
        "message": "externalTrafficPolicy belongs to types NodePort and LoadBalancer",
        "fieldPath": ".externalTrafficPolicy",
    },
    {
        "rule": "self.type == 'LoadBalancer' || !has(self.loadBalancerClass)",
        "message": "loadBalancerClass belongs to type LoadBalancer",
        "fieldPath": ".loadBalancerClass",
    },
    {
        "rule": "self.type == 'LoadBalancer' || !has(self.loadBalancerSourceRanges)",
        "message": "loadBalancerSourceRanges belongs to type LoadBalancer",
        "fieldPath": ".loadBalancerSourceRanges",
    },
]))]
pub struct GatewayService {
    /// ClusterIP: clients within the cluster. NodePort: also those that reach a node. LoadBalancer: also those outside, by a
    /// load balancer of the cluster's provider.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,

    /// Which nodes take connections from outside. Local, if not given: those that run a proxy, so that the client's own
    /// address arrives. Cluster: all; the proxies then see nodes' addresses, and rules about addresses and countries cannot
    /// act, unless a PROXY header tells the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,

    /// Which implementation makes the load balancer, like service.k8s.aws/nlb; the cluster's default if not given. Kubernetes lets
    /// it be set when the Service becomes a LoadBalancer, and not be changed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317), regex(pattern = forms::QUALIFIED))]
    pub load_balancer_class: Option<String>,

    /// The networks whose hosts the load balancer lets in, in CIDR notation; all if not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub load_balancer_source_ranges: Vec<Cidr>,

    /// Annotations of the Service, by which providers are told what their load balancer shall be like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 32, "additionalProperties" = { "type": "string", "maxLength": 4096 })
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Who reaches a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Clients within the cluster.
    #[default]
    ClusterIP,
    /// Also those that reach a node.
    NodePort,
    /// Also those outside, by a load balancer of the provider.
    LoadBalancer,
}

/// Which nodes take connections from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// All; the client's address is lost on the way.
    Cluster,
    /// Those that run a proxy; the client's address arrives.
    Local,
}
