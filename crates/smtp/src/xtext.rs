//! xtext (RFC 3461 section 4): printable ASCII, with `+XX` for everything else.

use crate::Error;

/// Encodes octets: all but `!` to `~` without `+` and `=` become `+XX`.
pub fn encode(octets: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        if is_plain(octet) {
            text.push(char::from(octet));
        } else {
            text.push('+');
            text.push(char::from(HEX[usize::from(octet >> 4)]));
            text.push(char::from(HEX[usize::from(octet & 15)]));
        }
    }
    text
}

/// Decodes xtext. Hexadecimal digits must be upper case, as the RFC has them.
///
/// # Errors
/// [`Error::Xtext`].
pub fn decode(text: &str) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => {
                let high = bytes.next().and_then(hex_digit).ok_or(Error::Xtext)?;
                let low = bytes.next().and_then(hex_digit).ok_or(Error::Xtext)?;
                octets.push(high << 4 | low);
            }
            _ if is_plain(byte) => octets.push(byte),
            _ => return Err(Error::Xtext),
        }
    }
    Ok(octets)
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_graphic() && octet != b'+' && octet != b'='
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
