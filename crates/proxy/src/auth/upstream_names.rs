//! Whom the gateway's upstream is asked about.
//!
//! It says whether a password is right, and not whose it is: the account is what the client typed. An upstream that looks at no
//! domain, or maps characters to others, would make one password fit as many accounts as somebody cares to type.

use sekisho_policy::Account;
use sekisho_policy::snapshot::Authentication;

/// The names that it is asked about.
#[derive(Debug)]
pub(super) struct UpstreamNames {
    /// In lower case; none is any.
    domains: Vec<String>,
}

impl UpstreamNames {
    pub(super) fn new(authentication: &Authentication) -> Self {
        let own = authentication.default_domain.iter();
        let domains = own.chain(&authentication.domains);
        Self {
            domains: domains.map(|domain| domain.to_lowercase()).collect(),
        }
    }

    /// Whether it is asked about `name`, which is `account` here. Others are refused like a wrong password.
    pub(super) fn have(&self, name: &str, account: &Account) -> bool {
        let is_plain = !name.is_empty()
            && name.trim() == name
            && name.bytes().all(|octet| matches!(octet, b' '..=b'~'));
        let mut parts = account.as_str().split('@').skip(1);
        let domain = match (parts.next(), parts.next()) {
            (domain, None) => domain,
            // Which of them the upstream looks at is anybody's guess.
            (_, Some(_)) => return false,
        };
        let is_ours = |domain: &str| self.domains.iter().any(|ours| ours == domain);
        is_plain && (self.domains.is_empty() || domain.is_none_or(is_ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn have(default_domain: Option<&str>, domains: &[&str], name: &str) -> bool {
        let authentication: Authentication = serde_json::from_value(serde_json::json!({
            "requirement": "Required", "backends": ["upstream"], "mechanisms": ["PLAIN"],
            "defaultDomain": default_domain, "domains": domains,
        }))
        .unwrap();
        let account = Account::canonical(name, default_domain);
        UpstreamNames::new(&authentication).have(name, &account)
    }

    #[test]
    fn one_password_is_for_the_accounts_of_our_domains() {
        for ours in ["alice", "Alice@Example.JP", "alice@example.com"] {
            assert!(have(Some("example.jp"), &["Example.com"], ours), "{ours}");
        }
        let others = [
            "alice@1.example",
            "alice@",
            "alice@1.example@example.jp",
            "alice@example.jp@1.example",
            "alice ",
            "",
            "al\u{ad}ice",
            "al\tice",
            "\u{ff41}lice",
            "ali\u{212a}e@example.jp",
        ];
        for other in others {
            assert!(
                !have(Some("example.jp"), &["example.com"], other),
                "{other:?}"
            );
        }
        assert!(have(None, &[], "alice@anything.example") && have(None, &[], "alice"));
        assert!(have(None, &["a.example"], "alice@a.example"));
        assert!(!have(None, &["a.example"], "alice@b.example"));
    }
}
