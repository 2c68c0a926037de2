//! The services that logins are checked by.

use sekisho_crd as crd;
use sekisho_policy::snapshot::{
    AuthBackend, ClearText, ClusterKeys, EmailVerification, HttpAuth, Introspected, Introspection,
    OidcAuth, SecretHeader, ServiceAccountAuth,
};

use super::shared::sorted;

pub(super) fn http(spec: &crd::HttpBackend) -> AuthBackend {
    AuthBackend::Http(HttpAuth {
        url: spec.url.clone(),
        authorities: spec.ca_ref.as_ref().map(|secret| secret.name.clone()),
        header: spec.header.as_ref().map(|header| SecretHeader {
            name: header.name.clone(),
            secret: header.secret_ref.name.clone(),
        }),
        clear_text: clear_text(spec.clear_text),
    })
}

pub(super) fn clear_text(spec: crd::ClearText) -> ClearText {
    match spec {
        crd::ClearText::Loopback => ClearText::Loopback,
        crd::ClearText::Network => ClearText::Network,
    }
}

pub(super) fn oidc(spec: &crd::Oidc) -> AuthBackend {
    AuthBackend::Oidc(OidcAuth {
        issuer: spec.issuer.clone(),
        audiences: sorted(spec.audiences.iter().cloned()),
        account_claim: spec.account_claim.clone(),
        email_verification: match spec.email_verification {
            crd::EmailVerification::Required => EmailVerification::Required,
            crd::EmailVerification::Waived => EmailVerification::Waived,
        },
        required_scopes: sorted(spec.required_scopes.iter().cloned()),
        jwks_url: spec.jwks_url.clone(),
        introspection: spec.introspection.as_ref().map(|asked| Introspection {
            url: asked.url.clone(),
            credentials: asked.credentials_ref.name.clone(),
            tokens: match asked.tokens {
                crd::IntrospectedTokens::Opaque => Introspected::Opaque,
                crd::IntrospectedTokens::All => Introspected::All,
            },
        }),
        authorities: spec.ca_ref.as_ref().map(|secret| secret.name.clone()),
    })
}

pub(super) fn service_account(spec: &crd::ServiceAccountTokens) -> AuthBackend {
    let keys = match (&spec.issuer, &spec.jwks) {
        (Some(issuer), Some(path)) => ClusterKeys::File {
            issuer: issuer.clone(),
            path: path.clone(),
        },
        _ => ClusterKeys::Control,
    };
    AuthBackend::ServiceAccount(ServiceAccountAuth {
        audiences: sorted(spec.audiences.iter().cloned()),
        namespaces: sorted(spec.namespaces.iter().map(|name| name.as_str().to_owned())),
        keys,
    })
}
