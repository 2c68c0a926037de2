//! Sets of public keys, and signatures by them.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::TokenFault;
use super::json::{self, Map, Value};
use super::jws::{Algorithm, Jws};

/// Octets of a set.
pub(in crate::auth) const MOST: usize = 256 * 1024;
/// Keys of a set that are looked at.
const MOST_KEYS: usize = 64;
/// Keys that one signature is tried with: an issuer may give several the same name.
const MOST_TRIED: usize = 4;
/// Octets of an RSA modulus: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why a set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::auth) enum KeysFault {
    #[error("it is no set of keys")]
    Malformed,
    #[error("it has more than {MOST_KEYS} keys")]
    TooMany,
    #[error("it has no key that signs tokens with an algorithm that is allowed")]
    None,
}

/// The keys of an issuer that verify signatures.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::auth) struct Keys(Vec<Key>);

#[derive(Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Keys {
    /// Reads a set. Keys for something else, of another kind or malformed are passed over: one of them must not keep the
    /// others from being used.
    pub(in crate::auth) fn parse(document: &[u8]) -> Result<Self, KeysFault> {
        if document.len() > MOST {
            return Err(KeysFault::Malformed);
        }
        let document = json::object(document).ok_or(KeysFault::Malformed)?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(KeysFault::Malformed);
        };
        if keys.len() > MOST_KEYS {
            return Err(KeysFault::TooMany);
        }
        let keys: Vec<Key> = keys
            .iter()
            .filter_map(|key| Key::read(key.as_object()?))
            .collect();
        if keys.is_empty() {
            Err(KeysFault::None)
        } else {
            Ok(Self(keys))
        }
    }

    /// Verifies the signature of a token. A token that does not say which key it is signed with is verified where there is no
    /// choice.
    pub(in crate::auth) fn verify(&self, token: &Jws) -> Result<(), TokenFault> {
        let fits = |key: &&Key| key.fits(token.algorithm);
        let named = |key: &&Key| token.key.is_none() || key.id == token.key;
        let candidates: Vec<&Key> = self.0.iter().filter(named).filter(fits).collect();
        if candidates.is_empty() || (token.key.is_none() && candidates.len() > 1) {
            return Err(TokenFault::UnknownKey);
        }
        let mut tried = candidates.into_iter().take(MOST_TRIED);
        if tried.any(|key| key.verifies(token)) {
            Ok(())
        } else {
            Err(TokenFault::Signature)
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Key {
    fn read(key: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| key.get(name).and_then(Value::as_str);
        let octets = |name: &str| BASE64URL.decode(text(name)?).ok();
        if key.get("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let verifies = |operations: &Value| {
            let operations = operations.as_array();
            operations.is_some_and(|all| all.iter().any(|one| one == "verify"))
        };
        if key
            .get("key_ops")
            .is_some_and(|operations| !verifies(operations))
        {
            return None;
        }
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                // Some write the sign octet that DER has.
                let modulus = octets("n")?;
                let leading = modulus.iter().take_while(|octet| **octet == 0).count();
                let modulus = modulus[leading..].to_vec();
                let exponent = octets("e")?;
                let fits = MODULUS.contains(&modulus.len()) && (1..=5).contains(&exponent.len());
                fits.then_some(Material::Rsa { modulus, exponent })?
            }
            ("EC", Some("P-256")) => Material::P256(point(&octets("x")?, &octets("y")?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&octets("x")?, &octets("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = octets("x")?;
                (x.len() == 32).then_some(Material::Ed25519(x))?
            }
            _ => return None,
        };
        let id = match key.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let algorithm = match key.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::from_name(name.as_str()?)?),
        };
        let key = Self {
            id,
            algorithm,
            material,
        };
        key.algorithm.is_none_or(|own| key.fits(own)).then_some(key)
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let of_kind = matches!(
            (&self.material, algorithm),
            (
                Material::Rsa { .. },
                Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512
            ) | (Material::P256(_), Es256)
                | (Material::P384(_), Es384)
                | (Material::Ed25519(_), EdDsa)
        );
        of_kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn verifies(&self, token: &Jws) -> bool {
        let (signed, signature) = (token.signed(), token.signature());
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            let key = UnparsedPublicKey::new(algorithm, key);
            key.verify(signed, signature).is_ok()
        };
        match &self.material {
            Material::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                let parameters = rsa(token.algorithm);
                parameters.is_some_and(|with| key.verify(with, signed, signature).is_ok())
            }
            Material::P256(point) => by(&ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => by(&ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => by(&ED25519, key),
        }
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// An uncompressed point (SEC 1 section 2.3.3). That it is on the curve is seen when it is used.
fn point(x: &[u8], y: &[u8], octets: usize) -> Option<Vec<u8>> {
    (x.len() == octets && y.len() == octets).then(|| [&[4], x, y].concat())
}
