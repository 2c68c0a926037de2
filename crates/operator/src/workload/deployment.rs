//! The Deployment of a gateway's proxies.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::api::core::v1::{
    Lifecycle, LifecycleHandler, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile,
    SleepAction, Sysctl, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sekisho_crd::{self as crd, GatewayPods, TaintEffect, TolerationOperator};

use super::metadata;
use super::proxy::{self, Place, UID};
use crate::labels;
use crate::settings::{GatewayInput, Settings};

/// How long a proxy that is to end still takes new sessions, in seconds: until load balancers and nodes know that it leaves.
const LEAVE: u16 = 15;
/// How long it then lets open transactions finish. RFC 5321 gives the answer to a message's end ten minutes, and large
/// attachments come in slowly; idle sessions are closed at once, so a proxy without transactions does not wait.
const DRAIN: u16 = 570;
/// What is left for the last records and for leaving.
const SPARE: u16 = 15;
/// Together they are ten minutes: what the cluster autoscaler grants before it takes a node away.
const GRACE: u16 = LEAVE + DRAIN + SPARE;
/// How long a new proxy must have been ready before the next is replaced, in seconds.
const MIN_READY: i32 = 5;

pub(super) fn deployment(gateway: &GatewayInput<'_>, settings: &Settings) -> Deployment {
    let selector = own_pods(gateway);
    Deployment {
        metadata: metadata(gateway),
        spec: Some(DeploymentSpec {
            // Where none is asked for it is left to the API server (1) or to an autoscaler.
            replicas: gateway
                .spec
                .replicas
                .and_then(|count| i32::try_from(count).ok()),
            selector,
            min_ready_seconds: Some(MIN_READY),
            revision_history_limit: Some(3),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                }),
            }),
            template: template(gateway, settings),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn template(gateway: &GatewayInput<'_>, settings: &Settings) -> PodTemplateSpec {
    let asked = gateway.spec.pods.clone().unwrap_or_default();
    PodTemplateSpec {
        metadata: Some(template_metadata(gateway, &asked)),
        spec: Some(pod(gateway, settings, asked)),
    }
}

fn template_metadata(gateway: &GatewayInput<'_>, asked: &GatewayPods) -> ObjectMeta {
    // What the gateway's author adds never replaces a label of ours, nor asks for a sidecar beside the proxy.
    let is_ours =
        |key: &str| key.starts_with("sekisho.dev/") || key.starts_with("app.kubernetes.io/");
    let foreign = |map: &std::collections::BTreeMap<String, String>| {
        let kept = map.iter().filter(|(key, _)| !is_ours(key));
        kept.map(|(key, value)| (key.clone(), value.clone()))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let mut pod_labels = foreign(&asked.labels);
    pod_labels.extend(labels::managed(gateway.name));
    pod_labels.extend(labels::own_pods(gateway.name));
    let mut annotations = foreign(&asked.annotations);
    annotations.insert(
        "kubectl.kubernetes.io/default-container".to_owned(),
        proxy::CONTAINER.to_owned(),
    );
    ObjectMeta {
        labels: Some(pod_labels),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

fn pod(gateway: &GatewayInput<'_>, settings: &Settings, asked: GatewayPods) -> PodSpec {
    let place = Place {
        listen: "0.0.0.0",
        http_port: proxy::http_port(gateway.spec, &[]),
        drain_seconds: DRAIN,
    };
    let mut container = proxy::container(gateway, settings, &place);
    container.lifecycle = Some(Lifecycle {
        pre_stop: Some(LifecycleHandler {
            sleep: Some(SleepAction {
                seconds: LEAVE.into(),
            }),
            ..LifecycleHandler::default()
        }),
        ..Lifecycle::default()
    });
    PodSpec {
        service_account_name: Some(labels::object_name(gateway.name)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(GRACE.into()),
        security_context: Some(security(gateway)),
        containers: vec![container],
        volumes: Some(proxy::volumes(gateway, proxy::SECRET_MODE_OF_GROUP)),
        node_selector: (!asked.node_selector.is_empty()).then_some(asked.node_selector),
        tolerations: (!asked.tolerations.is_empty())
            .then(|| asked.tolerations.into_iter().map(toleration).collect()),
        priority_class_name: asked.priority_class_name,
        topology_spread_constraints: Some(
            ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
                .map(|key| spread(gateway, key))
                .into(),
        ),
        ..PodSpec::default()
    }
}

fn security(gateway: &GatewayInput<'_>) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(UID),
        run_as_group: Some(UID),
        fs_group: Some(UID),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        sysctls: proxy::needs_low_ports(gateway.spec).then(|| {
            vec![Sysctl {
                name: proxy::LOW_PORTS.to_owned(),
                value: "0".to_owned(),
            }]
        }),
        ..PodSecurityContext::default()
    }
}

/// Apart from each other where that can be had; a proxy that shares a node is better than none.
fn spread(gateway: &GatewayInput<'_>, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(own_pods(gateway)),
        // Proxies of the version before, which are about to go, do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    }
}

fn toleration(asked: crd::Toleration) -> Toleration {
    Toleration {
        key: Some(asked.key),
        operator: Some(
            match asked.operator {
                TolerationOperator::Equal => "Equal",
                TolerationOperator::Exists => "Exists",
            }
            .to_owned(),
        ),
        value: asked.value,
        effect: asked.effect.map(|effect| {
            match effect {
                TaintEffect::NoSchedule => "NoSchedule",
                TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                TaintEffect::NoExecute => "NoExecute",
            }
            .to_owned()
        }),
        toleration_seconds: asked.toleration_seconds.map(i64::from),
    }
}

fn own_pods(gateway: &GatewayInput<'_>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels::own_pods(gateway.name)),
        ..LabelSelector::default()
    }
}
