//! AUTH (RFC 4954 section 4).

use super::syntax;
use crate::Error;
use crate::line::MAX_AUTH;
use crate::reply::Refusal;
use crate::sasl::{self, Secret};

/// `AUTH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthCommand {
    /// The mechanism in upper case, 1 to 20 letters, digits, `-` and `_` (RFC 4422 3.1).
    pub mechanism: String,
    /// The decoded initial response; `=` gives an empty one.
    pub initial: Option<Secret>,
}

impl AuthCommand {
    pub(super) fn parse(argument: &str) -> Result<Self, Refusal> {
        let mut words = argument.split(' ').filter(|word| !word.is_empty());
        let mechanism = words
            .next()
            .ok_or_else(|| syntax("A mechanism is needed"))?;
        let spelled = mechanism
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if mechanism.len() > 20 || !spelled {
            return Err(syntax("Malformed mechanism name"));
        }
        let initial = match words.next() {
            None => None,
            Some("=") => Some(Secret::default()),
            Some(word) => Some(sasl::decode_base64(word.as_bytes()).map_err(sasl::refusal)?),
        };
        if words.next().is_some() {
            return Err(syntax("AUTH takes a mechanism and one response"));
        }
        Ok(Self {
            mechanism: mechanism.to_ascii_uppercase(),
            initial,
        })
    }

    pub(super) fn write_to(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let encoded = self
            .initial
            .as_ref()
            .map(|initial| sasl::encode_base64(initial.expose()));
        let response = encoded.as_ref().map(|secret| {
            if secret.is_empty() {
                b"="
            } else {
                secret.expose()
            }
        });
        let length = "AUTH ".len() + self.mechanism.len() + response.map_or(0, |r| 1 + r.len()) + 2;
        if length > MAX_AUTH {
            return Err(Error::LineTooLong);
        }
        out.extend_from_slice(b"AUTH ");
        out.extend_from_slice(self.mechanism.as_bytes());
        if let Some(response) = response {
            out.push(b' ');
            out.extend_from_slice(response);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}
