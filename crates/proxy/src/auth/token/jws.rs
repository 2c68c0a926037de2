//! Signed tokens in their compact form: three parts in base64url without padding, and dots between them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;

use super::TokenFault;
use super::json::{self, Map, Value};

/// Octets of a token. An AUTH line has room for 9 KiB of them; those of identity providers have 1 to 4 KiB.
pub(in crate::auth) const MOST: usize = 8 * 1024;

/// The algorithms that are allowed (RFC 7518 section 3.1, RFC 8037). There is none without a signature, and none with a
/// shared secret: a public key is known to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            // RFC 9864 gives the curve its own name.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

/// A token whose signature is not verified yet.
#[derive(Debug)]
pub(in crate::auth) struct Jws {
    pub(in crate::auth) algorithm: Algorithm,
    /// Which of the issuer's keys it is signed with.
    pub(in crate::auth) key: Option<String>,
    claims: Map<String, Value>,
    /// The first two parts and the dot between them.
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Whether a token has the shape of a signed one. Others may be anything that an issuer knows again.
pub(in crate::auth) fn looks_signed(token: &[u8]) -> bool {
    token.iter().filter(|octet| **octet == b'.').count() == 2 && token.starts_with(b"ey")
}

impl Jws {
    pub(in crate::auth) fn parse(token: &[u8]) -> Result<Self, TokenFault> {
        if token.len() > MOST {
            return Err(TokenFault::TooLong);
        }
        let mut parts = token.split(|octet| *octet == b'.');
        // An encrypted token has five parts.
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenFault::Malformed);
        };
        let decode = |part| BASE64URL.decode(part).map_err(|_| TokenFault::Malformed);
        let object = |part| json::object(&decode(part)?).ok_or(TokenFault::Malformed);
        let (algorithm, key) = read_header(&object(header)?)?;
        Ok(Self {
            algorithm,
            key,
            claims: object(payload)?,
            signed: token[..header.len() + 1 + payload.len()].to_vec(),
            signature: decode(signature)?,
        })
    }

    /// Whom it claims to be issued by, which decides whom it is verified by.
    pub(in crate::auth) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    pub(super) fn signed(&self) -> &[u8] {
        &self.signed
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What it claims. Only for those that have verified the signature.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Keys that a header brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), TokenFault> {
    if ["crit", "b64", "enc", "zip"]
        .iter()
        .any(|name| header.contains_key(*name))
    {
        return Err(TokenFault::Unsupported);
    }
    let text = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(TokenFault::Malformed),
    };
    if let Some(kind) = text("typ")? {
        let kind = kind.to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        if !["jwt", "at+jwt"].contains(&kind) {
            return Err(TokenFault::Type);
        }
    }
    let algorithm = text("alg")?.and_then(Algorithm::from_name);
    let algorithm = algorithm.ok_or(TokenFault::Algorithm)?;
    Ok((algorithm, text("kid")?.map(str::to_owned)))
}
