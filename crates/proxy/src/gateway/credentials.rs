//! What the proxy logs in to relays with.

use std::fmt;
use std::sync::Arc;

use sekisho_smtp::sasl::{self, Secret, encode_base64};

/// Finds the proxy's own logins by the name of the Secret that holds them. It is asked for each message that goes to such a
/// relay, so that a Secret that was changed is used by the next connection; it must not block.
pub trait Credentials: fmt::Debug + Send + Sync {
    /// What a Secret of type kubernetes.io/basic-auth holds now.
    ///
    /// # Errors
    /// It is not there, or cannot be used.
    fn of_secret(&self, name: &str) -> Result<Login, CredentialsPending>;
}

/// A name and its password. `Debug` never shows the password; cloning shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login(Arc<sasl::Credentials>);

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
}

impl CredentialsPending {
    /// Nobody has the Secret; `secret` is what messages call it.
    pub fn missing(secret: impl Into<String>) -> Self {
        Self::because(secret, PendingCause::Missing)
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
        Ok(Self(Arc::new(sasl::Credentials {
            authorization: None,
            authentication: name.to_owned(),
            password: Secret::from(password),
        })))
    }

    pub(crate) fn credentials(&self) -> &sasl::Credentials {
        &self.0
    }

    /// Whether a text repeats the password, as it is or as it was sent.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        let sasl::Credentials {
            authentication,
            password,
            ..
        } = &*self.0;
        let plain = [b"\0", authentication.as_bytes(), b"\0", password.expose()].concat();
        let plain = Secret::new(plain);
        [
            password.clone(),
            encode_base64(password.expose()),
            encode_base64(plain.expose()),
        ]
        .iter()
        .any(|form| memchr::memmem::find(text.as_bytes(), form.expose()).is_some())
    }
}

fn value<'a>(
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
}
