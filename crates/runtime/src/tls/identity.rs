//! A certificate chain with its key, read from PEM and checked before anyone is served with it.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::provider;
use crate::Error;
use crate::error::CertificateFault as Fault;

/// What a listener shows of itself.
#[derive(Clone, Debug)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
    origin: String,
    not_before: Duration,
    not_after: Duration,
    /// What clients bind to that bind to the certificate.
    pub(super) end_point: Option<Arc<[u8]>>,
}

impl Identity {
    /// Reads a chain (the server's certificate first) and its private key, both PEM; they may be in one file.
    /// `origin` is the secret or file to name in errors; `now_ms` is checked against the validity.
    ///
    /// # Errors
    /// [`Error::Certificate`] says which of the two is missing, malformed, foreign to the other, or out of date.
    pub fn from_pem(origin: &str, chain: &[u8], key: &[u8], now_ms: u64) -> Result<Self, Error> {
        let identity = parse(origin, chain, key).map_err(|fault| Error::Certificate {
            origin: origin.to_owned(),
            fault,
        })?;
        identity.check_validity(now_ms)?;
        Ok(identity)
    }

    /// The secret or file it was read from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The DNS names it is for, lower case; a leading `*.` stands for one label.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Seconds since 1970 at which it expires.
    pub fn expires_at(&self) -> i64 {
        i64::try_from(self.not_after.as_secs()).unwrap_or(i64::MAX)
    }

    /// # Errors
    /// It has expired or is not valid yet at `now_ms` (ms since 1970).
    pub fn check_validity(&self, now_ms: u64) -> Result<(), Error> {
        let now = Duration::from_millis(now_ms);
        let fault = if now > self.not_after {
            Fault::Expired {
                on: date(self.not_after),
            }
        } else if now < self.not_before {
            Fault::NotYetValid {
                from: date(self.not_before),
            }
        } else {
            return Ok(());
        };
        Err(Error::Certificate {
            origin: self.origin.clone(),
            fault,
        })
    }
}

fn parse(origin: &str, chain: &[u8], key: &[u8]) -> Result<Identity, Fault> {
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| pem_fault(e, Fault::NoCertificate))?;
    let leaf = chain.first().ok_or(Fault::NoCertificate)?;
    let whole = leaf.clone();
    let leaf = Certificate::from_der(leaf).map_err(|e| Fault::Malformed(e.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| pem_fault(e, Fault::NoKey))?;
    let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => Fault::KeyMismatch,
        rustls::Error::InvalidCertificate(e) => Fault::Malformed(format!("{e:?}")),
        other => Fault::UnusableKey(other),
    })?;
    let validity = leaf.tbs_certificate().validity();
    Ok(Identity {
        key: Arc::new(key),
        names: dns_names(&leaf)?,
        origin: origin.to_owned(),
        not_before: validity.not_before.to_unix_duration(),
        not_after: validity.not_after.to_unix_duration(),
        end_point: end_point(&whole, &leaf),
    })
}

/// The digest of a certificate with the hash of its own signature, or SHA-256 where that is MD5 or SHA-1 (RFC 5929 section 4.1).
fn end_point(whole: &[u8], leaf: &Certificate) -> Option<Arc<[u8]>> {
    let hash = match leaf.signature_algorithm().oid.to_string().as_str() {
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(hash, whole).as_ref().into())
}

fn pem_fault(error: PemError, missing: Fault) -> Fault {
    match error {
        PemError::NoItemsFound => missing,
        other => Fault::NotPem(other),
    }
}

fn dns_names(leaf: &Certificate) -> Result<Vec<String>, Fault> {
    let alternatives = leaf
        .tbs_certificate()
        .get_extension::<SubjectAltName>()
        .map_err(|e| Fault::Malformed(e.to_string()))?;
    let Some((_, SubjectAltName(names))) = alternatives else {
        return Ok(Vec::new());
    };
    Ok(names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DnsName(dns) => Some(dns.as_str().to_ascii_lowercase()),
            _ => None,
        })
        .collect())
}

fn date(since_epoch: Duration) -> String {
    DateTime::from_unix_duration(since_epoch)
        .map_or_else(|_| "a date out of range".to_owned(), |d| d.to_string())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const JUNE_2026: u64 = 1_780_300_000_000;

    fn made(names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
                .unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn fault(chain: &str, key: &str, now: u64) -> String {
        Identity::from_pem(
            "Secret/mail/mail-tls",
            chain.as_bytes(),
            key.as_bytes(),
            now,
        )
        .unwrap_err()
        .to_string()
    }

    #[test]
    fn a_good_pair_tells_its_names_and_end() {
        let (chain, key) = made(&["MAIL.example.jp", "*.example.jp", "127.0.0.1"]);
        let identity =
            Identity::from_pem("s", chain.as_bytes(), key.as_bytes(), JUNE_2026).unwrap();
        assert_eq!(identity.names(), ["mail.example.jp", "*.example.jp"]);
        assert_eq!(identity.expires_at(), 1_798_761_600);
    }

    #[test]
    fn chain_and_key_may_share_a_file() {
        let (chain, key) = made(&["mail.example.jp"]);
        let both = format!("{key}{chain}");
        assert!(Identity::from_pem("s", both.as_bytes(), both.as_bytes(), JUNE_2026).is_ok());
    }

    #[test]
    fn each_fault_names_the_origin_and_what_is_wrong() {
        let (chain, key) = made(&["mail.example.jp"]);
        let (_, other_key) = made(&["mail.example.jp"]);
        let mangled = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let mangled_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let cut = &chain[..chain.len() / 2];
        let table = [
            ("", key.as_str(), JUNE_2026, "no certificate"),
            (key.as_str(), key.as_str(), JUNE_2026, "no certificate"),
            (chain.as_str(), "", JUNE_2026, "no private key"),
            (chain.as_str(), chain.as_str(), JUNE_2026, "no private key"),
            (
                chain.as_str(),
                other_key.as_str(),
                JUNE_2026,
                "does not belong",
            ),
            (mangled, key.as_str(), JUNE_2026, "cannot be parsed"),
            (chain.as_str(), mangled_key, JUNE_2026, "cannot be used"),
            (cut, key.as_str(), JUNE_2026, "not PEM"),
            (
                chain.as_str(),
                key.as_str(),
                1_900_000_000_000,
                "expired on 2027-01-01T00:00:00Z",
            ),
            (
                chain.as_str(),
                key.as_str(),
                1_700_000_000_000,
                "not valid before 2026-01-01T00:00:00Z",
            ),
        ];
        for (chain, key, now, expected) in table {
            let message = fault(chain, key, now);
            assert!(message.starts_with("Secret/mail/mail-tls: "), "{message}");
            assert!(message.contains(expected), "{message:?} lacks {expected:?}");
            assert!(!message.contains("AAAA"), "{message}");
        }
    }
}
