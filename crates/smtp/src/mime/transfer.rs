//! Content-Transfer-Encoding undone as octets pass (RFC 2045 6), with what readers tolerate.

use super::steps;

/// How a part's octets are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are: `7bit`, `8bit`, `binary`, and what nobody knows.
    Identity,
    QuotedPrintable,
    Base64,
    /// `x-uuencode`: a `begin` line names a file, whatever the type.
    Uuencode,
}

impl Encoding {
    /// Reads an unfolded value; quotes, comments and what follows the first word are passed over.
    pub(super) fn named(value: &[u8]) -> Self {
        let mut rest = value.trim_ascii();
        while rest.starts_with(b"(") {
            let end = memchr::memchr(b')', rest).map_or(rest.len(), |at| at + 1);
            rest = rest[end..].trim_ascii_start();
        }
        let word = rest
            .split(|b| matches!(b, b';' | b'(' | b',') || b.is_ascii_whitespace())
            .next()
            .unwrap_or_default();
        let word: Vec<u8> = word.iter().copied().filter(|b| *b != b'"').collect();
        match word.to_ascii_lowercase().as_slice() {
            b"base64" | b"base-64" | b"b64" => Self::Base64,
            b"quoted-printable" | b"quotedprintable" | b"qp" => Self::QuotedPrintable,
            b"x-uuencode" | b"x-uue" | b"uuencode" | b"uue" => Self::Uuencode,
            _ => Self::Identity,
        }
    }
}

/// Undoes one encoding, in chunks.
#[derive(Debug)]
pub(super) enum Decoder {
    Identity,
    QuotedPrintable(QuotedPrintable),
    Base64(Base64),
}

impl Decoder {
    pub(super) fn new(encoding: Encoding) -> Self {
        match encoding {
            // The lines of uuencoded files are looked at as they are.
            Encoding::Identity | Encoding::Uuencode => Self::Identity,
            Encoding::QuotedPrintable => Self::QuotedPrintable(QuotedPrintable::default()),
            Encoding::Base64 => Self::Base64(Base64::default()),
        }
    }

    /// What `octets` stand for. `space` is for the result and holds nothing of worth before or after.
    pub(super) fn decode<'a>(&mut self, octets: &'a [u8], space: &'a mut Vec<u8>) -> &'a [u8] {
        steps::add(octets.len());
        space.clear();
        match self {
            Self::Identity => return octets,
            Self::QuotedPrintable(decoder) => decoder.decode(octets, space),
            Self::Base64(decoder) => decoder.decode(octets, space),
        }
        space
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self, space: &mut Vec<u8>) {
        space.clear();
        match self {
            Self::Identity => {}
            Self::QuotedPrintable(decoder) => decoder.finish(space),
            Self::Base64(decoder) => decoder.finish(space),
        }
    }
}

/// RFC 2045 6.7. An `=` that begins no escape stands for itself; white space after one is padding.
#[derive(Debug, Default)]
pub(super) enum QuotedPrintable {
    #[default]
    Text,
    /// After `=`.
    Escape,
    /// After `=` and a first digit.
    Digit(u8),
    /// After `=` and white space.
    Padding,
}

impl QuotedPrintable {
    fn decode(&mut self, octets: &[u8], decoded: &mut Vec<u8>) {
        let mut rest = octets;
        while let Some((&octet, after)) = rest.split_first() {
            if matches!(self, Self::Text) {
                let end = memchr::memchr(b'=', rest).unwrap_or(rest.len());
                decoded.extend_from_slice(&rest[..end]);
                if end == rest.len() {
                    return;
                }
                *self = Self::Escape;
                rest = &rest[end + 1..];
            } else if self.take(octet, decoded) {
                rest = after;
            }
        }
    }

    /// Goes on within an escape. Answers whether the octet belonged to it.
    fn take(&mut self, octet: u8, decoded: &mut Vec<u8>) -> bool {
        let digit = char::from(octet).to_digit(16);
        match (&*self, octet) {
            (Self::Escape | Self::Padding, b'\n') => *self = Self::Text,
            (Self::Escape | Self::Padding, b' ' | b'\t' | b'\r') => *self = Self::Padding,
            (Self::Escape, _) if digit.is_some() => *self = Self::Digit(octet),
            (Self::Digit(high), _) if digit.is_some() => {
                let high = char::from(*high).to_digit(16).unwrap_or_default();
                let value = high << 4 | digit.unwrap_or_default();
                decoded.extend(u8::try_from(value));
                *self = Self::Text;
            }
            _ => {
                self.finish(decoded);
                return false;
            }
        }
        true
    }

    /// What began like an escape and was none.
    fn finish(&mut self, decoded: &mut Vec<u8>) {
        match self {
            Self::Text => {}
            Self::Escape => decoded.push(b'='),
            Self::Padding => decoded.extend_from_slice(b"= "),
            Self::Digit(high) => decoded.extend_from_slice(&[b'=', *high]),
        }
        *self = Self::Text;
    }
}

/// Marks an octet outside the alphabet in [`VALUES`].
const JUNK: u32 = 1 << 31;
/// The value of an octet at each place in a group of four, shifted to where it belongs.
static VALUES: [[u32; 256]; 4] = shifted_values();

const fn shifted_values() -> [[u32; 256]; 4] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [[JUNK; 256]; 4];
    let mut value = 0;
    while value < 64 {
        let octet = alphabet[value] as usize;
        let mut place = 0;
        while place < 4 {
            values[place][octet] = (value as u32) << (18 - 6 * place);
            place += 1;
        }
        value += 1;
    }
    values
}

/// RFC 2045 6.8. What is outside the alphabet is passed over; padding ends a group, and another may follow.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    /// The group so far, the first digit highest.
    bits: u32,
    /// Digits in it, fewer than four.
    digits: u32,
}

impl Base64 {
    fn decode(&mut self, octets: &[u8], decoded: &mut Vec<u8>) {
        // Room for all at once; a group that was begun may end here.
        decoded.resize(octets.len() / 4 * 3 + 6, 0);
        let mut length = 0;
        let mut rest = octets;
        while let Some((&octet, after)) = rest.split_first() {
            if self.digits == 0 {
                let groups = decode_groups(rest, &mut decoded[length..]);
                length += groups * 3;
                rest = &rest[groups * 4..];
                if groups > 0 {
                    continue;
                }
            }
            // Up to the next group: an end of line, as a rule.
            rest = after;
            length += self.take(octet, &mut decoded[length..]);
        }
        decoded.truncate(length);
    }

    /// Takes one octet and puts what it completes into `place`. Answers with how many octets that is.
    fn take(&mut self, octet: u8, place: &mut [u8]) -> usize {
        if octet == b'=' {
            return self.end_group(place);
        }
        let value = VALUES[3][usize::from(octet)];
        if value == JUNK {
            return 0;
        }
        self.bits = self.bits << 6 | value;
        self.digits += 1;
        if self.digits < 4 {
            return 0;
        }
        self.end_group(place)
    }

    /// Ends a group, full or not: two digits make an octet, three make two.
    fn end_group(&mut self, place: &mut [u8]) -> usize {
        let octets = (self.bits << (6 * (4 - self.digits))).to_be_bytes();
        let whole = (self.digits * 6 / 8) as usize;
        place[..whole].copy_from_slice(&octets[1..1 + whole]);
        *self = Self::default();
        whole
    }

    fn finish(&mut self, decoded: &mut Vec<u8>) {
        decoded.resize(3, 0);
        let length = self.end_group(decoded);
        decoded.truncate(length);
    }
}

/// Decodes whole groups up to the first octet outside the alphabet. Answers with how many groups they are.
fn decode_groups(octets: &[u8], decoded: &mut [u8]) -> usize {
    let mut groups = 0;
    let places = decoded.chunks_exact_mut(3);
    for (group, place) in octets.chunks_exact(4).zip(places) {
        let bits = VALUES[0][usize::from(group[0])]
            | VALUES[1][usize::from(group[1])]
            | VALUES[2][usize::from(group[2])]
            | VALUES[3][usize::from(group[3])];
        if bits & JUNK != 0 {
            break;
        }
        place.copy_from_slice(&bits.to_be_bytes()[1..]);
        groups += 1;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: Encoding, text: &[u8], size: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(encoding);
        let (mut space, mut decoded) = (Vec::new(), Vec::new());
        for chunk in text.chunks(size) {
            decoded.extend_from_slice(decoder.decode(chunk, &mut space));
        }
        decoder.finish(&mut space);
        decoded.extend_from_slice(&space);
        decoded
    }

    #[test]
    fn decodes_what_readers_tolerate_however_it_is_cut() {
        let cases: [(Encoding, &[u8], &[u8]); 18] = [
            (Encoding::Base64, b"UEsDBA==", b"PK\x03\x04"),
            (Encoding::Base64, b"UEsDBA", b"PK\x03\x04"),
            (
                Encoding::Base64,
                b"UE\r\nsD\r\n BA=\r\n=\r\n",
                b"PK\x03\x04",
            ),
            (Encoding::Base64, b"U!E-s_D B\0A\xff==", b"PK\x03\x04"),
            (Encoding::Base64, b"UEs=AwQ=", b"PK\x03\x04"),
            (
                Encoding::Base64,
                b"UEsDBAUGBwgJUEsDBAUGBwgJ",
                b"PK\x03\x04\x05\x06\x07\x08\x09PK\x03\x04\x05\x06\x07\x08\x09",
            ),
            (Encoding::Base64, b"====", b""),
            (Encoding::Base64, b"U", b""),
            (Encoding::QuotedPrintable, b"a=3Db=3d", b"a=b="),
            (Encoding::QuotedPrintable, b"a=\r\nb=\nc=  \t\r\nd", b"abcd"),
            (Encoding::QuotedPrintable, b"=", b"="),
            (Encoding::QuotedPrintable, b"=4", b"=4"),
            (Encoding::QuotedPrintable, b"=4g=zz==41", b"=4g=zz=A"),
            (Encoding::QuotedPrintable, b"= x", b"= x"),
            (
                Encoding::QuotedPrintable,
                b"=E3=81=82\r\n",
                b"\xe3\x81\x82\r\n",
            ),
            (Encoding::Identity, b"a=3D\r\n", b"a=3D\r\n"),
            (Encoding::Uuencode, b"begin", b"begin"),
            (Encoding::Base64, b"", b""),
        ];
        for (encoding, text, expected) in cases {
            for size in [1, 2, 3, 5, usize::MAX] {
                assert_eq!(
                    decode(encoding, text, size),
                    expected,
                    "{}",
                    text.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn names_of_encodings() {
        for (value, expected) in [
            ("base64", Encoding::Base64),
            (" BASE64 ", Encoding::Base64),
            ("\"base64\"", Encoding::Base64),
            ("(a) base64; x", Encoding::Base64),
            ("Quoted-Printable", Encoding::QuotedPrintable),
            ("X-UUencode", Encoding::Uuencode),
            ("8bit", Encoding::Identity),
            ("(", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            assert_eq!(Encoding::named(value.as_bytes()), expected, "{value}");
        }
    }
}
