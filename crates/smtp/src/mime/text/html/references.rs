//! Character references of HTML.

/// The longest name that is looked for.
const MAX_NAME: usize = 24;
/// Digits of a number that are looked at.
const MAX_DIGITS: usize = 10;
/// The longest name that may be followed by letters.
const MAX_LEGACY: usize = 6;

/// Where text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Between tags: some names end where more letters follow, as in `&shyx`.
    Text,
    /// In the value of an attribute, where they do not.
    Attribute,
}

/// Gives `text` out in pieces, its character references replaced.
pub(super) fn decode(text: &str, place: Place, mut give: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        give(&rest[..at]);
        rest = &rest[at..];
        match read_reference(rest, place) {
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
fn read_reference(text: &str, place: Place) -> Option<(char, usize)> {
    let body = &text.as_bytes()[1..];
    let (radix, start) = match body {
        [b'#', b'x' | b'X', ..] => (16, 2),
        [b'#', ..] => (10, 1),
        _ => return read_name(body, place),
    };
    // Zeros in front may be any number, as far as a reader is concerned.
    let zeros = body[start..].iter().take_while(|b| **b == b'0').count();
    let digits = body[start + zeros..].iter().take(MAX_DIGITS);
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

fn read_name(body: &[u8], place: Place) -> Option<(char, usize)> {
    let letters = body
        .iter()
        .take(MAX_NAME)
        .take_while(|b| b.is_ascii_alphanumeric())
        .count();
    let name = std::str::from_utf8(&body[..letters]).ok()?;
    if let Some(c) = named(name) {
        let end = usize::from(body.get(letters) == Some(&b';'));
        return Some((c, 1 + letters + end));
    }
    if place == Place::Attribute {
        return None;
    }
    let mut ends = (2..=letters.min(MAX_LEGACY)).rev();
    ends.find_map(|end| Some((legacy(&name[..end])?, 1 + end)))
}

fn named(name: &str) -> Option<char> {
    legacy(name)
        .or_else(|| spaced(name))
        .or_else(|| signs(name))
}

/// Names that need no semicolon.
fn legacy(name: &str) -> Option<char> {
    Some(match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "COPY" => '©',
        "REG" => '®',
        _ => {
            let place = LATIN1.iter().position(|known| *known == name)?;
            return char::from_u32(0xA0 + u32::try_from(place).ok()?);
        }
    })
}

/// White space, and what is not seen at all.
fn spaced(name: &str) -> Option<char> {
    Some(match name {
        "ensp" | "emsp" | "emsp13" | "emsp14" | "thinsp" | "ThinSpace" | "hairsp"
        | "VeryThinSpace" | "numsp" | "puncsp" | "MediumSpace" | "ThickSpace"
        | "NonBreakingSpace" | "Tab" | "NewLine" => ' ',
        "ZeroWidthSpace"
        | "NegativeVeryThinSpace"
        | "NegativeThinSpace"
        | "NegativeMediumSpace"
        | "NegativeThickSpace" => '\u{200B}',
        "zwnj" => '\u{200C}',
        "zwj" => '\u{200D}',
        "lrm" => '\u{200E}',
        "rlm" => '\u{200F}',
        "NoBreak" => '\u{2060}',
        "ApplyFunction" | "af" => '\u{2061}',
        "InvisibleTimes" | "it" => '\u{2062}',
        "InvisibleComma" | "ic" => '\u{2063}',
        _ => return None,
    })
}

/// Signs with which words and addresses are written.
fn signs(name: &str) -> Option<char> {
    Some(match name {
        "apos" => '\'',
        "ndash" => '–',
        "mdash" => '—',
        "hyphen" | "dash" => '‐',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "bull" => '•',
        "hellip" => '…',
        "euro" => '€',
        "trade" => '™',
        "colon" => ':',
        "semi" => ';',
        "comma" => ',',
        "period" => '.',
        "sol" => '/',
        "bsol" => '\\',
        "commat" => '@',
        "num" => '#',
        "lowbar" | "UnderBar" => '_',
        "equals" => '=',
        "plus" => '+',
        "ast" | "midast" => '*',
        "quest" => '?',
        "percnt" => '%',
        "dollar" => '$',
        "excl" => '!',
        "lpar" => '(',
        "rpar" => ')',
        "lbrack" | "lsqb" => '[',
        "rbrack" | "rsqb" => ']',
        "lbrace" | "lcub" => '{',
        "rbrace" | "rcub" => '}',
        "vert" | "verbar" | "VerticalLine" => '|',
        "grave" | "DiacriticalGrave" => '`',
        "Hat" => '^',
        _ => return None,
    })
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
