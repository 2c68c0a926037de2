//! Octets to text by the name of a charset, as mail writes it.

use std::borrow::Cow;

use encoding_rs::{Encoding, ISO_2022_JP, WINDOWS_1252};

/// Decodes by a charset's name; an unknown one is taken for UTF-8. What cannot be decoded becomes U+FFFD.
pub(crate) fn decode<'a>(label: &[u8], octets: &'a [u8]) -> Cow<'a, str> {
    encoding(label).decode_without_bom_handling(octets).0
}

/// Decodes octets that name no charset: UTF-8 if they are that, ISO-2022-JP if they escape to it, else Latin-1, in
/// which nothing is lost.
pub(crate) fn guess(octets: &[u8]) -> Cow<'_, str> {
    let escapes = memchr::memchr_iter(0x1B, octets).any(|at| octets.get(at + 1) == Some(&b'$'));
    match std::str::from_utf8(octets) {
        _ if escapes && octets.is_ascii() => ISO_2022_JP.decode_without_bom_handling(octets).0,
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(octets).0,
    }
}

fn encoding(label: &[u8]) -> &'static Encoding {
    // Names that Japanese mail programs use and that the WHATWG list lacks.
    let known: &[u8] = match label.to_ascii_lowercase().as_slice() {
        b"cp932" | b"windows-932" | b"x-ms-cp932" => b"shift_jis",
        b"cp50220" | b"cp50221" | b"cp50222" | b"iso-2022-jp-ms" | b"iso-2022-jp-1" => {
            b"iso-2022-jp"
        }
        b"cp51932" | b"eucjp" | b"eucjp-ms" | b"euc-jp-ms" => b"euc-jp",
        _ => label,
    };
    Encoding::for_label(known).unwrap_or(encoding_rs::UTF_8)
}
