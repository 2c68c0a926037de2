//! Services that say who somebody is: web services, identity providers, the cluster itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{Name, SecretRef};

/// A web service that checks passwords, by the convention of nginx's auth_http: a GET with Auth-User, Auth-Pass and others as
/// header fields, answered by 200 with Auth-Status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.clearText == 'Network' || self.url.matches('^(https://|http://(127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/|$))')",
    "message": "passwords cross a network only by https, unless clearText is Network",
    "fieldPath": ".url",
}]))]
pub struct HttpBackend {
    /// Where it is asked: https://host/path. http:// is for a loopback address, or for clearText Network.
    #[schemars(length(min = 8, max = 1024), regex(pattern = forms::WEB_URL))]
    pub url: String,

    /// The Secret whose ca.crt holds the authorities, as PEM, of which one must have issued the certificate. Without it they
    /// are Mozilla's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<SecretRef>,

    /// A header field that shows that it is the gateway that asks; nginx calls it auth_http_header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderFromSecret>,

    /// Where passwords may go in clear text. Loopback: nowhere but to this machine, as a sidecar. Network: over http:// to the
    /// host of the url as well; let it be a network that nobody can listen to.
    #[serde(default)]
    pub clear_text: ClearText,
}

/// A header field whose value is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderFromSecret {
    /// Its name, like X-Auth-Key.
    #[schemars(length(min = 1, max = 64), regex(pattern = forms::TOKEN))]
    pub name: String,

    /// The Secret with its value, in `value`. While it is not there, logins are put off.
    pub secret_ref: SecretRef,
}

/// Where passwords may go in clear text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ClearText {
    /// Nowhere but to this machine.
    #[default]
    Loopback,
    /// Over a network as well.
    Network,
}

/// An identity provider, whose tokens clients show by XOAUTH2 or OAUTHBEARER. Tokens are access tokens (RFC 9068) or identity
/// tokens, signed with RS, PS, ES256, ES384 or EdDSA keys of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.jwksUrl) || self.issuer.matches('^(https://|http://(127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/|$))')",
    "message": "must be an https URL, or jwksUrl must say where the keys are",
    "fieldPath": ".issuer",
}, {
    "rule": "!has(self.jwksUrl) || self.jwksUrl.matches('^(https://|http://(127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/|$))')",
    "message": "keys are fetched only by https",
    "fieldPath": ".jwksUrl",
}]))]
pub struct Oidc {
    /// The provider's name for itself, exactly as its tokens have it in iss. The discovery document is below it, at
    /// /.well-known/openid-configuration.
    #[schemars(length(min = 1, max = 1024), regex(pattern = forms::VISIBLE))]
    pub issuer: String,

    /// Whom tokens must be for: one of these must be in aud. Without it any token of the provider for any service would do.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "set"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = forms::VISIBLE)))]
    pub audiences: Vec<String>,

    /// The claim that names the account, like email, preferred_username or sub. Let it be one that users cannot write themselves;
    /// of email, emailVerification says when it is believed.
    #[serde(default = "Oidc::default_account_claim")]
    #[schemars(length(min = 1, max = 256), regex(pattern = forms::VISIBLE))]
    pub account_claim: String,

    /// With accountClaim email: when the address is believed. Required: if email_verified is true beside it. Waived: if
    /// email_verified is not there either; one that is there and not true refuses the token all the same. Waive it only for a
    /// provider that lets nobody enter an address of their own and leaves email_verified out. For other claims it says nothing.
    #[serde(default)]
    pub email_verification: EmailVerification,

    /// Scopes that a token must have, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    #[schemars(inner(length(min = 1, max = 256), regex(pattern = forms::VISIBLE)))]
    pub required_scopes: Vec<String>,

    /// Where the provider's keys are (a JWK Set), in place of where its discovery document says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 1024), regex(pattern = forms::WEB_URL))]
    pub jwks_url: Option<String>,

    /// Asks the provider about tokens that are not signed, or about all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,

    /// The Secret whose ca.crt holds the authorities, as PEM, of which one must have issued the provider's certificates. Without
    /// it they are Mozilla's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_ref: Option<SecretRef>,
}

impl Oidc {
    fn default_account_claim() -> String {
        "email".to_owned()
    }
}

/// When an address in the claim email is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum EmailVerification {
    /// If the provider says that it is verified.
    #[default]
    Required,
    /// If the provider does not say that it is not.
    Waived,
}

/// Asking an identity provider about tokens (RFC 7662).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.url.matches('^(https://|http://(127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/|$))')",
    "message": "tokens cross a network only by https",
    "fieldPath": ".url",
}]))]
pub struct Introspection {
    /// Where it is asked: https://host/path.
    #[schemars(length(min = 8, max = 1024), regex(pattern = forms::WEB_URL))]
    pub url: String,

    /// The Secret of type kubernetes.io/basic-auth with the client that the gateway is to the provider. While it is not there,
    /// logins are put off.
    pub credentials_ref: SecretRef,

    /// Which tokens it is asked about. Opaque: those that are not signed. All: signed ones too, so that one that was withdrawn is
    /// refused at once; each login then waits for the provider.
    #[serde(default)]
    pub tokens: IntrospectedTokens,
}

/// Which tokens an identity provider is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum IntrospectedTokens {
    /// Those that are not signed.
    #[default]
    Opaque,
    /// All.
    All,
}

/// Tokens of service accounts, which workloads show by OAUTHBEARER or XOAUTH2. The account is system:serviceaccount:NAMESPACE:NAME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.issuer) == has(self.jwks)",
    "message": "issuer and jwks go together",
}]))]
pub struct ServiceAccountTokens {
    /// Whom tokens must be for: one of these must be their audience. Choose a name that nothing else has, like sekisho-smtp;
    /// the API server's own audience would let in every token that every pod has.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "set"))]
    #[schemars(inner(length(min = 1, max = 1024), regex(pattern = forms::VISIBLE)))]
    pub audiences: Vec<String>,

    /// The namespaces whose service accounts may log in; all of them where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<Name>,

    /// The cluster's name in its tokens, exactly. Leave it out in a cluster, where the operator asks the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = forms::VISIBLE))]
    pub issuer: Option<String>,

    /// The path of the cluster's keys (what `kubectl get --raw /openid/v1/jwks` says), in the proxy's container or, standalone,
    /// relative to the folder of the YAML file. Leave it out in a cluster. It is read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub jwks: Option<String>,
}
