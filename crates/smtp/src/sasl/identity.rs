//! Names of accounts as mechanisms carry them.

use crate::Error;

/// An identity: UTF-8, not empty, at most 255 octets (RFC 4616 section 2), without control characters.
pub(super) fn identity(octets: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(octets).map_err(|_| Error::SaslResponse)?;
    let valid = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
    if valid {
        Ok(text.to_owned())
    } else {
        Err(Error::SaslResponse)
    }
}

/// An identity in which `=2C` stands for a comma and `=3D` for an equals sign: `saslname` of RFC 5801 section 4. Any other
/// comma or equals sign is a fault.
pub(super) fn sasl_name(octets: &[u8]) -> Result<String, Error> {
    let mut plain = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((&octet, after)) = rest.split_first() {
        rest = match octet {
            b',' => return Err(Error::SaslResponse),
            b'=' => match after.split_at_checked(2) {
                Some((b"2C", after)) => {
                    plain.push(b',');
                    after
                }
                Some((b"3D", after)) => {
                    plain.push(b'=');
                    after
                }
                _ => return Err(Error::SaslResponse),
            },
            _ => {
                plain.push(octet);
                after
            }
        };
    }
    identity(&plain)
}
