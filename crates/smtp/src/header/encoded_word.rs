//! Encoded words (RFC 2047) to text, in any charset of the WHATWG list, iso-2022-jp among them.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::charset;

/// What readers take: padding or none, stray bits ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes the encoded words of an unfolded value, and takes the rest as UTF-8, else as ISO-2022-JP or Latin-1.
///
/// As lenient as readers are: words may be too long and may touch other text. White space between two of them goes,
/// and a character may be split between two of the same charset.
pub fn decode_words(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let mut pending: Option<(&[u8], Vec<u8>)> = None;
    let mut rest = value;
    while let Some((at, word)) = next_word(rest) {
        let between = &rest[..at];
        let adjoins = pending.is_some() && between.iter().all(u8::is_ascii_whitespace);
        if !adjoins {
            flush(&mut pending, &mut text);
            text.push_str(&charset::guess(between));
        }
        match &mut pending {
            Some((charset, octets)) if charset.eq_ignore_ascii_case(word.charset) => {
                octets.extend(word.decode())
            }
            _ => {
                flush(&mut pending, &mut text);
                pending = Some((word.charset, word.decode()));
            }
        }
        rest = &rest[at + word.length..];
    }
    flush(&mut pending, &mut text);
    text.push_str(&charset::guess(rest));
    text
}

/// Whether an encoded word stands anywhere in `value`.
pub(super) fn holds_word(value: &[u8]) -> bool {
    next_word(value).is_some()
}

fn flush(pending: &mut Option<(&[u8], Vec<u8>)>, text: &mut String) {
    if let Some((charset, octets)) = pending.take() {
        text.push_str(&charset::decode(charset, &octets));
    }
}

struct Word<'a> {
    charset: &'a [u8],
    encoding: Encoding,
    payload: &'a [u8],
    /// Octets of the whole word, `=?` and `?=` included.
    length: usize,
}

#[derive(Clone, Copy)]
enum Encoding {
    Base64,
    Quoted,
}

fn next_word(value: &[u8]) -> Option<(usize, Word<'_>)> {
    memchr::memmem::find_iter(value, b"=?").find_map(|at| Some((at, parse_word(&value[at..])?)))
}

/// The word that `text` begins with: `=?charset[*language]?encoding?payload?=`.
fn parse_word(text: &[u8]) -> Option<Word<'_>> {
    /// Longer payloads are no words (RFC 2047 has 75 octets for all of one). The bound keeps a row of beginnings
    /// without an end from costing the square of its length.
    const MAX_PAYLOAD: usize = 4096;
    let after = &text[2..];
    let charset_end = memchr::memchr(b'?', after)?;
    let charset = after[..charset_end]
        .split(|b| *b == b'*')
        .next()
        .unwrap_or_default();
    let charset = charset.trim_ascii();
    if charset.is_empty() {
        return None;
    }
    let encoding = match after.get(charset_end + 1..charset_end + 3)? {
        [b'b' | b'B', b'?'] => Encoding::Base64,
        [b'q' | b'Q', b'?'] => Encoding::Quoted,
        _ => return None,
    };
    let start = charset_end + 3;
    let rest = &after[start..];
    let payload = memchr::memmem::find(&rest[..rest.len().min(MAX_PAYLOAD)], b"?=")?;
    let end = start + payload;
    Some(Word {
        charset,
        encoding,
        payload: &after[start..end],
        length: 2 + end + 2,
    })
}

impl Word<'_> {
    fn decode(&self) -> Vec<u8> {
        match self.encoding {
            Encoding::Base64 => decode_base64(self.payload),
            Encoding::Quoted => decode_quoted(self.payload),
        }
    }
}

fn decode_base64(payload: &[u8]) -> Vec<u8> {
    let mut symbols: Vec<u8> = payload
        .iter()
        .copied()
        .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        .collect();
    if symbols.len() % 4 == 1 {
        symbols.pop();
    }
    LENIENT.decode(symbols).unwrap_or_default()
}

fn decode_quoted(payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(payload.len());
    let mut rest = payload;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after) {
            (b'_', _) => octets.push(b' '),
            (b'=', [high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                octets.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = tail;
            }
            _ => octets.push(octet),
        }
    }
    octets
}

/// The value of a digit that was checked.
fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
