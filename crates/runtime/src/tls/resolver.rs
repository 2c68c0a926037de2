//! Which certificate a client is shown, by the name it asks for; all of them can be replaced at once.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Identity;

/// The certificates of a listener. What is replaced is used from the next handshake on.
#[derive(Debug)]
pub struct CertResolver {
    identities: ArcSwap<Vec<Identity>>,
}

impl CertResolver {
    /// The first identity is shown to clients that name no host or an unknown one.
    pub fn new(first: Identity, others: Vec<Identity>) -> Arc<Self> {
        let resolver = Self {
            identities: ArcSwap::default(),
        };
        resolver.replace(first, others);
        Arc::new(resolver)
    }

    pub fn replace(&self, first: Identity, others: Vec<Identity>) {
        let mut all = vec![first];
        all.extend(others);
        self.identities.store(Arc::new(all));
    }

    /// What is shown now.
    pub fn identities(&self) -> Arc<Vec<Identity>> {
        self.identities.load_full()
    }

    /// Whether these are shown still.
    pub fn shows(&self, identities: &Arc<Vec<Identity>>) -> bool {
        Arc::ptr_eq(&self.identities.load(), identities)
    }

    /// The digest of that of `identities` which a client is shown (`tls-server-end-point`, RFC 5929). `None` where more than one could
    /// be it, or its signature names no one digest.
    pub fn end_point(identities: &[Identity], asked: Option<&str>) -> Option<Arc<[u8]>> {
        let asked = asked.map(str::to_ascii_lowercase);
        let mut shown = identities.iter().filter(|identity| {
            let of_name = |asked: &String| {
                let names = &identity.names;
                names
                    .iter()
                    .any(|name| name == asked || covers(name, asked))
            };
            identities.len() == 1 || asked.as_ref().is_some_and(of_name)
        });
        match (shown.next(), shown.next()) {
            (Some(only), None) => only.end_point.clone(),
            _ => None,
        }
    }

    fn choose(
        &self,
        asked: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let identities = self.identities.load();
        let usable = |i: &&Identity| i.key.key.choose_scheme(schemes).is_some();
        let asked = asked.map(str::to_ascii_lowercase);
        let by_name = asked.as_deref().and_then(|asked| {
            let exact = |i: &&Identity| i.names.iter().any(|name| name == asked);
            let wildcard = |i: &&Identity| i.names.iter().any(|name| covers(name, asked));
            identities
                .iter()
                .filter(usable)
                .find(exact)
                .or_else(|| identities.iter().filter(usable).find(wildcard))
        });
        by_name
            .or_else(|| identities.iter().find(usable))
            .map(|identity| identity.key.clone())
    }
}

/// Whether a wildcard name stands for `asked`: exactly one label in place of the asterisk.
fn covers(name: &str, asked: &str) -> bool {
    match (name.strip_prefix("*."), asked.split_once('.')) {
        (Some(parent), Some((label, rest))) => !label.is_empty() && parent == rest,
        _ => false,
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm,
    };

    use super::*;

    const ECDSA: SignatureScheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    const ED25519: SignatureScheme = SignatureScheme::ED25519;

    fn identity(origin: &str, algorithm: &'static SignatureAlgorithm) -> Identity {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let chain = CertificateParams::new(vec![origin.to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        Identity::from_pem(
            origin,
            chain.pem().as_bytes(),
            key.serialize_pem().as_bytes(),
            1_780_000_000_000,
        )
        .unwrap()
    }

    fn shown(
        resolver: &CertResolver,
        asked: Option<&str>,
        scheme: SignatureScheme,
    ) -> Option<String> {
        let key = resolver.choose(asked, &[scheme])?;
        let identities = resolver.identities();
        identities
            .iter()
            .find(|i| Arc::ptr_eq(&i.key, &key))
            .map(|i| i.origin().to_owned())
    }

    #[test]
    fn names_choose_exact_before_wildcard_before_the_first() {
        let others = vec![
            identity("*.example.jp", &PKCS_ECDSA_P256_SHA256),
            identity("smtp.example.jp", &PKCS_ECDSA_P256_SHA256),
        ];
        let resolver = CertResolver::new(identity("first.test", &PKCS_ECDSA_P256_SHA256), others);
        let table = [
            (None, "first.test"),
            (Some("unknown.test"), "first.test"),
            (Some("smtp.example.jp"), "smtp.example.jp"),
            (Some("SMTP.Example.JP"), "smtp.example.jp"),
            (Some("imap.example.jp"), "*.example.jp"),
            (Some("a.b.example.jp"), "first.test"),
            (Some("example.jp"), "first.test"),
        ];
        for (asked, expected) in table {
            assert_eq!(
                shown(&resolver, asked, ECDSA).as_deref(),
                Some(expected),
                "{asked:?}"
            );
        }
    }

    #[test]
    fn clients_bind_to_the_certificate_that_they_were_surely_shown() {
        let first = identity("first.test", &PKCS_ECDSA_P256_SHA256);
        let resolver = CertResolver::new(first.clone(), Vec::new());
        let end_point = |asked| CertResolver::end_point(&resolver.identities(), asked);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &first.key.cert[0]);
        for asked in [None, Some("unknown.test"), Some("first.test")] {
            assert_eq!(end_point(asked).as_deref(), Some(digest.as_ref()));
        }
        let other = identity("other.test", &PKCS_ECDSA_P256_SHA256);
        let again = identity("other.test", &PKCS_ED25519);
        resolver.replace(first, vec![other, again]);
        assert_eq!(
            end_point(Some("FIRST.test")).as_deref(),
            Some(digest.as_ref())
        );
        assert_eq!(
            end_point(None),
            None,
            "the first, or one that the client could check"
        );
        assert_eq!(end_point(Some("other.test")), None, "one of two");
    }

    #[test]
    fn a_client_is_shown_a_key_it_can_check() {
        let first = identity("ed.test", &PKCS_ED25519);
        let resolver = CertResolver::new(first, vec![identity("ec.test", &PKCS_ECDSA_P256_SHA256)]);
        assert_eq!(
            shown(&resolver, Some("ed.test"), ECDSA).as_deref(),
            Some("ec.test")
        );
        assert_eq!(
            shown(&resolver, Some("ed.test"), ED25519).as_deref(),
            Some("ed.test")
        );
        assert_eq!(
            shown(&resolver, None, SignatureScheme::RSA_PSS_SHA256),
            None
        );
    }

    #[test]
    fn what_is_replaced_is_shown_next() {
        let resolver = CertResolver::new(identity("old.test", &PKCS_ECDSA_P256_SHA256), Vec::new());
        resolver.replace(identity("new.test", &PKCS_ECDSA_P256_SHA256), Vec::new());
        assert_eq!(
            shown(&resolver, Some("old.test"), ECDSA).as_deref(),
            Some("new.test")
        );
    }
}
