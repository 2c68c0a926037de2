//! What the proxy logs in to relays with.

use std::fmt;
use std::sync::Arc;

use sekisho_smtp::sasl::{self, ClientExchange, Mechanism, Secret, TokenMechanism, encode_base64};
use zeroize::Zeroizing;

/// Finds what the proxy needs of Secrets. It is asked for each message that goes to a relay with a login, so that a Secret that
/// was changed is used by the next connection; it must not block.
pub trait Credentials: fmt::Debug + Send + Sync {
    /// What a Secret holds now under a key, if anything.
    fn value(&self, secret: &str, key: &str) -> Option<Zeroizing<Vec<u8>>>;

    /// What messages call a Secret.
    fn label(&self, secret: &str) -> String;

    /// The keys that the cluster signs the tokens of its service accounts with: a JWK Set with the cluster's `issuer` beside its
    /// `keys`. There are none outside of a cluster.
    fn cluster_keys(&self) -> Option<Zeroizing<Vec<u8>>> {
        None
    }

    /// The login that a Secret holds: `username` with `password`, or with `token`.
    ///
    /// # Errors
    /// It is not there, or cannot be used.
    fn of_secret(&self, name: &str) -> Result<Login, CredentialsPending> {
        let label = self.label(name);
        let username = self.value(name, "username");
        let username = username.as_deref().map(Vec::as_slice);
        if let Some(token) = self.value(name, "token") {
            return Login::from_token(&label, username, &token);
        }
        let password = self.value(name, "password");
        if username.is_none() && password.is_none() {
            return Err(CredentialsPending::missing(label));
        }
        Login::from_values(&label, username, password.as_deref().map(Vec::as_slice))
    }
}

/// A name and its password or token. `Debug` never shows the secret; cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login(Arc<Proof>);

#[derive(Debug, PartialEq, Eq)]
enum Proof {
    /// For PLAIN and LOGIN.
    Password(sasl::Credentials),
    /// For XOAUTH2.
    Token { username: String, token: Secret },
}

/// Why there is no login: the member that needs it takes no mail until there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CredentialsPending: {secret} {cause}")]
pub struct CredentialsPending {
    secret: String,
    cause: PendingCause,
}

/// What a Secret lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PendingCause {
    /// Nobody has it.
    #[error("is not there")]
    Missing,
    /// One of its values is not there, or empty.
    #[error("has no `{0}`")]
    Lacks(&'static str),
    /// SASL cannot carry one of its values (RFC 4616 section 2).
    #[error("has a `{0}` with a NUL in it, or that is not UTF-8")]
    Malformed(&'static str),
    /// XOAUTH2 cannot carry one of its values.
    #[error("has a `{0}` with other than visible characters")]
    Invisible(&'static str),
}

impl CredentialsPending {
    /// Nobody has the Secret; `secret` is what messages call it.
    pub fn missing(secret: impl Into<String>) -> Self {
        Self::because(secret, PendingCause::Missing)
    }

    pub(crate) fn lacks(secret: impl Into<String>, key: &'static str) -> Self {
        Self::because(secret, PendingCause::Lacks(key))
    }

    fn because(secret: impl Into<String>, cause: PendingCause) -> Self {
        Self {
            secret: secret.into(),
            cause,
        }
    }
}

impl Login {
    /// From the values of a Secret that messages call `secret`.
    ///
    /// # Errors
    /// A value is missing, or is none that SASL can carry.
    pub fn from_values(
        secret: &str,
        username: Option<&[u8]>,
        password: Option<&[u8]>,
    ) -> Result<Self, CredentialsPending> {
        let name = value(secret, "username", username)?;
        let password = value(secret, "password", password)?;
        Ok(Self(Arc::new(Proof::Password(sasl::Credentials {
            authorization: None,
            authentication: name.to_owned(),
            password: Secret::from(password),
        }))))
    }

    /// From the name and the bearer token of a Secret that messages call `secret`. Space around the token is not of it: files
    /// end with a line end.
    ///
    /// # Errors
    /// The name is missing, or one of them is none that XOAUTH2 can carry.
    pub fn from_token(
        secret: &str,
        username: Option<&[u8]>,
        token: &[u8],
    ) -> Result<Self, CredentialsPending> {
        let username = visible(secret, "username", username)?;
        let token = visible(secret, "token", Some(token.trim_ascii()))?;
        Ok(Self::bearer(username, Secret::from(token)))
    }

    pub(crate) fn bearer(username: &str, token: Secret) -> Self {
        Self(Arc::new(Proof::Token {
            username: username.to_owned(),
            token,
        }))
    }

    /// The exchange by the best mechanism that a server offers for it, and its first line; `None` if it offers none.
    pub(crate) fn start(&self, offers: impl Fn(&str) -> bool) -> Option<(ClientExchange, Secret)> {
        match &*self.0 {
            Proof::Password(credentials) => [Mechanism::Plain, Mechanism::Login]
                .into_iter()
                .find(|mechanism| offers(mechanism.name()))
                .map(|mechanism| ClientExchange::start(mechanism, credentials)),
            Proof::Token { username, token } => offers("XOAUTH2")
                .then(|| ClientExchange::start_token(TokenMechanism::Xoauth2, username, token)),
        }
    }

    /// Whether a text repeats the secret, as it is or as it was sent.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let forms = match &*self.0 {
            Proof::Password(credentials) => {
                let password = credentials.password.expose();
                let name = credentials.authentication.as_bytes();
                let plain = Secret::new([b"\0", name, b"\0", password].concat());
                [
                    credentials.password.clone(),
                    encode_base64(password),
                    encode_base64(plain.expose()),
                ]
            }
            Proof::Token { username, token } => {
                let sent = [
                    b"user=",
                    username.as_bytes(),
                    b"\x01auth=Bearer ",
                    token.expose(),
                    b"\x01\x01",
                ];
                let sent = Secret::new(sent.concat());
                [
                    token.clone(),
                    encode_base64(token.expose()),
                    encode_base64(sent.expose()),
                ]
            }
        };
        forms
            .iter()
            .any(|form| memchr::memmem::find(text.as_bytes(), form.expose()).is_some())
    }
}

/// A value without spaces and controls: in XOAUTH2 a control ends a field.
pub(crate) fn visible<'a>(
    secret: &str,
    key: &'static str,
    octets: Option<&'a [u8]>,
) -> Result<&'a str, CredentialsPending> {
    let text = value(secret, key, octets)?;
    let is_visible = |c: char| !c.is_control() && !c.is_whitespace();
    if text.chars().all(is_visible) {
        Ok(text)
    } else {
        Err(CredentialsPending::because(
            secret,
            PendingCause::Invisible(key),
        ))
    }
}

pub(crate) fn value<'a>(
    secret: &str,
    key: &'static str,
    value: Option<&'a [u8]>,
) -> Result<&'a str, CredentialsPending> {
    let because = |cause| CredentialsPending::because(secret, cause);
    let octets = value
        .filter(|octets| !octets.is_empty())
        .ok_or_else(|| because(PendingCause::Lacks(key)))?;
    std::str::from_utf8(octets)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or_else(|| because(PendingCause::Malformed(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &[u8], password: &[u8]) -> Result<Login, String> {
        Login::from_values("Secret mail/relay", Some(username), Some(password))
            .map_err(|pending| pending.to_string())
    }

    #[test]
    fn what_a_secret_lacks_is_named() {
        let table: [(&[u8], &[u8], &str); 4] = [
            (
                b"",
                b"x",
                "CredentialsPending: Secret mail/relay has no `username`",
            ),
            (b"gate", b"", "has no `password`"),
            (b"gate", b"a\0b", "has a `password` with a NUL"),
            (
                b"\xff",
                b"x",
                "has a `username` with a NUL in it, or that is not UTF-8",
            ),
        ];
        for (username, password, why) in table {
            let said = login(username, password).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
        let missing = CredentialsPending::missing("Secret mail/relay").to_string();
        assert_eq!(
            missing,
            "CredentialsPending: Secret mail/relay is not there"
        );
    }

    #[test]
    fn the_password_does_not_show_and_is_known_again() {
        let login = login(b"gate", b"open sesame").unwrap();
        assert!(!format!("{login:?}").contains("sesame"));
        for text in [
            "535 your password open sesame is wrong",
            "535 b3BlbiBzZXNhbWU= is wrong",
            "535 AGdhdGUAb3BlbiBzZXNhbWU= is wrong",
        ] {
            assert!(login.is_in(text), "{text}");
        }
        assert!(!login.is_in("535 5.7.8 Authentication failed for gate"));
    }

    #[test]
    fn a_token_is_carried_by_xoauth2_alone() {
        let token =
            |token: &[u8]| Login::from_token("Secret mail/o365", Some(b"gate@example.jp"), token);
        let login = token(b"eyJ0eXAi.x.y\n").unwrap();
        assert!(!format!("{login:?}").contains("eyJ0"));
        assert!(login.is_in("535 eyJ0eXAi.x.y is over"));
        assert!(login.start(|name| name == "PLAIN").is_none());
        let (_, first) = login.start(|name| name == "XOAUTH2").unwrap();
        assert!(first.expose().starts_with(b"AUTH XOAUTH2 dXNlcj1nYXRl"));
        let said = token(b"a\x01b").unwrap_err().to_string();
        assert!(
            said.contains("has a `token` with other than visible"),
            "{said}"
        );
    }
}
