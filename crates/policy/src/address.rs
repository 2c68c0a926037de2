//! Mail addresses and accounts in the one form that keys, rules and records use.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An account's canonical name: what the backend calls it, else the login in lower case with the default domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Account(Box<str>);

impl Account {
    /// The canonical form of `login`: trimmed, lower case, with `default_domain` added where it names none. Service accounts of
    /// Kubernetes have no domain, and none is added. A character outside of ASCII never becomes one of ASCII: the Kelvin sign is no
    /// `k`, and who has it in his name is not who has the letter.
    #[must_use]
    pub fn canonical(login: &str, default_domain: Option<&str>) -> Self {
        let mut name = lower_case(login.trim());
        if let Some(domain) = default_domain
            && !name.contains('@')
            && !name.starts_with(SERVICE_ACCOUNT)
        {
            name.push('@');
            name.push_str(&domain.to_lowercase());
        }
        Self(name.into())
    }

    /// The account of a service account of Kubernetes, by the name that the cluster has for it as a user. Nobody else may be
    /// given such a name.
    #[must_use]
    pub fn of_service_account(namespace: &str, name: &str) -> Self {
        Self(format!("{SERVICE_ACCOUNT}{namespace}:{name}").into())
    }

    /// Whether it is a service account's.
    #[must_use]
    pub fn is_service_account(&self) -> bool {
        self.0.starts_with(SERVICE_ACCOUNT)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// In lower case, but for characters outside of ASCII whose lower case is, or begins, in ASCII (U+212A KELVIN SIGN, U+0130).
fn lower_case(name: &str) -> String {
    let becomes_ascii = |c: char| !c.is_ascii() && c.to_lowercase().any(|lower| lower.is_ascii());
    if !name.contains(becomes_ascii) {
        return name.to_lowercase();
    }
    let mut lower = String::with_capacity(name.len());
    for c in name.chars() {
        if becomes_ascii(c) {
            lower.push(c);
        } else {
            lower.extend(c.to_lowercase());
        }
    }
    lower
}

/// What the names of service accounts begin with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mail address for comparison: the local part without quoting, the domain in lower case (A-labels).
///
/// It is never sent anywhere; the wire form stays with the SMTP layer, which re-emits it exactly.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    local: Box<str>,
    domain: Box<str>,
}

impl Address {
    /// Builds an address from an unquoted local part and a domain; the domain is lower-cased.
    #[must_use]
    pub fn new(local: &str, domain: &str) -> Self {
        Self {
            local: local.into(),
            domain: domain.to_ascii_lowercase().into(),
        }
    }

    /// The local part, without quoting.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_becomes_one_of_ascii() {
        let canonical = |login: &str| Account::canonical(login, Some("Example.JP")).to_string();
        assert_eq!(canonical(" Kai "), "kai@example.jp");
        assert_eq!(canonical("\u{212a}AI"), "\u{212a}ai@example.jp");
        assert_eq!(canonical("\u{130}ZMIR"), "\u{130}zmir@example.jp");
        assert_eq!(canonical("\u{c4}RA@x"), "\u{e4}ra@x");
        for c in ('\u{80}'..=char::MAX).map(String::from) {
            let once = Account::canonical(&format!("a{c}"), None);
            let of_ascii = once.as_str().bytes().skip(1).any(|octet| octet.is_ascii());
            assert!(!of_ascii, "{c:?} became {once}");
            assert_eq!(Account::canonical(once.as_str(), None), once, "{c:?}");
        }
    }
}
