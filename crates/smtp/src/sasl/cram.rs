//! The client's answer of CRAM-MD5 (RFC 2195), of which only the name is read: whoever made the challenge checks the rest.

use super::Secret;
use super::identity::prepared;
use crate::Error;

/// A name, and the digest that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CramResponse {
    /// Whose password the digest was made with.
    pub authentication: String,
}

impl CramResponse {
    /// Reads `name SP digest`: 32 hexadecimal digits in lower case.
    ///
    /// # Errors
    /// [`Error::SaslResponse`].
    pub fn parse(response: &Secret) -> Result<Self, Error> {
        let octets = response.expose();
        let space = memchr::memrchr(b' ', octets).ok_or(Error::SaslResponse)?;
        let digest = &octets[space + 1..];
        let spelled = digest.len() == 32
            && digest
                .iter()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !spelled {
            return Err(Error::SaslResponse);
        }
        Ok(Self {
            authentication: prepared(&octets[..space])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_of_the_rfc() {
        let read = |text: &str| CramResponse::parse(&text.into()).map(|read| read.authentication);
        assert_eq!(
            read("tim b913a602c7eda7a495b4e6e7334d3890").as_deref(),
            Ok("tim")
        );
        assert_eq!(
            read("tim tam b913a602c7eda7a495b4e6e7334d3890").as_deref(),
            Ok("tim tam")
        );
        for text in [
            "",
            "tim",
            " b913a602c7eda7a495b4e6e7334d3890",
            "tim B913A602C7EDA7A495B4E6E7334D3890",
            "tim b913a602c7eda7a495b4e6e7334d389",
            "tim b913a602c7eda7a495b4e6e7334d3890 ",
            "ti\0m b913a602c7eda7a495b4e6e7334d3890",
        ] {
            assert_eq!(read(text), Err(Error::SaslResponse), "{text:?}");
        }
    }
}
