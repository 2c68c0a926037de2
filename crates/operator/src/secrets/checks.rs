//! The kinds of Secrets that authors name: which keys are taken over, and whether their values serve.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use sekisho_compile::ObjectKey;
use sekisho_policy::Timestamp;
use sekisho_runtime::tls::{Identity, Roots, Verification, client_config};

/// The data of a Secret.
pub(super) type Values = BTreeMap<String, ByteString>;

/// What a Secret is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A listener's certificate and key.
    Certificate,
    /// A login at a relay or a login service.
    Login,
    /// What tokens for relays are asked for with.
    OAuth,
    /// Whom certificates of others must be issued by.
    Authorities,
    /// What a login service is shown.
    Header,
    /// Where counters are shared.
    Counters,
}

impl Use {
    /// The keys of which a value is passed on, where there is one.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Certificate => &["tls.crt", "tls.key"],
            Self::Login => &["username", "password", "token"],
            Self::OAuth => &["username", "client_id", "client_secret", "refresh_token"],
            Self::Authorities => &["ca.crt"],
            Self::Header => &["value"],
            Self::Counters => &[
                "url", "username", "password", "ca.crt", "tls.crt", "tls.key",
            ],
        }
    }

    /// The reason of the condition `ResolvedRefs` where it does not serve.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Certificate => "InvalidCertificateRef",
            _ => "CredentialsPending",
        }
    }

    /// Whether the values serve; else why not, in words for the author. Whether counters do is seen by the proxies, which go on
    /// as they were if they do not.
    pub(super) fn check(
        self,
        gateway: &ObjectKey,
        name: &str,
        values: &Values,
        now: Timestamp,
    ) -> Result<(), String> {
        let origin = format!("Secret {}/{name}", gateway.namespace);
        let value = |key: &str| values.get(key).map_or(&[][..], |value| &value.0);
        let has = |key: &str| !value(key).is_empty();
        let required: &[&str] = match self {
            Self::Certificate => &[],
            Self::Login if has("token") => &["username", "token"],
            Self::Login => &["username", "password"],
            Self::OAuth => &["username", "client_id", "client_secret"],
            Self::Authorities => &["ca.crt"],
            Self::Header => &["value"],
            Self::Counters => &["url"],
        };
        if let Some(key) = required.iter().find(|key| !has(key)) {
            return Err(format!("{origin} has no `{key}`"));
        }
        match self {
            Self::Certificate => {
                Identity::from_pem(&origin, value("tls.crt"), value("tls.key"), now.0)
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            // A bundle that cannot be read would leave its relays without mail: the last good one stays.
            Self::Authorities => {
                let roots = Roots::Pem {
                    origin: &origin,
                    pem: value("ca.crt"),
                };
                client_config(Verification::Required(roots))
                    .map(drop)
                    .map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }
}
