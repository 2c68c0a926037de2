//! Paths of requests: names of accounts can have anything in them.

use std::fmt::Write as _;

use sekisho_policy::Account;

/// `/v1/accounts/ACCOUNT/WHAT?namespace=NAMESPACE`.
pub(super) fn of_account(account: &Account, what: &str, namespace: &str) -> String {
    let (account, namespace) = (escape(account.as_str()), escape(namespace));
    format!("/v1/accounts/{account}{what}?namespace={namespace}")
}

/// With all but unreserved characters as percent signs and digits (RFC 3986, 2.1).
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            escaped.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{octet:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_break_out_of_their_place() {
        let account = Account::canonical("a/../b?c&d=é@x", None);
        assert_eq!(
            of_account(&account, "/history", "mail"),
            "/v1/accounts/a%2F..%2Fb%3Fc%26d%3D%C3%A9%40x/history?namespace=mail"
        );
    }
}
