//! Which addresses belong to an account: its own name, and the aliases that the SubmissionPolicy lists.
//!
//! An account's own address is its canonical name, compared without regard to ASCII case. `user+tag@` is not `user@`: whether a
//! tag reaches the same mailbox is the mail system's choice, so that it is the account's only where an alias says so.

use std::collections::HashMap;

use crate::address::{Account, Address};
use crate::glob;
use crate::snapshot::Alias;

/// All aliases of a snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Senders {
    /// By account in lower case.
    by_account: HashMap<Box<str>, Vec<Owned>>,
    by_glob: Vec<(Box<str>, Vec<Owned>)>,
}

#[derive(Clone, Debug)]
enum Owned {
    One(Address),
    /// Any local part of this domain.
    Domain(Box<str>),
}

impl Senders {
    /// Makes aliases ready, or names the first address that is none.
    pub(crate) fn new(aliases: &[Alias]) -> Result<Self, String> {
        let mut senders = Self::default();
        for alias in aliases {
            let owned = alias
                .addresses
                .iter()
                .map(|text| Owned::read(text).ok_or_else(|| text.clone()));
            let owned = owned.collect::<Result<Vec<_>, _>>()?;
            let account = alias.account.to_ascii_lowercase().into_boxed_str();
            if glob::is_pattern(&account) {
                senders.by_glob.push((account, owned));
            } else {
                senders.by_account.entry(account).or_default().extend(owned);
            }
        }
        Ok(senders)
    }

    /// Whether `address` belongs to `account`.
    pub(crate) fn owns(&self, account: &Account, address: &Address) -> bool {
        is_own(account.as_str(), address)
            || self
                .listed(account.as_str())
                .is_some_and(|list| list.iter().any(|owned| owned.covers(address)))
            || self.by_glob.iter().any(|(pattern, list)| {
                list.iter().any(|owned| owned.covers(address))
                    && glob::matches(pattern, account.as_str())
            })
    }

    fn listed(&self, account: &str) -> Option<&Vec<Owned>> {
        if self.by_account.is_empty() {
            return None;
        }
        self.by_account
            .get(account)
            .or_else(|| self.by_account.get(account.to_ascii_lowercase().as_str()))
    }
}

impl Owned {
    fn read(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        match local {
            _ if local.is_empty() || domain.is_empty() => None,
            "*" => Some(Self::Domain(domain.to_ascii_lowercase().into())),
            _ => Some(Self::One(Address::new(local, domain))),
        }
    }

    fn covers(&self, address: &Address) -> bool {
        match self {
            Self::One(own) => {
                own.local().eq_ignore_ascii_case(address.local())
                    && own.domain() == address.domain()
            }
            Self::Domain(domain) => **domain == *address.domain(),
        }
    }
}

fn is_own(account: &str, address: &Address) -> bool {
    account.rsplit_once('@').is_some_and(|(local, domain)| {
        local.eq_ignore_ascii_case(address.local()) && domain.eq_ignore_ascii_case(address.domain())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_accounts() {
        let aliases = [
            Alias {
                account: "office@example.jp".into(),
                addresses: vec!["Info@example.jp".into(), "*@Shop.example.jp".into()],
            },
            Alias {
                account: "*@team.example.jp".into(),
                addresses: vec!["team@example.jp".into()],
            },
        ];
        let senders = Senders::new(&aliases).unwrap();
        for (account, local, domain, expected) in [
            ("a@example.jp", "a", "example.jp", true),
            ("a@example.jp", "A", "EXAMPLE.jp", true),
            ("a@example.jp", "a+tag", "example.jp", false),
            ("a@example.jp", "b", "example.jp", false),
            ("a@example.jp", "a", "example.jp.evil.test", false),
            ("a@example.jp", "info", "example.jp", false),
            ("office@example.jp", "info", "example.jp", true),
            ("Office@example.jp", "INFO", "example.jp", true),
            ("office@example.jp", "anything", "shop.example.jp", true),
            (
                "office@example.jp",
                "anything",
                "sub.shop.example.jp",
                false,
            ),
            ("x@team.example.jp", "team", "example.jp", true),
            ("plainlogin", "plainlogin", "example.jp", false),
        ] {
            let account = serde_json::from_value(account.into()).unwrap();
            assert_eq!(
                senders.owns(&account, &Address::new(local, domain)),
                expected,
                "{account} {local}@{domain}"
            );
        }
        // An account's name may hold an at sign in its local part; only the last one parts it.
        let odd = Account::canonical("a@b@example.jp", None);
        assert!(senders.owns(&odd, &Address::new("a@b", "example.jp")));
        assert!(!senders.owns(&odd, &Address::new("a", "b@example.jp")));
    }

    #[test]
    fn names_an_address_that_is_none() {
        for bad in ["info", "@example.jp", "info@", ""] {
            let alias = Alias {
                account: "a@example.jp".into(),
                addresses: vec!["ok@x".into(), bad.into()],
            };
            assert_eq!(Senders::new(&[alias]).unwrap_err(), bad);
        }
    }
}
