//! The control plane's own certificate authority: what it holds, and when it is renewed. Pure but for the making of keys.
//!
//! A new authority is published beside the old one first, and signs only after everybody had time to learn of it; the old one
//! stays published until nothing that it signed is valid any more.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use sekisho_runtime::tls::Identity;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A peer's clock may be slow.
const VALID_SINCE: Duration = Duration::from_secs(300);

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of an authority; a new one is made when a third of it is left.
    pub authority: Duration,
    /// Of a replica's own certificate; it is made anew when a third of it is left.
    pub leaf: Duration,
    /// How long a new authority is published before it signs. The kubelet takes minutes to bring a changed ConfigMap to a pod.
    pub propagation: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            authority: Duration::from_secs(365 * 86_400),
            leaf: Duration::from_secs(86_400),
            propagation: Duration::from_secs(86_400),
        }
    }
}

/// All authorities that count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Keyring {
    current: Authority,
    /// The next one, and since when it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Next>,
    /// Those that signed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retired: Vec<Retired>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Authority {
    name: String,
    certificate: String,
    key: String,
    expires_ms: u64,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Next {
    authority: Authority,
    published_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retired {
    certificate: String,
    /// Nothing that it signed is valid later.
    until_ms: u64,
}

impl Keyring {
    /// The first keyring of a control plane.
    pub(crate) fn make(lifetimes: Lifetimes, now_ms: u64) -> Result<Self, Error> {
        Ok(Self {
            current: Authority::make(lifetimes, now_ms)?,
            next: None,
            retired: Vec::new(),
        })
    }

    /// The keyring as it should be now, if that is another one.
    pub(crate) fn renewed(&self, lifetimes: Lifetimes, now_ms: u64) -> Result<Option<Self>, Error> {
        let mut keyring = self.clone();
        keyring.retired.retain(|retired| retired.until_ms > now_ms);
        let due = self
            .current
            .expires_ms
            .saturating_sub(millis(lifetimes.authority) / 3);
        match keyring.next.take() {
            None if now_ms >= due => {
                keyring.next = Some(Next {
                    authority: Authority::make(lifetimes, now_ms)?,
                    published_ms: now_ms,
                });
            }
            None => {}
            Some(next)
                if now_ms
                    >= next
                        .published_ms
                        .saturating_add(millis(lifetimes.propagation)) =>
            {
                let before = std::mem::replace(&mut keyring.current, next.authority);
                keyring.retired.push(Retired {
                    certificate: before.certificate,
                    until_ms: before
                        .expires_ms
                        .min(now_ms.saturating_add(millis(lifetimes.leaf))),
                });
            }
            next => keyring.next = next,
        }
        Ok((keyring != *self).then_some(keyring))
    }

    /// The certificates that are to be believed, as PEM; that which signs comes first.
    pub(crate) fn bundle(&self) -> String {
        let next = self
            .next
            .iter()
            .map(|next| next.authority.certificate.as_str());
        let retired = self
            .retired
            .iter()
            .map(|retired| retired.certificate.as_str());
        std::iter::once(self.current.certificate.as_str())
            .chain(next)
            .chain(retired)
            .collect()
    }

    /// Which authority signs now.
    pub(crate) fn signer(&self) -> &str {
        &self.current.name
    }

    /// Seconds since 1970 at which the authority that signs expires.
    pub(crate) fn expires_at(&self) -> u64 {
        self.current.expires_ms / 1000
    }

    /// A certificate of our own with a fresh key, for `names`. The key never leaves the memory of this process.
    pub(crate) fn leaf(
        &self,
        names: &[String],
        lifetimes: Lifetimes,
        now_ms: u64,
    ) -> Result<Identity, Error> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
        let expires = now_ms
            .saturating_add(millis(lifetimes.leaf))
            .min(self.current.expires_ms);
        valid(&mut params, now_ms, expires);
        params.distinguished_name = named(names.first().map_or("sekisho", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let signing = KeyPair::from_pem(&self.current.key).map_err(failed)?;
        let issuer = Issuer::new(
            Authority::params(&self.current.name, now_ms, self.current.expires_ms)?,
            signing,
        );
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        let (chain, key) = (certificate.pem(), key.serialize_pem());
        Identity::from_pem(
            "the control plane's own certificate",
            chain.as_bytes(),
            key.as_bytes(),
            now_ms,
        )
        .map_err(failed)
    }
}

impl Authority {
    fn make(lifetimes: Lifetimes, now_ms: u64) -> Result<Self, Error> {
        let name = format!("Sekisho control plane {now_ms}");
        let expires_ms = now_ms.saturating_add(millis(lifetimes.authority));
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = Self::params(&name, now_ms, expires_ms)?
            .self_signed(&key)
            .map_err(failed)?;
        Ok(Self {
            name,
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            expires_ms,
        })
    }

    fn params(name: &str, now_ms: u64, expires_ms: u64) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        valid(&mut params, now_ms, expires_ms);
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }
}

fn valid(params: &mut CertificateParams, now_ms: u64, expires_ms: u64) {
    let now = UNIX_EPOCH + Duration::from_millis(now_ms);
    params.not_before = now.checked_sub(VALID_SINCE).unwrap_or(UNIX_EPOCH).into();
    params.not_after = (UNIX_EPOCH + Duration::from_millis(expires_ms)).into();
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn failed(error: impl fmt::Display) -> Error {
    Error::Certificates(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_780_300_000_000;
    const DAY: u64 = 86_400_000;

    #[test]
    fn a_new_authority_is_published_before_it_signs_and_the_old_one_stays_until_its_leafs_are_over()
    {
        let lifetimes = Lifetimes::default();
        let first = Keyring::make(lifetimes, NOW).unwrap();
        assert_eq!(first.renewed(lifetimes, NOW + 200 * DAY).unwrap(), None);

        let due = NOW + 250 * DAY;
        let published = first.renewed(lifetimes, due).unwrap().unwrap();
        assert_eq!(published.signer(), first.signer());
        assert_eq!(published.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(published.renewed(lifetimes, due + DAY - 1).unwrap(), None);

        let switched = published.renewed(lifetimes, due + DAY).unwrap().unwrap();
        assert_ne!(switched.signer(), first.signer());
        assert!(switched.bundle().contains(&first.bundle()));

        let rid = switched.renewed(lifetimes, due + 2 * DAY).unwrap().unwrap();
        assert_eq!(rid.bundle().matches("BEGIN CERTIFICATE").count(), 1);
        assert!(!rid.bundle().contains(&first.bundle()));
    }

    #[test]
    fn a_leaf_is_for_its_names_and_does_not_outlive_its_authority() {
        let lifetimes = Lifetimes::default();
        let keyring = Keyring::make(lifetimes, NOW).unwrap();
        let names = ["sekisho-control.mail.svc".to_owned(), "10.0.0.7".to_owned()];
        let late = NOW + 365 * DAY - 1000;
        let leaf = keyring.leaf(&names, lifetimes, late).unwrap();
        assert_eq!(leaf.names(), ["sekisho-control.mail.svc"]);
        assert!(leaf.expires_at() <= i64::try_from(keyring.expires_at()).unwrap());
    }

    #[test]
    fn keys_do_not_show() {
        let keyring = Keyring::make(Lifetimes::default(), NOW).unwrap();
        assert!(!format!("{keyring:?}").contains("PRIVATE"));
        let json = serde_json::to_vec(&keyring).unwrap();
        assert_eq!(serde_json::from_slice::<Keyring>(&json).unwrap(), keyring);
    }
}
