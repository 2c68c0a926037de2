//! Why a pod gets no sidecar.

use crate::labels::GATEWAY;

/// Why a pod that asks for a sidecar gets none. Each is said to whoever made the pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// There is no such gateway.
    #[error(
        "no MailGateway {0}, which the label {GATEWAY} asks for; create it in the pod's namespace, or correct the label"
    )]
    UnknownGateway(String),
    /// There is one, and it was never valid as far as this process knows.
    #[error(
        "MailGateway {0}, which the label {GATEWAY} asks for, has errors; its status says which, and the pod is made when they are mended"
    )]
    Unusable(String),
    /// The gateway runs elsewhere.
    #[error(
        "MailGateway {0} is of mode Gateway and has no sidecars; remove the label {GATEWAY}, or give it mode Sidecar"
    )]
    NotSidecar(String),
    /// The gateways are not known yet.
    #[error(
        "the control plane has not read its MailGateways yet; the pod is made when it is tried again"
    )]
    NotReady,
    /// The pod has the network of its node.
    #[error(
        "the pod has hostNetwork, so other pods of the node could use its sidecar; remove hostNetwork or the label {GATEWAY}"
    )]
    HostNetwork,
    /// The pod runs on Windows.
    #[error("the pod runs on Windows, and the proxy does not; remove the label {GATEWAY}")]
    Windows,
    /// A container of the pod has a port of the gateway.
    #[error(
        "container {container} has port {port}, which is a listener of MailGateway {gateway}; change one of them"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The container that has it.
        container: String,
        /// The gateway, as `NAMESPACE/NAME`.
        gateway: String,
    },
    /// A container of the pod has the name of the sidecar.
    #[error("a container of the pod is called {0}, which is the sidecar's name; give it another")]
    NameTaken(&'static str),
    /// Another container of the pod would see what is the sidecar's alone.
    #[error(
        "container {container} mounts the volume {volume}, which is the sidecar's; give its own volume another name"
    )]
    VolumeTaken {
        /// The volume.
        volume: String,
        /// The container that mounts it.
        container: String,
    },
    /// The pod is larger than any that is meant.
    #[error("the pod has more than {0} values")]
    TooLarge(usize),
    /// The pod keeps low ports from processes without rights.
    #[error(
        "the pod sets the sysctl {sysctl} to {value:?}, and the gateway has a listener on port {port}; set it to {port} or less, or remove it"
    )]
    LowPortsShut {
        /// The sysctl.
        sysctl: &'static str,
        /// What the pod sets it to.
        value: String,
        /// The lowest port of the gateway.
        port: u16,
    },
    /// This is no pod.
    #[error("{0} of the pod is not what the API server would send")]
    Malformed(&'static str),
}
