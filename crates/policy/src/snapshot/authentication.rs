//! Who may come in: mechanisms, and who checks what they carry.

use serde::{Deserialize, Serialize};

use super::HostPort;

/// Who may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// Whether MAIL needs a login.
    pub requirement: Requirement,
    /// Asked in order.
    pub backends: Vec<AuthBackend>,
    /// Offered mechanisms.
    pub mechanisms: Vec<Mechanism>,
    /// Added to logins without a domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_domain: Option<String>,
}

/// Whether MAIL needs a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Requirement {
    #[default]
    Required,
    Optional,
}

/// Who checks what a client shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AuthBackend {
    /// The upstream MTA is asked.
    Upstream,
    /// A file of `account:hash` lines at this path.
    AccountsFile(String),
    /// Dovecot's authentication service at this address.
    DovecotSasl(ServiceAddress),
}

impl AuthBackend {
    /// Whether it can serve a mechanism at all. Where it asks another server, that one has to offer the mechanism as well.
    #[must_use]
    pub const fn serves(&self, mechanism: Mechanism) -> bool {
        match (self, mechanism.carries()) {
            (_, Carries::Password) => true,
            (_, Carries::Token) => false,
            (Self::AccountsFile(_), Carries::Proof) => {
                matches!(
                    mechanism,
                    Mechanism::ScramSha256 | Mechanism::ScramSha256Plus
                )
            }
            // The channel that the client binds to ends here, so nobody behind us can verify it.
            (Self::Upstream | Self::DovecotSasl(_), Carries::Proof) => {
                !matches!(mechanism, Mechanism::ScramSha256Plus)
            }
        }
    }
}

/// Where a service of this machine or of the network listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceAddress {
    /// A socket in the file system, by its absolute path.
    Unix(String),
    /// TCP.
    Tcp(HostPort),
}

/// SASL mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the mechanisms' names")]
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "LOGIN")]
    Login,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-256-PLUS")]
    ScramSha256Plus,
    #[serde(rename = "CRAM-MD5")]
    CramMd5,
    #[serde(rename = "XOAUTH2")]
    Xoauth2,
    #[serde(rename = "OAUTHBEARER")]
    Oauthbearer,
}

/// What of a client's a mechanism shows to whoever checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carries {
    /// The password itself.
    Password,
    /// That the client knows the password, in answer to a challenge.
    Proof,
    /// A token that somebody else gave to the client.
    Token,
}

impl Mechanism {
    /// What it shows.
    #[must_use]
    pub const fn carries(self) -> Carries {
        match self {
            Self::Plain | Self::Login => Carries::Password,
            Self::ScramSha256 | Self::ScramSha256Plus | Self::CramMd5 => Carries::Proof,
            Self::Xoauth2 | Self::Oauthbearer => Carries::Token,
        }
    }

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::CramMd5 => "CRAM-MD5",
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
        }
    }
}
