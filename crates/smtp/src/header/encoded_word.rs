//! Encoded words (RFC 2047) to text, in any charset of the WHATWG list, iso-2022-jp among them.

/// Decodes the encoded words of an unfolded value, and takes the rest as UTF-8, else as Latin-1.
pub fn decode_words(value: &[u8]) -> String {
    let _ = value;
    unimplemented!()
}
