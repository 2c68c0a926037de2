//! Names of accounts as mechanisms carry them.

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::Error;
use crate::mime::is_format;

/// Octets of an identity (RFC 4616 section 2).
const MAX: usize = 255;

/// An identity: UTF-8, not blank, at most 255 octets, without what is not seen. Letters of another width and other spellings of
/// one text become one (NFKC, as SASLprep asks, RFC 4013): directories take them for the same name, so whoever has its password
/// could log in as many accounts, each with limits of its own.
pub(super) fn identity(octets: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(octets).map_err(|_| Error::SaslResponse)?;
    let text = if text.is_ascii() || text.len() > MAX {
        text.into()
    } else {
        ComposingNormalizerBorrowed::new_nfkc().normalize(text)
    };
    let visible = !text.chars().any(|c| c.is_control() || is_format(c));
    if visible && text.len() <= MAX && !text.trim().is_empty() {
        Ok(text.into_owned())
    } else {
        Err(Error::SaslResponse)
    }
}

/// An identity that is in that form already, as SCRAM wants of clients (RFC 5802 section 5.1). In an exchange that is relayed octet for
/// octet, whoever verifies it must not see another name than we do.
pub(super) fn prepared(octets: &[u8]) -> Result<String, Error> {
    identity(octets).and_then(|name| {
        if name.as_bytes() == octets {
            Ok(name)
        } else {
            Err(Error::SaslResponse)
        }
    })
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
    prepared(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_has_one_name() {
        for (spelled, name) in [
            ("taro", "taro"),
            ("\u{ff54}\u{ff41}\u{ff52}\u{ff4f}", "taro"),
            ("taro\u{ff20}example.jp", "taro@example.jp"),
            ("ta\u{2170}o", "taio"),
            ("\u{212a}en", "Ken"),
            ("\u{fb01}nn", "finn"),
            ("ﾀﾛｳ", "タロウ"),
            ("jose\u{301}", "josé"),
            ("taro\u{3000}yamada", "taro yamada"),
            ("太郎", "太郎"),
        ] {
            assert_eq!(identity(spelled.as_bytes()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_name_that_others_verify_is_the_name_that_we_read() {
        for spelled in [
            "\u{ff54}aro",
            "jose\u{301}",
            "\u{212a}en",
            "ta\u{200b}ro",
            " ",
        ] {
            assert_eq!(
                prepared(spelled.as_bytes()),
                Err(Error::SaslResponse),
                "{spelled:?}"
            );
        }
        assert_eq!(prepared("josé".as_bytes()).as_deref(), Ok("josé"));
        assert_eq!(
            sasl_name("\u{ff54}aro".as_bytes()),
            Err(Error::SaslResponse)
        );
    }

    #[test]
    fn what_is_not_seen_is_in_no_name() {
        for spelled in [
            "",
            " ",
            "\u{3000}",
            "taro\0",
            "taro\r\nMAIL FROM:<x@y>",
            "ta\u{200b}ro",
            "taro\u{feff}",
            "\u{202e}orat",
            "taro\u{ad}",
            "taro\u{e0041}",
            "taro\u{85}",
        ] {
            assert_eq!(
                identity(spelled.as_bytes()),
                Err(Error::SaslResponse),
                "{spelled:?}"
            );
        }
        // A letter that becomes eighteen.
        let long = "\u{fdfa}".repeat(80);
        assert_eq!(identity(long.as_bytes()), Err(Error::SaslResponse));
        assert_eq!(identity(b"t\xffro"), Err(Error::SaslResponse));
        assert_eq!(identity(&[b'x'; 256]), Err(Error::SaslResponse));
    }
}
