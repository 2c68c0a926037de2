//! How a gateway's proxies run as pods.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{ByteSize, Name};

/// How a gateway's proxies run as pods.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.labels) || !self.labels.exists(key, key.startsWith('sekisho.dev/') || key.startsWith('app.kubernetes.io/'))",
        "message": "labels below sekisho.dev/ and app.kubernetes.io/ are written by the operator",
        "fieldPath": ".labels",
    },
    {
        "rule": "!has(self.annotations) || !self.annotations.exists(key, key.startsWith('sekisho.dev/'))",
        "message": "annotations below sekisho.dev/ are written by the operator",
        "fieldPath": ".annotations",
    },
]))]
pub struct GatewayPods {
    /// What each proxy asks for and may take. If not given: it asks for 100m CPU and 128Mi of memory, and may take 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ProxyResources>,

    /// Labels that a node must have to run a proxy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 16, "additionalProperties" = { "type": "string", "maxLength": 63 })
    )]
    pub node_selector: BTreeMap<String, String>,

    /// Taints of nodes that do not keep a proxy away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub tolerations: Vec<Toleration>,

    /// The PriorityClass of the pods. Those of the system are not given to proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = forms::SECRET_NAME),
        extend("x-kubernetes-validations" = [{
            "rule": "!self.startsWith('system-')",
            "message": "priority classes of the system are not given to proxies; make one for mail",
        }])
    )]
    pub priority_class_name: Option<String>,

    /// Further labels of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 16, "additionalProperties" = { "type": "string", "maxLength": 63 })
    )]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(
        extend("maxProperties" = 16, "additionalProperties" = { "type": "string", "maxLength": 4096 })
    )]
    pub annotations: BTreeMap<String, String>,
}

/// What a proxy asks for and may take of its node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.requests.cpu) || !has(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0",
        "message": "asks for more CPU than it may take",
        "fieldPath": ".requests",
    },
    {
        "rule": "!has(self.requests.memory) || !has(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0",
        "message": "asks for more memory than it may take",
        "fieldPath": ".requests",
    },
    {
        "rule": "!has(self.limits.memory) || quantity(self.limits.memory).compareTo(quantity('64Mi')) >= 0",
        "message": "must be at least 64Mi, with which a proxy runs",
        "fieldPath": ".limits",
    },
]))]
pub struct ProxyResources {
    /// What is kept free for it: 100m CPU and 128Mi of memory where a part is not given.
    #[serde(default)]
    pub requests: Amounts,

    /// What it may take at most: any CPU and 512Mi of memory where a part is not given, or what it asks for if that is more.
    /// Half of the memory, 4Gi at most, is for messages that are held until their verdict; more of them are held on disk.
    #[serde(default)]
    pub limits: Amounts,
}

/// Amounts of CPU and memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Amounts {
    /// CPU: whole CPUs, like 2, or thousandths, like 250m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), regex(pattern = forms::CPU))]
    pub cpu: Option<String>,

    /// Memory: bytes, or a number with k, M, G, Ki, Mi or Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
}

/// A taint of nodes that does not keep a proxy away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.operator != 'Exists' || !has(self.value)",
        "message": "value belongs to operator Equal",
        "fieldPath": ".value",
    },
    {
        "rule": "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        "message": "tolerationSeconds belongs to effect NoExecute",
        "fieldPath": ".tolerationSeconds",
    },
]))]
pub struct Toleration {
    /// The taint's key.
    #[schemars(length(min = 1, max = 317), regex(pattern = forms::QUALIFIED))]
    pub key: String,

    /// Equal: the taint's value must be `value`. Exists: it can be any.
    #[serde(default)]
    pub operator: TolerationOperator,

    /// With operator Equal: the taint's value; empty if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = forms::LABEL_VALUE))]
    pub value: Option<String>,

    /// The taint's effect; any if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,

    /// With effect NoExecute: how many seconds a proxy stays on a node that gets the taint; for ever if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub toleration_seconds: Option<u32>,
}

/// How a toleration compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// By key and value.
    #[default]
    Equal,
    /// By key.
    Exists,
}

/// What a taint does to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// New ones stay away.
    NoSchedule,
    /// New ones stay away where they can.
    PreferNoSchedule,
    /// All leave.
    NoExecute,
}

/// Keeps pods from reaching mail servers other than through the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlockBypass {
    /// Whose pods reach TCP 25, 465 and 587 only at this gateway. Same: those of the gateway's own namespace. Labelled: also
    /// those of each namespace with the label sekisho.dev/mail-through, whose value is this gateway as NAMESPACE.NAME.
    #[serde(default)]
    pub namespaces: BypassNamespaces,

    /// Pods that may reach those ports themselves, such as the MTA behind the gateway: those with one of these labels.
    /// Whoever may label pods there may make use of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["label"]))]
    pub exempt_pods: Vec<ExemptPods>,
}

/// The namespaces in which a bypass is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum BypassNamespaces {
    /// The gateway's own.
    #[default]
    Same,
    /// Also those with the label.
    Labelled,
}

/// Pods that may reach mail servers themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExemptPods {
    /// The key of the label, like app.
    #[schemars(length(min = 1, max = 317), regex(pattern = forms::QUALIFIED))]
    pub label: String,

    /// Its values, one of which the pod must have.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub values: Vec<Name>,
}
