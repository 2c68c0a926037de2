//! Names and labels of what the operator makes.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// The label by which a pod asks for a sidecar; its value is the gateway's name.
pub const GATEWAY: &str = "sekisho.dev/gateway";
/// The label of a gateway's own pods; its value is the gateway's name.
pub const PROXY_OF: &str = "sekisho.dev/proxy-of";
/// The label by which a namespace agrees that its mail goes through a gateway; its value is [`dotted`].
pub const MAIL_THROUGH: &str = "sekisho.dev/mail-through";
/// The label of what blocks bypasses of a gateway, in whatever namespace; its value is [`dotted`].
pub const BYPASS_OF: &str = "sekisho.dev/bypass-of";
/// The annotation of a pod that got a sidecar; its value is the version that put it in.
pub const INJECTED: &str = "sekisho.dev/injected";
/// The gateway that an object of the operator's making is for.
pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
/// The field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "sekisho";

/// The most characters of a label's value, and of a Service's name.
const LABEL_CHARS: usize = 63;

/// The name of what a gateway owns: `sekisho-NAME`. Longer than a Service's name may be, it ends in a hash.
pub fn object_name(gateway: &str) -> String {
    shortened(format!("sekisho-{gateway}"))
}

/// A gateway as one label value: `NAMESPACE.NAME`. Longer than a label's value may be, it ends in a hash. Neither part has
/// dots of its own, so no two gateways share it.
pub fn dotted(namespace: &str, gateway: &str) -> String {
    shortened(format!("{namespace}.{gateway}"))
}

/// The labels of everything that the operator makes for a gateway.
pub fn managed(gateway: &str) -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            ("app.kubernetes.io/managed-by", "sekisho"),
            ("app.kubernetes.io/name", "sekisho-proxy"),
            ("app.kubernetes.io/instance", gateway),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// The labels of what the control plane makes for itself.
pub(crate) fn of_control() -> BTreeMap<String, String> {
    BTreeMap::from(
        [
            ("app.kubernetes.io/managed-by", "sekisho"),
            ("app.kubernetes.io/name", "sekisho-control"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

/// What selects a gateway's own pods.
pub fn own_pods(gateway: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(PROXY_OF.to_owned(), gateway.to_owned())])
}

fn shortened(text: String) -> String {
    if text.len() <= LABEL_CHARS {
        return text;
    }
    let hash = Sha256::digest(text.as_bytes());
    let hash: String = hash
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let kept: String = text.chars().take(LABEL_CHARS - 1 - hash.len()).collect();
    format!("{kept}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_services_and_stay_apart() {
        assert_eq!(object_name("outbound"), "sekisho-outbound");
        assert_eq!(dotted("mail", "outbound"), "mail.outbound");
        let long = "g".repeat(62);
        let (a, b) = (
            object_name(&format!("{long}a")),
            object_name(&format!("{long}b")),
        );
        assert_eq!((a.len(), b.len()), (63, 63));
        assert_ne!(a, b);
        assert_eq!(dotted(&long, &long).len(), 63);
        assert_eq!(
            object_name(&"g".repeat(55)),
            format!("sekisho-{}", "g".repeat(55))
        );
    }
}
