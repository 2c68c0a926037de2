//! HTML to the text that is on the screen, in one pass and without a tree.

use super::{Collector, steps};

/// Attributes that lead somewhere.
const ADDRESSES: [&str; 6] = ["href", "src", "action", "data", "formaction", "background"];
/// Elements within a line; what is none of them begins a line and ends one.
const INLINE: [&str; 34] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font",
    "i", "img", "input", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span",
    "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr",
];
/// Elements that show nothing of what they hold.
const HIDDEN: [&str; 3] = ["script", "style", "template"];
/// The longest character reference that is looked for.
const MAX_REFERENCE: usize = 10;

/// Appends the text of `html`, then where its links lead.
pub(super) fn render(html: &str, out: &mut Collector) {
    let mut page = Page {
        out,
        links: String::new(),
        gap: Gap::Line,
    };
    let mut rest = html;
    while let Some(at) = memchr::memchr(b'<', rest.as_bytes()) {
        page.take_text(&rest[..at]);
        steps::add(at + 1);
        rest = page.take_tag(&rest[at..]);
    }
    page.take_text(rest);
    let Page { out, links, .. } = page;
    out.end_line();
    out.push(&links);
}

/// What separates the next word from the last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    /// A line ends, or none began.
    Line,
}

struct Page<'a> {
    out: &'a mut Collector,
    links: String,
    gap: Gap,
}

impl Page<'_> {
    fn take_text(&mut self, text: &str) {
        let is_space = |c: char| c.is_ascii_whitespace();
        let mut rest = text;
        while !rest.is_empty() {
            let word = rest.trim_start_matches(is_space);
            if word.len() < rest.len() {
                self.gap = self.gap.max(Gap::Space);
            }
            let end = word.bytes().position(|b| b.is_ascii_whitespace());
            let end = end.unwrap_or(word.len());
            if end > 0 {
                self.close_gap();
                let out = &mut *self.out;
                decode_references(&word[..end], |piece| out.push(piece));
            }
            rest = &word[end..];
        }
    }

    fn close_gap(&mut self) {
        match self.gap {
            Gap::None => {}
            Gap::Space => self.out.push(" "),
            Gap::Line => self.out.end_line(),
        }
        self.gap = Gap::None;
    }

    /// Takes what begins with `<`; answers with what follows it.
    fn take_tag<'h>(&mut self, html: &'h str) -> &'h str {
        let after = &html[1..];
        if let Some(comment) = after.strip_prefix("!--") {
            // An empty comment may lack its own end.
            let short = comment
                .strip_prefix('>')
                .or_else(|| comment.strip_prefix("->"));
            return short.unwrap_or_else(|| behind(comment, "-->"));
        }
        let (is_end, body) = match after.strip_prefix('/') {
            Some(body) => (true, body),
            None => (false, after),
        };
        match body.chars().next() {
            Some(c) if c.is_ascii_alphabetic() => {}
            Some('!' | '?') => return behind(body, ">"),
            _ if is_end => return behind(body, ">"),
            _ => {
                self.take_text("<");
                return after;
            }
        }
        let name_end = body.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'));
        let (name, attributes) = body.split_at(name_end.unwrap_or(body.len()));
        let name = name.to_ascii_lowercase();
        let rest = self.take_attributes(attributes);
        if HIDDEN.contains(&name.as_str()) && !is_end {
            return skip_hidden(rest, &name);
        }
        if matches!(name.as_str(), "td" | "th") {
            self.gap = self.gap.max(Gap::Space);
        } else if !INLINE.contains(&name.as_str()) {
            self.gap = Gap::Line;
        }
        rest
    }

    /// Keeps the addresses among the attributes; answers with what follows the tag.
    fn take_attributes<'h>(&mut self, html: &'h str) -> &'h str {
        let mut rest = html;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            if rest.is_empty() {
                return rest;
            }
            if let Some(after) = rest.strip_prefix('>') {
                return after;
            }
            // An equals sign may begin a name.
            let first = rest.chars().next().map_or(0, char::len_utf8);
            let tail = &rest[first..];
            let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '=');
            let (name, after) = rest.split_at(first + tail.find(ends).unwrap_or(tail.len()));
            let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
                rest = after;
                continue;
            };
            let (value, after) = split_value(value.trim_ascii_start());
            if ADDRESSES
                .iter()
                .any(|address| address.eq_ignore_ascii_case(name))
            {
                self.keep_link(value);
            }
            rest = after;
        }
    }

    /// Spaces and line ends within an address are dropped, as browsers do.
    fn keep_link(&mut self, value: &str) {
        let before = self.links.len();
        let links = &mut self.links;
        decode_references(value.trim_ascii(), |piece| {
            links.extend(piece.chars().filter(|c| !matches!(c, '\r' | '\n' | '\t')));
        });
        if self.links.len() > before {
            self.links.push('\n');
        }
    }
}

/// What follows the first `end`; nothing if there is none.
fn behind<'h>(html: &'h str, end: &str) -> &'h str {
    let rest = html.split_once(end).map_or("", |(_, rest)| rest);
    steps::add(html.len() - rest.len());
    rest
}

/// A value in quotes, or up to white space or the end of the tag.
fn split_value(html: &str) -> (&str, &str) {
    match html.as_bytes().first() {
        Some(b'"') => html[1..].split_once('"').unwrap_or((&html[1..], "")),
        Some(b'\'') => html[1..].split_once('\'').unwrap_or((&html[1..], "")),
        _ => {
            let end = html.find(|c: char| c.is_ascii_whitespace() || c == '>');
            html.split_at(end.unwrap_or(html.len()))
        }
    }
}

/// What follows the end tag of a hidden element; nothing if it has none.
fn skip_hidden<'h>(html: &'h str, name: &str) -> &'h str {
    for (at, _) in html.match_indices("</") {
        steps::add(1);
        let after = &html.as_bytes()[at + 2..];
        let tail = after.get(name.len());
        let is_name = after
            .get(..name.len())
            .is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
        if is_name && tail.is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/')) {
            return &html[at..];
        }
    }
    ""
}

/// Gives `text` out in pieces, its character references replaced.
fn decode_references(text: &str, mut give: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        give(&rest[..at]);
        rest = &rest[at..];
        match read_reference(rest) {
            Some((c, length)) => {
                give(c.encode_utf8(&mut [0; 4]));
                rest = &rest[length..];
            }
            None => {
                give("&");
                rest = &rest[1..];
            }
        }
    }
    give(rest);
}

/// The character that `text` begins with a reference to, and how long the reference is. The semicolon may be missing.
fn read_reference(text: &str) -> Option<(char, usize)> {
    let body = &text.as_bytes()[1..];
    let (radix, start) = match body {
        [b'#', b'x' | b'X', ..] => (16, 2),
        [b'#', ..] => (10, 1),
        _ => return read_name(body),
    };
    // Zeros in front may be any number, as far as a reader is concerned.
    let zeros = body[start..].iter().take_while(|b| **b == b'0').count();
    let digits = body[start + zeros..].iter().take(MAX_REFERENCE);
    let digits = digits
        .take_while(|b| char::from(**b).is_digit(radix))
        .count();
    if zeros + digits == 0 {
        return None;
    }
    let end = start + zeros + digits;
    let value = std::str::from_utf8(&body[end - digits..end]).ok()?;
    let value = u32::from_str_radix(value, radix).unwrap_or_default();
    let c = char::from_u32(value)
        .filter(|c| *c != '\0')
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((c, 1 + end + usize::from(body.get(end) == Some(&b';'))))
}

fn read_name(body: &[u8]) -> Option<(char, usize)> {
    let letters = body
        .iter()
        .take(MAX_REFERENCE)
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let name = std::str::from_utf8(&body[..letters]).ok()?;
    let c = named(name)?;
    Some((
        c,
        1 + letters + usize::from(body.get(letters) == Some(&b';')),
    ))
}

fn named(name: &str) -> Option<char> {
    let common = match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" => '\'',
        "ensp" | "emsp" | "thinsp" | "numsp" | "Tab" | "NewLine" => ' ',
        "zwj" => '\u{200D}',
        "zwnj" => '\u{200C}',
        "ndash" => '–',
        "mdash" => '—',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "hellip" => '…',
        "euro" => '€',
        "trade" => '™',
        "colon" => ':',
        "period" => '.',
        "sol" => '/',
        "commat" => '@',
        "num" => '#',
        "lowbar" => '_',
        "equals" => '=',
        "quest" => '?',
        "percnt" => '%',
        "dollar" => '$',
        "excl" => '!',
        _ => {
            let place = LATIN1.iter().position(|known| *known == name)?;
            return char::from_u32(0xA0 + u32::try_from(place).ok()?);
        }
    };
    Some(common)
}

/// The names of U+00A0 to U+00FF, in order.
const LATIN1: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf",
    "laquo", "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro",
    "para", "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest",
    "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute",
    "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute",
    "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute",
    "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil",
    "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde",
    "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc",
    "uuml", "yacute", "thorn", "yuml",
];
