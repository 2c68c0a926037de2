//! Keys and tokens for tests.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

/// Now, in seconds since 1970.
pub(in crate::auth) const NOW: u64 = 1_800_000_000;

/// A key that signs.
pub(in crate::auth) enum Minter {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Minter {
    pub(in crate::auth) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(in crate::auth) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(in crate::auth) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// The public key, as a set has it.
    pub(in crate::auth) fn public(&self, id: &str) -> Value {
        let encode = |octets: &[u8]| BASE64URL.encode(octets);
        match self {
            Self::Rsa(pair) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let (n, e) = (
                    n.big_endian_without_leading_zero(),
                    e.big_endian_without_leading_zero(),
                );
                json!({ "kty": "RSA", "kid": id, "use": "sig", "n": encode(n), "e": encode(e) })
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "alg": "ES256", "x": x, "y": y })
            }
            Self::Ed25519(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "key_ops": ["verify"], "x": x })
            }
        }
    }

    pub(in crate::auth) fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    /// A token with this header and these claims.
    pub(in crate::auth) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same of texts that need not be JSON.
    pub(in crate::auth) fn sign_text(&self, header: &str, claims: &str) -> String {
        let encode = |octets: &[u8]| BASE64URL.encode(octets);
        let signed = format!(
            "{}.{}",
            encode(header.as_bytes()),
            encode(claims.as_bytes())
        );
        let random = SystemRandom::new();
        let signature = match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if header.contains("PS256") {
                        &RSA_PSS_SHA256
                    } else {
                        &RSA_PKCS1_SHA256
                    };
                pair.sign(padding, &random, signed.as_bytes(), &mut signature)
                    .unwrap();
                signature
            }
            Self::P256(pair) => pair
                .sign(&random, signed.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ed25519(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(&signature))
    }

    /// A token of this key, whose name is `id`.
    pub(in crate::auth) fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm(), "kid": id, "typ": "at+jwt" });
        self.sign(&header, claims)
    }
}

/// A set of keys.
pub(in crate::auth) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Claims of a good token, with those of `changes` in place of its own; null takes one away.
pub(in crate::auth) fn claims(issuer: &str, changes: Value) -> Value {
    let mut claims = json!({
        "iss": issuer,
        "aud": "sekisho",
        "sub": "8f14e45f",
        "email": "Tanaka@example.jp",
        "email_verified": true,
        "iat": NOW - 10,
        "exp": NOW + Duration::from_secs(300).as_secs(),
        "scope": "openid smtp",
    });
    let Value::Object(changes) = changes else {
        return claims;
    };
    for (name, value) in changes {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(&name)),
            value => claims[name] = value,
        }
    }
    claims
}
