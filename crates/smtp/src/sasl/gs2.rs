//! The GS2 header (RFC 5801 section 4), which SCRAM and OAUTHBEARER begin with.

use super::identity::sasl_name;
use crate::Error;

/// What the client says of channel binding, and whom it wants to act as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gs2Header {
    /// What it says of channel binding.
    pub binding: Binding,
    /// Whom it wants to act as, if it named somebody.
    pub authorization: Option<String>,
}

/// What a client says of channel binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// `n`: it cannot.
    Unsupported,
    /// `y`: it can, and believes that the server cannot.
    NotOffered,
    /// `p=`: it does, with a channel binding of this name.
    Used(String),
}

impl Gs2Header {
    /// Reads the header at the front of a message. Also returns what follows it.
    ///
    /// # Errors
    /// [`Error::SaslResponse`].
    pub(super) fn parse(message: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (binding, rest) = until_comma(message)?;
        let (authorization, rest) = until_comma(rest)?;
        let binding = match binding {
            b"n" => Binding::Unsupported,
            b"y" => Binding::NotOffered,
            _ => Binding::Used(binding_name(binding)?),
        };
        let authorization = match authorization {
            b"" => None,
            named => {
                let name = named.strip_prefix(b"a=").ok_or(Error::SaslResponse)?;
                Some(sasl_name(name)?)
            }
        };
        Ok((
            Self {
                binding,
                authorization,
            },
            rest,
        ))
    }
}

fn until_comma(message: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let comma = memchr::memchr(b',', message).ok_or(Error::SaslResponse)?;
    Ok((&message[..comma], &message[comma + 1..]))
}

/// `p=` and 1 to 64 letters, digits, dots and hyphens (RFC 5801 section 4; none of the registered names is longer).
fn binding_name(octets: &[u8]) -> Result<String, Error> {
    let name = octets.strip_prefix(b"p=").ok_or(Error::SaslResponse)?;
    let spelled = name
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
    if (1..=64).contains(&name.len()) && spelled {
        Ok(String::from_utf8_lossy(name).into_owned())
    } else {
        Err(Error::SaslResponse)
    }
}
