//! What the client says in SCRAM (RFC 5802 section 7). What it proves is checked by whoever has the verifier.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Secret;
use super::gs2::Gs2Header;
use super::identity::sasl_name;
use crate::Error;

/// Octets of a nonce; clients use 16 to 32.
const MAX_NONCE: usize = 256;

/// The client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// What it says of channel binding, and whom it wants to act as.
    pub header: Gs2Header,
    /// The header as it came: it is part of what the client proves.
    pub header_octets: Vec<u8>,
    /// Whose password it is.
    pub authentication: String,
    /// The client's part of the nonce.
    pub nonce: String,
    /// The message without the header: it is part of what the client proves.
    pub bare: Vec<u8>,
}

/// The client's last message. `Debug` does not show the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFinal {
    /// The header and the data of the channel.
    pub binding: Vec<u8>,
    /// Both parts of the nonce.
    pub nonce: String,
    /// The message up to the proof: it is part of what the client proves.
    pub without_proof: Vec<u8>,
    /// The proof.
    pub proof: Secret,
}

impl ClientFirst {
    /// Reads the message. An extension that the client calls mandatory (`m=`) is not known here, as none is known anywhere.
    ///
    /// # Errors
    /// [`Error::SaslResponse`].
    pub fn parse(message: &Secret) -> Result<Self, Error> {
        let octets = message.expose();
        let (header, bare) = Gs2Header::parse(octets)?;
        let mut attributes = bare.split(|octet| *octet == b',');
        let name = value(attributes.next(), b"n=")?;
        let nonce = nonce(value(attributes.next(), b"r=")?)?;
        if !attributes.all(is_extension) {
            return Err(Error::SaslResponse);
        }
        Ok(Self {
            header,
            header_octets: octets[..octets.len() - bare.len()].to_vec(),
            authentication: sasl_name(name)?,
            nonce,
            bare: bare.to_vec(),
        })
    }
}

impl ClientFinal {
    /// Reads the message.
    ///
    /// # Errors
    /// [`Error::SaslResponse`].
    pub fn parse(message: &Secret) -> Result<Self, Error> {
        let octets = message.expose();
        let comma = memchr::memrchr(b',', octets).ok_or(Error::SaslResponse)?;
        let (without_proof, last) = (&octets[..comma], &octets[comma + 1..]);
        let mut attributes = without_proof.split(|octet| *octet == b',');
        let binding = base64(value(attributes.next(), b"c=")?)?;
        let nonce = nonce(value(attributes.next(), b"r=")?)?;
        if !attributes.all(is_extension) {
            return Err(Error::SaslResponse);
        }
        Ok(Self {
            binding,
            nonce,
            without_proof: without_proof.to_vec(),
            proof: Secret::new(base64(value(Some(last), b"p=")?)?),
        })
    }
}

fn value<'a>(attribute: Option<&'a [u8]>, name: &[u8]) -> Result<&'a [u8], Error> {
    attribute
        .and_then(|attribute| attribute.strip_prefix(name))
        .ok_or(Error::SaslResponse)
}

/// An attribute that may be there and need not be understood: a letter, an equals sign and a value.
fn is_extension(attribute: &[u8]) -> bool {
    matches!(attribute, [letter, b'=', value @ ..]
        if letter.is_ascii_alphabetic() && !value.is_empty() && !value.contains(&0))
}

/// Printable ASCII without commas.
fn nonce(octets: &[u8]) -> Result<String, Error> {
    let printable = octets.iter().all(u8::is_ascii_graphic);
    if printable && (1..=MAX_NONCE).contains(&octets.len()) {
        Ok(String::from_utf8_lossy(octets).into_owned())
    } else {
        Err(Error::SaslResponse)
    }
}

fn base64(octets: &[u8]) -> Result<Vec<u8>, Error> {
    STANDARD.decode(octets).map_err(|_| Error::SaslResponse)
}

#[cfg(test)]
mod tests {
    use super::super::gs2::Binding;
    use super::*;

    #[test]
    fn the_messages_of_the_rfc() {
        let first = ClientFirst::parse(&"n,,n=user,r=rOprNGfwEbeRWgbNEkqO".into()).unwrap();
        assert_eq!(first.header.binding, Binding::Unsupported);
        assert_eq!(
            (first.authentication.as_str(), first.nonce.as_str()),
            ("user", "rOprNGfwEbeRWgbNEkqO")
        );
        assert_eq!(first.header_octets, b"n,,");
        assert_eq!(first.bare, b"n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let last = ClientFinal::parse(&last.into()).unwrap();
        assert_eq!(last.binding, b"n,,");
        assert_eq!(
            last.nonce,
            "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        );
        assert_eq!(last.proof.expose().len(), 32);
        assert!(last.without_proof.ends_with(b"NlF$k0"));
    }

    #[test]
    fn channel_bindings_and_names() {
        let first = ClientFirst::parse(&"p=tls-exporter,a=b=2Cc,n=a=3Db,r=x,e=1".into()).unwrap();
        assert_eq!(first.header.binding, Binding::Used("tls-exporter".into()));
        assert_eq!(first.header.authorization.as_deref(), Some("b,c"));
        assert_eq!(first.authentication, "a=b");
        assert_eq!(first.header_octets, b"p=tls-exporter,a=b=2Cc,");
    }

    #[test]
    fn what_is_not_the_grammar_is_refused() {
        for text in [
            "",
            "n,,",
            "n,,n=user",
            "n,,n=,r=x",
            "n,,n=user,r=",
            "n,n=user,r=x",
            "n,,m=x,n=user,r=x",
            "n,,r=x,n=user",
            "n,,n=us=er,r=x",
            "n,,n=user,r=x y",
            "n,,n=user,r=x,",
            "n,,n=user,r=x,1=2",
            "z,,n=user,r=x",
            "p=,,n=user,r=x",
            "p=a b,,n=user,r=x",
            "y=,,n=user,r=x",
        ] {
            assert_eq!(
                ClientFirst::parse(&text.into()),
                Err(Error::SaslResponse),
                "{text:?}"
            );
        }
        for text in [
            "",
            "c=biws",
            "c=biws,r=x",
            "c=biws,r=x,p=",
            "c=!,r=x,p=AA==",
            "r=x,c=biws,p=AA==",
            "c=biws,r=x,p=AA==,e=1",
            "c=biws,r=x,p=A",
        ] {
            let read = ClientFinal::parse(&text.into());
            assert!(read.is_err() || text.ends_with("p="), "{text:?}");
        }
    }
}
