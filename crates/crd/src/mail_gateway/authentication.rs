//! Who may come in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ClearText, DomainName, HttpBackend, Oidc, ServiceAccountTokens, ServiceAddress};

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// Whether a session must log in before it sends mail. Required: it must. Optional: it may; rules that ask for an
    /// account then apply to those that do.
    #[serde(default)]
    pub requirement: Requirement,

    /// Who checks passwords and tokens; asked in order until one knows the account.
    #[serde(default = "Authentication::default_backends")]
    #[schemars(length(min = 1, max = 8))]
    pub backends: Vec<Backend>,

    /// The SASL mechanisms that are offered. Each needs a backend that can serve it: PLAIN and LOGIN any that checks passwords,
    /// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS an AccountsFile with verifiers. Upstream and DovecotSasl serve SCRAM-SHA-256 and CRAM-MD5
    /// while the server behind them offers them. SCRAM-SHA-256-PLUS is offered under TLS only. XOAUTH2 and OAUTHBEARER need an Oidc
    /// or a ServiceAccount, or an Upstream or a DovecotSasl whose server offers them; those are asked only where the client names
    /// its account.
    #[serde(default = "Authentication::default_mechanisms")]
    // A set would be merged with the default: who asks for OAUTHBEARER alone would offer PLAIN as well.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.all(one, self.exists_one(other, other == one))",
        "message": "a mechanism is there twice",
    }]))]
    pub mechanisms: Vec<Mechanism>,

    /// The domain of logins that name none: with example.jp, `tanaka` is the account `tanaka@example.jp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_domain: Option<DomainName>,

    /// Further domains whose accounts the backend Upstream is asked about. With defaultDomain or domains, names of other domains
    /// are refused there like a wrong password; with neither, every name is asked for, and an upstream that does not look at the
    /// domain makes one password fit accounts without end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), extend("x-kubernetes-list-type" = "set"))]
    pub domains: Vec<DomainName>,
}

impl Authentication {
    fn default_backends() -> Vec<Backend> {
        vec![Backend {
            type_: BackendType::Upstream,
            accounts_file: None,
            dovecot_sasl: None,
            http: None,
            oidc: None,
            service_account: None,
        }]
    }

    fn default_mechanisms() -> Vec<Mechanism> {
        vec![Mechanism::Plain, Mechanism::Login]
    }
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            requirement: Requirement::default(),
            backends: Self::default_backends(),
            mechanisms: Self::default_mechanisms(),
            default_domain: None,
            domains: Vec::new(),
        }
    }
}

/// Whether a session must log in before it sends mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Requirement {
    /// It must.
    #[default]
    Required,
    /// It may.
    Optional,
}

/// One place where passwords are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.type == 'AccountsFile' ? has(self.accountsFile) : !has(self.accountsFile)",
    "message": "accountsFile belongs to type AccountsFile, which needs it, and to no other",
}, {
    "rule": "self.type == 'DovecotSasl' ? has(self.dovecotSasl) : !has(self.dovecotSasl)",
    "message": "dovecotSasl belongs to type DovecotSasl, which needs it, and to no other",
}, {
    "rule": "self.type == 'Http' ? has(self.http) : !has(self.http)",
    "message": "http belongs to type Http, which needs it, and to no other",
}, {
    "rule": "self.type == 'Oidc' ? has(self.oidc) : !has(self.oidc)",
    "message": "oidc belongs to type Oidc, which needs it, and to no other",
}, {
    "rule": "self.type == 'ServiceAccount' ? has(self.serviceAccount) : !has(self.serviceAccount)",
    "message": "serviceAccount belongs to type ServiceAccount, which needs it, and to no other",
}]))]
pub struct Backend {
    /// Upstream: AUTH is relayed to the next hop. AccountsFile: a file of accounts and password hashes. DovecotSasl:
    /// Dovecot's authentication service. Http: a web service. Oidc: an identity provider's tokens. ServiceAccount:
    /// tokens of the cluster's own workloads.
    #[serde(rename = "type")]
    pub type_: BackendType,

    /// With type AccountsFile: the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts_file: Option<AccountsFile>,

    /// With type DovecotSasl: the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dovecot_sasl: Option<DovecotSasl>,

    /// With type Http: the web service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpBackend>,

    /// With type Oidc: the identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,

    /// With type ServiceAccount: which tokens are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountTokens>,
}

/// The kinds of places where passwords are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BackendType {
    /// AUTH is relayed to the next hop.
    Upstream,
    /// A file of accounts and password hashes.
    AccountsFile,
    /// Dovecot's authentication service.
    DovecotSasl,
    /// A web service.
    Http,
    /// An identity provider's tokens.
    Oidc,
    /// Tokens of the cluster's own workloads.
    ServiceAccount,
}

/// A file of accounts and password hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountsFile {
    /// The path of the file, in the proxy's container or, standalone, relative to the folder of the YAML file. Write it
    /// with `sekisho accounts add`. It is read again when it changes.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// Dovecot's authentication service: what `service auth` listens on in its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.clearText == 'Network' || self.address.startsWith('unix:') || self.address.matches('^(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\]):[0-9]+$')",
    "message": "passwords cross a network in clear text only if clearText is Network",
    "fieldPath": ".address",
}]))]
pub struct DovecotSasl {
    /// `unix:/run/dovecot/auth-client`, a socket in the proxy's container or machine, or `host:port`.
    pub address: ServiceAddress,

    /// Where passwords may go in clear text: Dovecot's protocol has no encryption. Loopback: to a socket or an address of this
    /// machine. Network: to the host of the address as well; let it be a network that nobody can listen to.
    #[serde(default)]
    pub clear_text: ClearText,
}

/// SASL mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// RFC 4616.
    #[serde(rename = "PLAIN")]
    Plain,
    /// The older form of the same, without an RFC.
    #[serde(rename = "LOGIN")]
    Login,
    /// RFC 7677.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The same, bound to the TLS connection.
    #[serde(rename = "SCRAM-SHA-256-PLUS")]
    ScramSha256Plus,
    /// RFC 2195, for old clients.
    #[serde(rename = "CRAM-MD5")]
    CramMd5,
    /// Google's form of OAuth.
    #[serde(rename = "XOAUTH2")]
    Xoauth2,
    /// RFC 7628.
    #[serde(rename = "OAUTHBEARER")]
    Oauthbearer,
}
