//! What is watched beside our own kinds.

/// The kinds of objects that the operator makes and watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnedKind {
    Deployment,
    Service,
    ServiceAccount,
    PodDisruptionBudget,
}

impl OwnedKind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Deployment,
        Self::Service,
        Self::ServiceAccount,
        Self::PodDisruptionBudget,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::Service => "Service",
            Self::ServiceAccount => "ServiceAccount",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
        }
    }
}

/// A pod that asks for a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelledPod {
    pub(crate) uid: String,
    pub(crate) gateway: String,
    /// Whether the sidecar is in it.
    pub(crate) injected: bool,
}
