//! What tokens are made of, without anything that is asked over a network: JSON in which nothing is said twice, signed tokens
//! (JWS, RFC 7515), sets of keys (RFC 7517), and what claims must say (RFC 7519, RFC 9068). A fuzz target reads it alone.
//!
//! Signatures are verified by aws-lc-rs, the provider that TLS has as well: of the libraries for tokens, those that would serve
//! read the machine's clock, install a provider for the process, and verify HMAC where a public key was meant.

pub(super) mod claims;
pub(super) mod json;
pub(super) mod jws;
pub(super) mod keys;

#[cfg(test)]
pub(super) mod minted;
#[cfg(test)]
mod tests;

/// What is wrong with a token. Operators see it, clients never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("it is longer than {most} octets", most = jws::MOST)]
    TooLong,
    #[error("it is no signed token")]
    Malformed,
    #[error("it is encrypted, compressed or has critical extensions")]
    Unsupported,
    #[error("its type is not that of an access or identity token")]
    Type,
    #[error("it is signed with an algorithm that is not allowed")]
    Algorithm,
    #[error("it is signed with a key that its issuer does not have")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired, or does not say when it does")]
    Expired,
    #[error("it is not valid yet")]
    TooEarly,
    #[error("it lacks a required scope")]
    Scope,
    #[error("it is bound to a key of its holder, which a mail client cannot prove")]
    Bound,
    #[error("it is no token for access")]
    Purpose,
    #[error("it names no account")]
    Account,
    #[error("its address of mail is not verified")]
    Unverified,
    #[error("its namespace is not let in")]
    Namespace,
}
