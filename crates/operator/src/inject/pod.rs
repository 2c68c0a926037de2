//! One pod, or the template of one.
//!
//! It is kept as JSON, so that fields of newer Kubernetes versions go through as they are.

use k8s_openapi::api::core::v1::{Container, ContainerPort};
use sekisho_crd::GatewayMode;
use serde_json::{Map, Value, json};

use super::InjectError;
use crate::labels::INJECTED;
use crate::settings::{GatewayInput, Settings};
use crate::workload::proxy::{self, CONTAINER, HTTP_PORT_NAME, LOW_PORTS, Place};

/// What the annotation [`INJECTED`] says.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long open transactions may go on when the pod ends. Its own containers have ended by then, and nobody else is there.
const DRAIN: u16 = 25;

/// What became of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// It has the sidecar now.
    Injected,
    /// It had the same one already, and is as it was.
    AlreadyInjected,
}

/// Gives a pod, or the template of one, the sidecar of a gateway. One of another version is replaced. Where this fails the pod is
/// as it was.
///
/// The sidecar listens on the pod's loopback address, so that nothing but the pod's own containers reaches it.
///
/// # Errors
/// Why the pod cannot have it.
pub fn inject(
    pod: &mut Value,
    gateway: &GatewayInput<'_>,
    settings: &Settings,
) -> Result<Injected, InjectError> {
    if gateway.spec.mode != GatewayMode::Sidecar {
        return Err(InjectError::NotSidecar(gateway.key()));
    }
    let mut shape = Shape::read(pod)?;
    shape.refuse_unfit(gateway)?;
    let wanted = sidecar(gateway, settings, &shape.ports(gateway)?);
    let wanted = json_of(&wanted);
    let volumes = proxy::volumes(gateway, proxy::SECRET_MODE_OF_ANY);
    let volumes: Vec<_> = volumes.iter().map(json_of).collect();
    shape.refuse_sharing(&volumes)?;
    if shape.has(pod, &wanted, &volumes) {
        return Ok(Injected::AlreadyInjected);
    }
    shape
        .init_containers
        .retain(|one| name_of(one) != CONTAINER);
    shape.init_containers.insert(0, wanted);
    shape.volumes.retain(|one| !is_ours(one, &volumes));
    shape.volumes.extend(volumes);
    shape.open_low_ports(gateway)?;
    shape.write(pod)?;
    Ok(Injected::Injected)
}

/// The parts of a pod that injection looks at and changes.
struct Shape {
    containers: Vec<Value>,
    init_containers: Vec<Value>,
    volumes: Vec<Value>,
    security: Map<String, Value>,
    host_network: bool,
    windows: bool,
}

impl Shape {
    fn read(pod: &Value) -> Result<Self, InjectError> {
        let spec = pod.get("spec").and_then(Value::as_object);
        let spec = spec.ok_or(InjectError::Malformed("spec"))?;
        let metadata = pod.get("metadata").and_then(Value::as_object);
        let metadata = metadata.ok_or(InjectError::Malformed("metadata"))?;
        object(metadata.get("annotations"), "metadata.annotations")?;
        let os = pod.pointer("/spec/os/name");
        let node = spec
            .get("nodeSelector")
            .and_then(|labels| labels.get("kubernetes.io/os"));
        Ok(Self {
            containers: list(spec, "containers")?,
            init_containers: list(spec, "initContainers")?,
            volumes: list(spec, "volumes")?,
            security: object(spec.get("securityContext"), "spec.securityContext")?,
            host_network: spec.get("hostNetwork") == Some(&Value::Bool(true)),
            windows: os.or(node).is_some_and(|os| os == "windows"),
        })
    }

    fn refuse_unfit(&self, gateway: &GatewayInput<'_>) -> Result<(), InjectError> {
        if self.host_network {
            return Err(InjectError::HostNetwork);
        }
        if self.windows {
            return Err(InjectError::Windows);
        }
        if self.containers.iter().any(|one| name_of(one) == CONTAINER) {
            return Err(InjectError::NameTaken(CONTAINER));
        }
        if self.containers.is_empty() {
            return Err(InjectError::Malformed("spec.containers"));
        }
        self.low_ports(gateway).map(drop)
    }

    /// The TCP ports that the pod's other containers say they have.
    fn ports(&self, gateway: &GatewayInput<'_>) -> Result<Vec<u16>, InjectError> {
        let others = self.init_containers.iter().chain(&self.containers);
        let mut taken = Vec::new();
        for container in others.filter(|one| name_of(one) != CONTAINER) {
            let ports = container.get("ports").and_then(Value::as_array);
            for port in ports.into_iter().flatten() {
                let is_tcp = port
                    .get("protocol")
                    .is_none_or(|protocol| protocol == "TCP");
                let number = port.get("containerPort").and_then(Value::as_u64);
                let number = number.and_then(|number| u16::try_from(number).ok());
                let Some(port) = number.filter(|_| is_tcp) else {
                    continue;
                };
                if gateway
                    .spec
                    .listeners
                    .iter()
                    .any(|listener| listener.port == port)
                {
                    return Err(InjectError::PortTaken {
                        port,
                        container: name_of(container).to_owned(),
                        gateway: gateway.key(),
                    });
                }
                taken.push(port);
            }
        }
        Ok(taken)
    }

    /// The sidecar's volumes hold credentials, the fleet's key and the token by which it is known.
    fn refuse_sharing(&self, volumes: &[Value]) -> Result<(), InjectError> {
        let others = self.init_containers.iter().chain(&self.containers);
        for container in others.filter(|one| name_of(one) != CONTAINER) {
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            let mut mounts = mounts.into_iter().flatten();
            if let Some(mount) = mounts.find(|mount| is_ours(mount, volumes)) {
                return Err(InjectError::VolumeTaken {
                    volume: name_of(mount).to_owned(),
                    container: name_of(container).to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Whether the pod has this very sidecar in the first place, and its volumes. A pod's author may have written all of it, so
    /// everything is compared, and nothing may be there that is not the API server's own.
    fn has(&self, pod: &Value, wanted: &Value, volumes: &[Value]) -> bool {
        let annotated = pod
            .get("metadata")
            .and_then(|metadata| metadata.get("annotations")?.get(INJECTED))
            .is_some_and(|version| version == VERSION);
        let mut named = self.init_containers.iter();
        let is_first = named.next().is_some_and(|first| is_same(first, wanted));
        let is_only = named.all(|one| name_of(one) != CONTAINER);
        let has_volume = |volume: &Value| {
            let mut named = self.volumes.iter();
            let mut named = named.by_ref().filter(|one| name_of(one) == name_of(volume));
            named.next() == Some(volume) && named.next().is_none()
        };
        annotated && is_first && is_only && volumes.iter().all(has_volume)
    }

    /// What the pod already says of low ports, if the gateway needs them.
    fn low_ports(&self, gateway: &GatewayInput<'_>) -> Result<LowPorts, InjectError> {
        let lowest = gateway
            .spec
            .listeners
            .iter()
            .map(|listener| listener.port)
            .min();
        let Some(port) = lowest.filter(|port| *port < 1024) else {
            return Ok(LowPorts::AsTheyAre);
        };
        let sysctls = self.security.get("sysctls").and_then(Value::as_array);
        let mut sysctls = sysctls.into_iter().flatten();
        let Some(set) = sysctls.find(|one| name_of(one) == LOW_PORTS) else {
            return Ok(LowPorts::ToOpen);
        };
        let value = set.get("value").and_then(Value::as_str).unwrap_or_default();
        match value.parse::<u16>() {
            Ok(first) if first <= port => Ok(LowPorts::AsTheyAre),
            _ => Err(InjectError::LowPortsShut {
                sysctl: LOW_PORTS,
                value: value.chars().take(20).collect(),
                port,
            }),
        }
    }

    fn open_low_ports(&mut self, gateway: &GatewayInput<'_>) -> Result<(), InjectError> {
        if self.low_ports(gateway)? == LowPorts::AsTheyAre {
            return Ok(());
        }
        let sysctls = self.security.entry("sysctls").or_insert_with(|| json!([]));
        let sysctls = sysctls.as_array_mut();
        sysctls
            .ok_or(InjectError::Malformed("spec.securityContext.sysctls"))?
            .push(json!({ "name": LOW_PORTS, "value": "0" }));
        Ok(())
    }

    fn write(self, pod: &mut Value) -> Result<(), InjectError> {
        let spec = pod.get_mut("spec").and_then(Value::as_object_mut);
        let spec = spec.ok_or(InjectError::Malformed("spec"))?;
        spec.insert("initContainers".to_owned(), self.init_containers.into());
        spec.insert("volumes".to_owned(), self.volumes.into());
        if !self.security.is_empty() {
            spec.insert("securityContext".to_owned(), self.security.into());
        }
        let metadata = pod.get_mut("metadata").and_then(Value::as_object_mut);
        let metadata = metadata.ok_or(InjectError::Malformed("metadata"))?;
        let mut annotations = object(metadata.get("annotations"), "metadata.annotations")?;
        annotations.insert(INJECTED.to_owned(), VERSION.into());
        metadata.insert("annotations".to_owned(), annotations.into());
        Ok(())
    }
}

/// What is to be done about ports below 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LowPorts {
    AsTheyAre,
    ToOpen,
}

fn sidecar(gateway: &GatewayInput<'_>, settings: &Settings, taken: &[u16]) -> Container {
    let place = Place {
        listen: "127.0.0.1",
        http_port: proxy::http_port(gateway.spec, taken),
        drain_seconds: DRAIN,
    };
    Container {
        restart_policy: Some("Always".to_owned()),
        // Its listeners are on the loopback address and so for nobody outside; the kubelet asks this port on the pod's.
        ports: Some(vec![ContainerPort {
            name: Some(HTTP_PORT_NAME.to_owned()),
            container_port: place.http_port.into(),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        ..proxy::container(gateway, settings, &place)
    }
}

fn json_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a part of a pod is plain data")
}

fn name_of(value: &Value) -> &str {
    value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn is_ours(volume: &Value, ours: &[Value]) -> bool {
    ours.iter().any(|one| name_of(volume) == name_of(one))
}

/// Whether a container is the one that was wanted, but for what the API server writes into it by itself.
fn is_same(present: &Value, wanted: &Value) -> bool {
    let (Some(present), Some(wanted)) = (present.as_object(), wanted.as_object()) else {
        return false;
    };
    let fields = present.keys().chain(wanted.keys());
    fields.into_iter().all(|field| {
        match (field.as_str(), present.get(field), wanted.get(field)) {
            ("startupProbe" | "livenessProbe" | "readinessProbe", Some(probe), Some(wanted)) => {
                let mut probe = probe.clone();
                if let Some(probe) = probe
                    .as_object_mut()
                    .filter(|one| one.get("successThreshold") == Some(&json!(1)))
                {
                    probe.remove("successThreshold");
                }
                probe == *wanted
            }
            // A LimitRange of the namespace adds to them.
            ("resources", Some(resources), Some(wanted)) => has_resources(resources, wanted),
            ("terminationMessagePath", Some(path), None) => path == "/dev/termination-log",
            (_, present, wanted) => present == wanted,
        }
    })
}

fn has_resources(present: &Value, wanted: &Value) -> bool {
    let amounts = |resources: &Value, list: &str| -> Map<String, Value> {
        let amounts = resources.get(list).and_then(Value::as_object);
        amounts.cloned().unwrap_or_default()
    };
    let has = |list: &str| {
        let present = amounts(present, list);
        let wanted = amounts(wanted, list);
        wanted
            .iter()
            .all(|(name, amount)| present.get(name) == Some(amount))
    };
    let mut lists = present.as_object().into_iter().flat_map(Map::keys);
    lists.all(|list| list == "limits" || list == "requests") && has("limits") && has("requests")
}

/// A list of the spec; empty where it is absent or null.
fn list(spec: &Map<String, Value>, field: &'static str) -> Result<Vec<Value>, InjectError> {
    match spec.get(field) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.clone()),
        Some(_) => Err(InjectError::Malformed(field)),
    }
}

/// A mapping; empty where it is absent or null.
fn object(value: Option<&Value>, field: &'static str) -> Result<Map<String, Value>, InjectError> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(_) => Err(InjectError::Malformed(field)),
    }
}
