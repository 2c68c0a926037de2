//! SASL as SMTP carries it (RFC 4954): PLAIN (RFC 4616) and LOGIN, as a server and as a client; what the tokens of XOAUTH2 and
//! OAUTHBEARER (RFC 7628) come in; the messages of SCRAM (RFC 5802) and CRAM-MD5 (RFC 2195).

mod client;
mod cram;
mod gs2;
mod identity;
mod scram;
mod secret;
mod server;
mod token;

pub use client::{ClientExchange, ClientStep, plain_message};
pub use cram::CramResponse;
pub use gs2::{Binding, Gs2Header};
pub use scram::{ClientFinal, ClientFirst};
pub use secret::Secret;
pub use server::{ServerExchange, ServerStep};
pub use token::{BearerToken, TokenMechanism};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::line::MAX_AUTH;
use crate::reply::Refusal;

/// The mechanisms that carry a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login): not standard, and needed by many clients.
    Login,
}

impl Mechanism {
    /// The mechanism of that name, in any case of letters.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::Login]
            .into_iter()
            .find(|m| m.name().eq_ignore_ascii_case(name))
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// What a client authenticates with. `Debug` shows the identities and never the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Whom the client wants to act as, if it named somebody. Whether it may is not decided here.
    pub authorization: Option<String>,
    /// Whose password it is.
    pub authentication: String,
    /// The password.
    pub password: Secret,
}

/// Decodes a line of base64, strictly: canonical padding, no stray bits, no white space.
///
/// # Errors
/// [`Error::Base64`].
pub fn decode_base64(line: &[u8]) -> Result<Secret, Error> {
    // Room for every octet beforehand, so that no copy is left behind by growing.
    let mut octets = Vec::with_capacity(line.len() / 4 * 3 + 3);
    match STANDARD.decode_vec(line, &mut octets) {
        Ok(()) => Ok(Secret::new(octets)),
        Err(_) => {
            drop(Secret::new(octets));
            Err(Error::Base64)
        }
    }
}

/// Reads a client's answer to a 334: a line without its CRLF.
///
/// # Errors
/// [`Error::SaslCancelled`], [`Error::LineTooLong`], [`Error::Base64`].
pub fn read_response(line: &[u8]) -> Result<Secret, Error> {
    if line == b"*" {
        return Err(Error::SaslCancelled);
    }
    if line.len() + 2 > MAX_AUTH {
        return Err(Error::LineTooLong);
    }
    decode_base64(line)
}

/// Encodes a line of base64.
pub fn encode_base64(octets: &[u8]) -> Secret {
    Secret::new(STANDARD.encode(octets).into_bytes())
}

/// The reply to a fault of an exchange.
pub fn refusal(error: Error) -> Refusal {
    match error {
        Error::SaslCancelled => Refusal::new(501, (5, 7, 0), "Authentication cancelled"),
        Error::LineTooLong => {
            Refusal::new(500, (5, 5, 6), "Authentication exchange line is too long")
        }
        Error::Base64 => Refusal::new(501, (5, 5, 2), "Invalid base64"),
        _ => Refusal::new(501, (5, 5, 2), "Malformed authentication response"),
    }
}

#[cfg(test)]
mod tests;
