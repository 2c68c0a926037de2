//! What the gateway's status says of bypasses.

use std::collections::BTreeSet;

use sekisho_crd::GatewayMode;

use super::Reopened;
use crate::settings::GatewayInput;

/// The type of the condition.
pub const BYPASS_POSSIBLE: &str = "BypassPossible";

/// How many policies a message names.
const NAMED: usize = 10;

/// Whether a pod can reach mail servers past the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Possible {
    /// It can: the condition is `True`.
    Yes,
    /// The objects that would let it are not there: `False`.
    No,
}

impl Possible {
    /// The `status` of the condition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
        }
    }
}

/// The condition [`BYPASS_POSSIBLE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BypassCondition {
    /// Its `status`.
    pub possible: Possible,
    /// Its `reason`.
    pub reason: &'static str,
    /// Its `message`.
    pub message: String,
}

/// The condition of a gateway, by what [`super::chosen`] and [`super::reopened`] gave. A gateway of mode Gateway that does
/// not ask for blocking has none.
pub fn condition(
    gateway: &GatewayInput<'_>,
    chosen: &BTreeSet<String>,
    reopened: &[Reopened],
) -> Option<BypassCondition> {
    let (possible, reason, message) = match gateway.spec.mode {
        GatewayMode::Sidecar => (Possible::Yes, "Sidecar", of_sidecar(gateway, reopened)),
        GatewayMode::Gateway if gateway.spec.block_bypass.is_none() => return None,
        GatewayMode::Gateway if reopened.is_empty() => (Possible::No, "Blocked", blocked(chosen)),
        GatewayMode::Gateway => (Possible::Yes, "ReopenedByPolicy", granted(reopened)),
    };
    Some(BypassCondition {
        possible,
        reason,
        message,
    })
}

fn of_sidecar(gateway: &GatewayInput<'_>, reopened: &[Reopened]) -> String {
    let mut message = "a NetworkPolicy cannot tell the sidecar from its neighbours in the pod, which can reach mail servers themselves; \
         use mode Gateway with blockBypass where that must not be"
        .to_owned();
    if gateway.spec.block_bypass.is_some() && !reopened.is_empty() {
        message = format!("{message}; other pods: {}", granted(reopened));
    }
    message
}

fn blocked(chosen: &BTreeSet<String>) -> String {
    let namespaces: Vec<&str> = chosen.iter().take(NAMED).map(String::as_str).collect();
    let more = more(chosen.len());
    format!(
        "pods of {}{more} reach TCP 25, 465 and 587 only at this gateway, where the network plugin enforces NetworkPolicy",
        namespaces.join(", ")
    )
}

fn granted(reopened: &[Reopened]) -> String {
    let policies: Vec<String> = reopened
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    format!(
        "these NetworkPolicies let pods reach TCP 25, 465 or 587 elsewhere: {}{}; NetworkPolicies only add permissions, so \
         narrow them, or install the AdminNetworkPolicy API",
        policies.join(", "),
        more(reopened.len())
    )
}

fn more(all: usize) -> String {
    match all.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}
