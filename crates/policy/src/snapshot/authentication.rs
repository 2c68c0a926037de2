//! Who may come in: mechanisms, and who checks what they carry.

use std::net::IpAddr;

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
    /// Whose accounts the upstream is asked about, beside those of the default domain; if there is neither, of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
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
    DovecotSasl(DovecotAuth),
    /// A web service of nginx's `auth_http` convention.
    Http(HttpAuth),
    /// An identity provider's tokens.
    Oidc(OidcAuth),
    /// Tokens of a cluster's service accounts.
    ServiceAccount(ServiceAccountAuth),
}

/// Dovecot's authentication service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DovecotAuth {
    /// Where it listens.
    #[serde(flatten)]
    pub address: ServiceAddress,
    /// Whether passwords may cross a network in clear text: its protocol has no other way.
    #[serde(default)]
    pub clear_text: ClearText,
}

impl DovecotAuth {
    /// Whether passwords may go there: within this machine, or over a network if the operator says so.
    #[must_use]
    pub fn may_be_used(&self) -> bool {
        match (&self.address, self.clear_text) {
            (ServiceAddress::Unix(_), _) | (_, ClearText::Network) => true,
            (ServiceAddress::Tcp(to), ClearText::Loopback) => is_loopback(&to.host),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    ip.is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
        || host.eq_ignore_ascii_case("localhost")
}

/// A web service that checks passwords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpAuth {
    /// Where it is asked.
    pub url: String,
    /// The Secret with its authorities, in `ca.crt`; absent are those of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<String>,
    /// What shows that it is a gateway that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<SecretHeader>,
    /// Whether passwords may cross a network in clear text.
    #[serde(default)]
    pub clear_text: ClearText,
}

/// A header field whose value is in a Secret, under `value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretHeader {
    /// Its name.
    pub name: String,
    /// The Secret.
    pub secret: String,
}

/// Where passwords may go without encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum ClearText {
    #[default]
    Loopback,
    Network,
}

/// An identity provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OidcAuth {
    /// Its name in tokens, to the letter.
    pub issuer: String,
    /// Whom its tokens must be for: one of these.
    pub audiences: Vec<String>,
    /// The claim with the account.
    pub account_claim: String,
    /// When that claim is believed, if it is `email`.
    #[serde(default, skip_serializing_if = "EmailVerification::is_required")]
    pub email_verification: EmailVerification,
    /// What its tokens must allow: all of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_scopes: Vec<String>,
    /// Where its keys are; absent is where its discovery document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Where it is asked about tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,
    /// The Secret with its authorities, in `ca.crt`; absent are those of the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<String>,
}

/// When an address in the claim `email` is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmailVerification {
    /// If `email_verified` is true.
    #[default]
    Required,
    /// If `email_verified` is true or absent.
    Waived,
}

impl EmailVerification {
    const fn is_required(&self) -> bool {
        matches!(self, Self::Required)
    }
}

/// RFC 7662.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Introspection {
    /// Where it is asked.
    pub url: String,
    /// The Secret with the client's `username` and `password`.
    pub credentials: String,
    /// Which tokens it is asked about.
    pub tokens: Introspected,
}

/// Which tokens an issuer is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum Introspected {
    #[default]
    Opaque,
    All,
}

/// Service accounts that may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountAuth {
    /// Whom tokens must be for: one of these.
    pub audiences: Vec<String>,
    /// Whose: those of these namespaces; none is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Where the cluster's keys come from.
    pub keys: ClusterKeys,
}

/// Where the keys of a cluster come from that its service accounts' tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClusterKeys {
    /// From the control plane, which asks the API server.
    Control,
    /// From a file.
    #[serde(rename_all = "camelCase")]
    File {
        /// The cluster's name in tokens, to the letter.
        issuer: String,
        /// The path of its set of keys.
        path: String,
    },
}

impl AuthBackend {
    /// The Secret with the authorities that its certificates lead to, if it names one.
    #[must_use]
    pub fn authorities(&self) -> Option<&str> {
        match self {
            Self::Http(service) => service.authorities.as_deref(),
            Self::Oidc(provider) => provider.authorities.as_deref(),
            _ => None,
        }
    }

    /// The Secret with the `value` of its header field, if it names one.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Http(service) => service.header.as_ref().map(|header| &*header.secret),
            _ => None,
        }
    }

    /// The Secret with the `username` and `password` that it is asked with, if it names one.
    #[must_use]
    pub fn credentials(&self) -> Option<&str> {
        match self {
            Self::Oidc(provider) => {
                let asked = provider.introspection.as_ref();
                asked.map(|asked| &*asked.credentials)
            }
            _ => None,
        }
    }

    /// Whether the control plane brings it the cluster's keys.
    #[must_use]
    pub fn needs_cluster_keys(&self) -> bool {
        matches!(self, Self::ServiceAccount(accounts) if accounts.keys == ClusterKeys::Control)
    }

    /// Whether it can serve a mechanism at all. Where it asks another server, that one has to offer the mechanism as well.
    #[must_use]
    pub const fn serves(&self, mechanism: Mechanism) -> bool {
        match (self, mechanism.carries()) {
            (Self::Oidc(_), Carries::Token) => true,
            // XOAUTH2 as well: clients that know no other mechanism for tokens send theirs by it.
            (Self::ServiceAccount(_), Carries::Token) => true,
            // Whoever verifies it there is told whose it is by the exchange, as we are.
            (Self::Upstream | Self::DovecotSasl(_), Carries::Token) => true,
            (Self::AccountsFile(_) | Self::Http(_), Carries::Token) => false,
            (Self::Oidc(_) | Self::ServiceAccount(_), _) => false,
            (_, Carries::Password) => true,
            // It is shown passwords, and has none to show.
            (Self::Http(_), Carries::Proof) => false,
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
