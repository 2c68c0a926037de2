//! The proxy's container and volumes, as a Deployment runs them and as a pod gets them for its sidecar.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe, ProjectedVolumeSource,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext,
    ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sekisho_crd::{ByteSize, MailGatewaySpec, ProxyResources};

use crate::labels;
use crate::settings::{GatewayInput, Settings};

/// The name of the proxy's container.
pub(crate) const CONTAINER: &str = "sekisho-proxy";
/// The name of the port that serves metrics and health.
pub(crate) const HTTP_PORT_NAME: &str = "sekisho-http";
/// The user and the group that the proxy runs as.
pub(crate) const UID: i64 = 65532;
/// Lets a process without rights bind ports below 1024, in its pod alone. Kubernetes counts it among the safe ones.
pub(crate) const LOW_PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
/// Secrets of a pod whose group is the proxy's.
pub(crate) const SECRET_MODE_OF_GROUP: i32 = 0o440;
/// Secrets of a pod that has a group of its own, or none: the volume is mounted in the proxy's container and nowhere else.
pub(crate) const SECRET_MODE_OF_ANY: i32 = 0o444;

const FIRST_HTTP_PORT: u16 = 9090;
const DEFAULT_MEMORY_LIMIT: u64 = 512 << 20;
const DEFAULT_MEMORY_REQUEST: u64 = 128 << 20;
/// The most memory that messages are held in.
const MOST_MESSAGE_MEMORY: u64 = 4 << 30;
/// The last good snapshot, the spool of records, and messages that are held for their verdict, of which a proxy takes no more than
/// 16 GiB. The kubelet evicts a pod that has more than its limit, so it stands above: many large messages must not end a proxy.
const STATE_LIMIT: &str = "17Gi";
const SNAPSHOT: &str = "/etc/sekisho/snapshot";
const SECRETS: &str = "/etc/sekisho/secrets";
const TOKEN: &str = "/var/run/secrets/sekisho";
const STATE: &str = "/var/lib/sekisho";

/// Where a proxy runs, as far as its flags tell.
pub(crate) struct Place {
    /// The address that listeners bind.
    pub(crate) listen: &'static str,
    /// The port of metrics and health.
    pub(crate) http_port: u16,
    /// How long open transactions may go on after SIGTERM.
    pub(crate) drain_seconds: u16,
}

/// The port of metrics and health: the first from 9090 on that is neither a listener's nor `taken`.
pub(crate) fn http_port(spec: &MailGatewaySpec, taken: &[u16]) -> u16 {
    let is_free = |port: &u16| {
        !taken.contains(port) && spec.listeners.iter().all(|listener| listener.port != *port)
    };
    (FIRST_HTTP_PORT..=u16::MAX)
        .find(is_free)
        .unwrap_or(FIRST_HTTP_PORT)
}

/// Whether a listener has a port that needs [`LOW_PORTS`].
pub(crate) fn needs_low_ports(spec: &MailGatewaySpec) -> bool {
    spec.listeners.iter().any(|listener| listener.port < 1024)
}

/// The container, with everything that both modes share.
pub(crate) fn container(
    gateway: &GatewayInput<'_>,
    settings: &Settings,
    place: &Place,
) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(settings.proxy_image.clone()),
        image_pull_policy: Some(settings.pull_policy.to_string()),
        command: Some(vec!["sekisho-proxy".to_owned()]),
        args: Some(arguments(gateway, settings, place)),
        // Kubernetes puts it into the arguments; the proxy reads nothing from its environment.
        env: Some(vec![EnvVar {
            name: "POD_NAME".to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.name".to_owned(),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        }]),
        ports: Some(ports(gateway.spec, place)),
        resources: Some(resources(gateway.spec)),
        security_context: Some(security()),
        startup_probe: Some(probe("/healthz", place, 1, 60)),
        liveness_probe: Some(probe("/healthz", place, 10, 6)),
        readiness_probe: Some(probe("/readyz", place, 2, 2)),
        volume_mounts: Some(mounts()),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn arguments(gateway: &GatewayInput<'_>, settings: &Settings, place: &Place) -> Vec<String> {
    let limit = memory_limit(&asked_resources(gateway.spec));
    let message_memory = (limit / 2).clamp(1, MOST_MESSAGE_MEMORY);
    vec![
        format!("--gateway={}", gateway.key()),
        "--name=$(POD_NAME)".to_owned(),
        format!("--control={}", settings.control_url()),
        format!("--ca={SNAPSHOT}/ca.crt"),
        format!("--token-file={TOKEN}/token"),
        format!("--snapshot={SNAPSHOT}/snapshot.json.zst"),
        format!("--secrets={SECRETS}"),
        format!("--state={STATE}"),
        format!("--listen={}", place.listen),
        format!("--http=0.0.0.0:{}", place.http_port),
        format!("--drain={}s", place.drain_seconds),
        format!("--message-memory={}", mebibytes(message_memory)),
        "--log-format=json".to_owned(),
    ]
}

fn ports(spec: &MailGatewaySpec, place: &Place) -> Vec<ContainerPort> {
    let port = |name: &str, port: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let listeners = spec.listeners.iter();
    listeners
        .map(|listener| port(listener.name.as_str(), listener.port))
        .chain([port(HTTP_PORT_NAME, place.http_port)])
        .collect()
}

/// Memory has a limit, because a proxy that leaks must not take its node along; CPU has none, because a limit would make
/// sessions wait while the node idles.
fn resources(spec: &MailGatewaySpec) -> ResourceRequirements {
    let asked = asked_resources(spec);
    let amounts = |cpu: Option<String>, memory: String| {
        let parts = [("cpu", cpu), ("memory", Some(memory))].into_iter();
        let parts = parts.filter_map(|(key, amount)| Some((key.to_owned(), Quantity(amount?))));
        Some(parts.collect::<BTreeMap<_, _>>())
    };
    let limit = memory_limit(&asked);
    let written =
        |size: Option<ByteSize>, other: u64| size.map_or_else(|| mebibytes(other), String::from);
    ResourceRequirements {
        limits: amounts(asked.limits.cpu, written(asked.limits.memory, limit)),
        requests: amounts(
            asked.requests.cpu.or_else(|| Some("100m".to_owned())),
            written(asked.requests.memory, limit.min(DEFAULT_MEMORY_REQUEST)),
        ),
        ..ResourceRequirements::default()
    }
}

fn asked_resources(spec: &MailGatewaySpec) -> ProxyResources {
    let pods = spec.pods.as_ref();
    pods.and_then(|pods| pods.resources.clone())
        .unwrap_or_default()
}

/// What a proxy may take of memory, in bytes.
fn memory_limit(asked: &ProxyResources) -> u64 {
    let request = asked.requests.memory.as_ref().map_or(0, ByteSize::as_bytes);
    let limit = asked.limits.memory.as_ref().map(ByteSize::as_bytes);
    limit.unwrap_or_else(|| request.max(DEFAULT_MEMORY_LIMIT))
}

/// An amount of memory as people write it.
fn mebibytes(bytes: u64) -> String {
    match bytes % (1 << 20) {
        0 => format!("{}Mi", bytes >> 20),
        _ => bytes.to_string(),
    }
}

/// What the restricted Pod Security Standard asks of a container, and a root file system that nobody writes to.
fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        run_as_user: Some(UID),
        run_as_group: Some(UID),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    }
}

fn probe(path: &str, place: &Place, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(place.http_port.into()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(if period > 2 { 5 } else { period }),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn mounts() -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    vec![
        mount("sekisho-snapshot", SNAPSHOT, true),
        mount("sekisho-secrets", SECRETS, true),
        mount("sekisho-token", TOKEN, true),
        mount("sekisho-state", STATE, false),
        mount("sekisho-tmp", "/tmp", false),
    ]
}

/// The volumes of [`container`]. The snapshot and the secrets are optional: a pod starts before there are any, and the kubelet
/// brings them when there are.
pub(crate) fn volumes(gateway: &GatewayInput<'_>, secret_mode: i32) -> Vec<Volume> {
    let name = labels::object_name(gateway.name);
    let volume = |name: &str| Volume {
        name: name.to_owned(),
        ..Volume::default()
    };
    let empty = |name: &str, limit: &str| Volume {
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(limit.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..volume(name)
    };
    vec![
        Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: name.clone(),
                optional: Some(true),
                default_mode: Some(0o444),
                ..ConfigMapVolumeSource::default()
            }),
            ..volume("sekisho-snapshot")
        },
        Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(name),
                optional: Some(true),
                default_mode: Some(secret_mode),
                ..SecretVolumeSource::default()
            }),
            ..volume("sekisho-secrets")
        },
        Volume {
            projected: Some(ProjectedVolumeSource {
                default_mode: Some(secret_mode),
                sources: Some(vec![VolumeProjection {
                    service_account_token: Some(ServiceAccountTokenProjection {
                        audience: Some(crate::AUDIENCE.to_owned()),
                        expiration_seconds: Some(3600),
                        path: "token".to_owned(),
                    }),
                    ..VolumeProjection::default()
                }]),
            }),
            ..volume("sekisho-token")
        },
        empty("sekisho-state", STATE_LIMIT),
        empty("sekisho-tmp", "64Mi"),
    ]
}
