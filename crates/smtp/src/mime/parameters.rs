//! The parameters of Content-Type and Content-Disposition (RFC 2045 5.1), with those of RFC 2231.

use std::collections::BTreeMap;

use crate::charset;

/// `name=value` as it stands, the name in lower case, the value unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: Vec<u8>,
}

/// What stands before the first semicolon, in lower case and without comments, and the parameters.
pub(super) fn split(value: &[u8]) -> (String, Vec<Parameter>) {
    let mut segments = segments(value).into_iter();
    let head = segments
        .next()
        .map(|s| String::from_utf8_lossy(s).trim().to_ascii_lowercase())
        .unwrap_or_default();
    let head = head
        .split([' ', '\t', '('])
        .next()
        .unwrap_or_default()
        .to_owned();
    let mut parameters = Vec::new();
    for segment in segments {
        let Some(equals) = memchr::memchr(b'=', segment) else {
            continue;
        };
        let name = String::from_utf8_lossy(segment[..equals].trim_ascii()).to_ascii_lowercase();
        for value in readings(segment[equals + 1..].trim_ascii()) {
            parameters.push(Parameter {
                name: name.clone(),
                value,
            });
        }
    }
    (head, parameters)
}

/// The pieces between the semicolons that stand outside quotes. A quote counts where a value begins, and nowhere else.
fn segments(value: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted, mut escaped, mut at_value) = (0, false, false, false);
    for (index, octet) in value.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if quoted => quoted = false,
            b'"' if at_value => quoted = true,
            b';' if !quoted => {
                pieces.push(&value[start..index]);
                start = index + 1;
            }
            _ => {}
        }
        at_value = *octet == b'=' || (at_value && octet.is_ascii_whitespace());
    }
    pieces.push(&value[start..]);
    pieces
}

/// What readers make of a value: a quoted string is unquoted; of an unquoted one with spaces some take the first
/// word, as the grammar has it, and some take all.
fn readings(value: &[u8]) -> Vec<Vec<u8>> {
    if value.first() == Some(&b'"') {
        return vec![unquote(value)];
    }
    let word = value
        .split(|b| b.is_ascii_whitespace())
        .next()
        .unwrap_or(value);
    if word.len() == value.len() {
        vec![value.to_vec()]
    } else {
        vec![word.to_vec(), value.to_vec()]
    }
}

/// The content of a quoted string, up to its end if it has one.
fn unquote(quoted: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(quoted.len());
    let mut rest = quoted[1..].iter();
    while let Some(&octet) = rest.next() {
        match octet {
            b'"' => break,
            b'\\' => octets.extend(rest.next()),
            _ => octets.push(octet),
        }
    }
    octets
}

/// Every value that a reader might find under `name`: plain ones, `name*=charset'language'text`, and continuations
/// `name*0`, `name*1*` put together (RFC 2231).
pub(super) fn texts(parameters: &[Parameter], name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut pieces: BTreeMap<u32, (&[u8], bool)> = BTreeMap::new();
    // To some readers an unnumbered piece is the first of the numbered ones.
    let mut head: Option<(&[u8], bool)> = None;
    for parameter in parameters {
        let Some(suffix) = parameter.name.strip_prefix(name) else {
            continue;
        };
        match suffix {
            "" => {
                found.push(crate::header::decode_words(&parameter.value));
                head.get_or_insert((&parameter.value, false));
            }
            "*" => {
                found.push(decode_extended(&parameter.value));
                head = Some((&parameter.value, true));
            }
            _ => {
                let Some(suffix) = suffix.strip_prefix('*') else {
                    continue;
                };
                let end = suffix
                    .find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(suffix.len());
                let (digits, mark) = suffix.split_at(end);
                // What follows the mark is no syntax, and not every reader minds.
                let extended = mark.starts_with('*');
                if let Ok(index) = digits.parse() {
                    pieces.entry(index).or_insert((&parameter.value, extended));
                }
            }
        }
    }
    if let (Some(head), false) = (head, pieces.is_empty()) {
        pieces.entry(0).or_insert(head);
    }
    found.extend(join_pieces(&pieces));
    found
}

fn join_pieces(pieces: &BTreeMap<u32, (&[u8], bool)>) -> Option<String> {
    let (first, extended) = pieces.values().next()?;
    let (charset, head) = if *extended {
        split_charset(first)
    } else {
        (None, *first)
    };
    let mut octets = if *extended {
        decode_percent(head)
    } else {
        head.to_vec()
    };
    for (piece, extended) in pieces.values().skip(1) {
        if *extended {
            octets.extend(decode_percent(piece));
        } else {
            octets.extend_from_slice(piece);
        }
    }
    Some(match charset {
        Some(charset) => charset::decode(charset, &octets).into_owned(),
        // Some programs split an encoded word into continuations.
        None => crate::header::decode_words(&octets),
    })
}

fn decode_extended(value: &[u8]) -> String {
    let (charset, text) = split_charset(value);
    let octets = decode_percent(text);
    match charset {
        Some(charset) => charset::decode(charset, &octets).into_owned(),
        None => charset::guess(&octets).into_owned(),
    }
}

/// `charset'language'text`; without the quotes it is all text.
fn split_charset(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut parts = value.splitn(3, |b| *b == b'\'');
    match (parts.next(), parts.next(), parts.next()) {
        (Some([]), Some(_), Some(text)) => (None, text),
        (Some(charset), Some(_), Some(text)) => (Some(charset), text),
        _ => (None, value),
    }
}

fn decode_percent(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        let coded = after.first_chunk::<2>().filter(|_| octet == b'%');
        match coded.and_then(|pair| Some((digit(pair[0])?, digit(pair[1])?))) {
            Some((high, low)) => {
                octets.push(high << 4 | low);
                rest = &after[2..];
            }
            None => octets.push(octet),
        }
    }
    octets
}

fn digit(octet: u8) -> Option<u8> {
    char::from(octet)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
