//! `?gateway=namespace/name`, read strictly before anything is done for it.

use serde::Deserialize;

use crate::problem::Problem;

/// What Kubernetes allows for each of the two.
const LONGEST_PART: usize = 253;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    gateway: Option<String>,
}

impl Asked {
    /// The gateway, if it is written as one.
    pub(super) fn gateway(self) -> Result<String, Problem> {
        self.gateway
            .filter(|name| is_name(name))
            .ok_or_else(misnamed)
    }
}

/// What is said to who names no gateway.
pub(super) fn misnamed() -> Problem {
    Problem::bad_request("name the gateway as ?gateway=namespace/name, as its object is called")
}

/// Whether this is `namespace/name`.
pub(super) fn is_name(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(namespace, name)| is_part(namespace) && is_part(name))
}

/// Whether this could be the name of an object: lower-case letters, digits, `-` and `.`.
pub(crate) fn is_part(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    (1..=LONGEST_PART).contains(&text.len())
        && text.bytes().all(|b| plain(b) || matches!(b, b'-' | b'.'))
        && ends.into_iter().flatten().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_as_their_objects() {
        assert!(is_name("mail/outbound-1"));
        for bad in [
            "", "/", "mail", "mail/", "/a", "a/b/c", "A/b", "a/b c", "a/é", "a/b\n", "../..",
            "a/-b",
        ] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(!is_name(&format!("a/{}", "b".repeat(254))));
    }
}
