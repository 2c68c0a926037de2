//! The Service in front of a gateway's proxies: one port for each listener, with its name.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sekisho_crd::{ExternalTrafficPolicy, GatewayService, ServiceType};

use super::metadata;
use crate::labels;
use crate::settings::GatewayInput;

pub(super) fn service(gateway: &GatewayInput<'_>) -> Service {
    let asked = gateway.spec.service.clone().unwrap_or_default();
    let mut metadata = metadata(gateway);
    if !asked.annotations.is_empty() {
        metadata.annotations = Some(asked.annotations.clone());
    }
    let ranges = asked.load_balancer_source_ranges.iter();
    let ranges: Vec<String> = ranges.map(ToString::to_string).collect();
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_name(asked.type_).to_owned()),
            selector: Some(labels::own_pods(gateway.name)),
            ports: Some(ports(gateway)),
            external_traffic_policy: external_traffic(&asked).map(str::to_owned),
            load_balancer_class: asked.load_balancer_class,
            load_balancer_source_ranges: (!ranges.is_empty()).then_some(ranges),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn ports(gateway: &GatewayInput<'_>) -> Vec<ServicePort> {
    let listeners = gateway.spec.listeners.iter();
    listeners
        .map(|listener| ServicePort {
            name: Some(listener.name.to_string()),
            port: listener.port.into(),
            target_port: Some(IntOrString::Int(listener.port.into())),
            protocol: Some("TCP".to_owned()),
            ..ServicePort::default()
        })
        .collect()
}

/// Local where nothing else is asked for: rules about addresses and countries need the client's own address.
fn external_traffic(asked: &GatewayService) -> Option<&'static str> {
    if asked.type_ == ServiceType::ClusterIP {
        return None;
    }
    Some(match asked.external_traffic_policy {
        None | Some(ExternalTrafficPolicy::Local) => "Local",
        Some(ExternalTrafficPolicy::Cluster) => "Cluster",
    })
}

fn type_name(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}
