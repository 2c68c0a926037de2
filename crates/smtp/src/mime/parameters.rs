//! The parameters of Content-Type and Content-Disposition (RFC 2045 5.1), with those of RFC 2231.

use crate::charset;
use crate::header::decode_words;

/// `name=value`, the name in lower case, the value unquoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// As it stands, which is how strict readers take it.
    name: String,
    /// Without what can be in no name (RFC 2045 5.1, tspecials), which some readers pass over: `name"=` is `name` to them.
    loose: String,
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
        let stated = segment[..equals].trim_ascii();
        let name = String::from_utf8_lossy(stated).to_ascii_lowercase();
        let loose = loose(stated);
        for value in readings(segment[equals + 1..].trim_ascii()) {
            parameters.push(Parameter {
                name: name.clone(),
                loose: loose.clone(),
                value,
            });
        }
    }
    (head, parameters)
}

impl Parameter {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name || self.loose == name
    }
}

fn loose(stated: &[u8]) -> String {
    let in_token = |octet: &&u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(octet);
    let token = stated.iter().filter(in_token);
    token
        .map(|octet| char::from(octet.to_ascii_lowercase()))
        .collect()
}

/// The value with a space for each comment (RFC 5322 3.2.2), where there is one: who knows comments reads that, who does not the value
/// as it stands. One that never ends goes to the end of the field.
pub(super) fn without_comments(value: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'(', value)?;
    let mut kept = Vec::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped, mut at_value) = (0_usize, false, false, false);
    for &octet in value {
        let was_within = depth > 0;
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted || was_within => escaped = true,
            b'"' if quoted => quoted = false,
            b'"' if at_value && !was_within => quoted = true,
            b'(' if !quoted => depth += 1,
            b')' if was_within => {
                depth -= 1;
                if depth == 0 {
                    kept.push(b' ');
                }
            }
            _ => {}
        }
        if !was_within && depth == 0 {
            kept.push(octet);
            at_value = octet == b'=' || (at_value && octet.is_ascii_whitespace());
        }
    }
    Some(kept)
}

/// The pieces between the semicolons that stand outside quotes. A quote counts where a value begins, and nowhere else; of one that
/// never ends some readers make nothing, so what follows it is cut up too.
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
    if quoted {
        pieces.extend(value[start..].split(|octet| *octet == b';').skip(1));
    }
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
/// `name*0`, `name*1*` put together (RFC 2231). What strict readers find comes first; the two never join each other's pieces.
pub(super) fn texts(parameters: &[Parameter], name: &str) -> Vec<String> {
    let mut found = texts_by(parameters, name, |parameter| &parameter.name);
    if parameters.iter().any(|each| each.name != each.loose) {
        found.extend(texts_by(parameters, name, |parameter| &parameter.loose));
    }
    found
}

fn texts_by(parameters: &[Parameter], name: &str, named: fn(&Parameter) -> &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut pieces = Pieces::default();
    for parameter in parameters {
        let Some(suffix) = named(parameter).strip_prefix(name) else {
            continue;
        };
        let octets = parameter.value.as_slice();
        match suffix.strip_prefix('*') {
            None if suffix.is_empty() => {
                found.push(decode_words(octets));
                pieces.unnumbered.get_or_insert(Piece {
                    octets,
                    extended: false,
                });
            }
            None => {}
            Some("") => {
                found.push(decode_extended(octets));
                pieces.unnumbered = Some(Piece {
                    octets,
                    extended: true,
                });
            }
            Some(mark) => pieces.add(mark, octets),
        }
    }
    found.extend(pieces.join());
    found
}

#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    octets: &'a [u8],
    /// Whether octets are written `%XX`.
    extended: bool,
}

/// The continuations of one parameter.
#[derive(Debug, Default)]
struct Pieces<'a> {
    /// In the order in which they were stated; a number may be there twice.
    numbered: Vec<(u32, Piece<'a>)>,
    /// A piece without a number is the first of the numbered ones, to some readers.
    unnumbered: Option<Piece<'a>>,
}

impl<'a> Pieces<'a> {
    /// `mark` is the number, and `*` if the piece is extended. What else follows is no syntax, and not every reader minds.
    fn add(&mut self, mark: &str, octets: &'a [u8]) {
        let end = mark
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(mark.len());
        if let Ok(number) = mark[..end].parse() {
            let extended = mark[end..].starts_with('*');
            self.numbered.push((number, Piece { octets, extended }));
        }
    }

    /// The values that they make. Of two pieces with one number some readers take the first, and others join both.
    fn join(mut self) -> impl Iterator<Item = String> {
        if let (Some(first), false) = (self.unnumbered, self.numbered.is_empty())
            && self.numbered.iter().all(|(number, _)| *number != 0)
        {
            self.numbered.push((0, first));
        }
        self.numbered.sort_by_key(|(number, _)| *number);
        let all = self.numbered;
        let mut firsts = all.clone();
        firsts.dedup_by_key(|(number, _)| *number);
        let joined = (firsts.len() < all.len()).then(|| concatenate(&all));
        [concatenate(&firsts), joined.flatten()]
            .into_iter()
            .flatten()
    }
}

fn concatenate(pieces: &[(u32, Piece<'_>)]) -> Option<String> {
    let ((_, first), rest) = pieces.split_first()?;
    let (charset, head) = if first.extended {
        split_charset(first.octets)
    } else {
        (None, first.octets)
    };
    let mut octets = Piece {
        octets: head,
        ..*first
    }
    .decode();
    octets.extend(rest.iter().flat_map(|(_, piece)| piece.decode()));
    Some(match charset {
        Some(charset) => charset::decode(charset, &octets).into_owned(),
        // Some programs split an encoded word into continuations.
        None => decode_words(&octets),
    })
}

impl Piece<'_> {
    fn decode(self) -> Vec<u8> {
        if self.extended {
            decode_percent(self.octets)
        } else {
            self.octets.to_vec()
        }
    }
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
