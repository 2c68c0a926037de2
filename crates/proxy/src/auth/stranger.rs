//! Who is asked about in the place of somebody whom another backend has refused already.

use sekisho_policy::Account;
use sekisho_smtp::sasl::{Credentials, Secret};

use super::FleetKey;

/// Letters before the `@`.
const LOCAL: usize = 12;

/// Somebody who does not exist, of the same domain and with a password of the same length; always the same for the same name and
/// password, so that a mail program which repeats a wrong one is no more to the service than it would be itself.
pub(super) fn stand_in(shown: &Credentials, account: &Account, key: &FleetKey) -> Credentials {
    let seed = key.fingerprint(account, shown.password.expose());
    let name = key.letters("stand-in name", &seed, LOCAL);
    let length = shown.password.expose().len();
    let password = key.letters("stand-in password", &seed, length);
    Credentials {
        authorization: None,
        authentication: match shown.authentication.rsplit_once('@') {
            Some((_, domain)) => format!("{name}@{domain}"),
            None => name,
        },
        password: Secret::from(password.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_asked_about_in_anybodys_name() {
        let key = FleetKey::new([7; 32]);
        let shown = |name: &str, password: &str| Credentials {
            authorization: Some("x".into()),
            authentication: name.to_owned(),
            password: Secret::from(password),
        };
        let account = Account::canonical("aya", Some("example.jp"));
        let one = stand_in(&shown("aya@example.jp", "sesame"), &account, &key);
        assert_eq!(
            one,
            stand_in(&shown("aya@example.jp", "sesame"), &account, &key)
        );
        let (name, domain) = one.authentication.split_once('@').unwrap();
        assert!(name.len() == LOCAL && name != "aya" && domain == "example.jp");
        assert_eq!(one.password.expose().len(), 6);
        assert!(one.password != Secret::from("sesame") && one.authorization.is_none());
        let other = stand_in(&shown("aya", "sesame2"), &account, &key);
        assert!(!other.authentication.contains('@') && other.authentication != name);
    }
}
