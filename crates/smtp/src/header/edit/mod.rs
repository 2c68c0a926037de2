//! What of a client's header section does not go on: fields that only we may write, results of authentication in our name,
//! and Bcc. Everything else, octet for octet, does.

use std::borrow::Cow;

use super::Headers;

/// Octets of an Authentication-Results field that are looked at; a longer one is none that anybody wrote honestly.
const MAX_RESULTS: usize = 8 * 1024;

/// Fields that are not simply passed on. A name that ends with a hyphen stands for all that begin with it.
const NAMES: [(&str, Rule); 4] = [
    ("Bcc", Rule::Bcc),
    ("Resent-Bcc", Rule::Bcc),
    ("Authentication-Results", Rule::Results),
    ("X-Sekisho-", Rule::Ours),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Tells recipients of each other (RFC 5322 3.6.3).
    Bcc,
    /// Goes if it is in our name (RFC 8601 section 5).
    Results,
    /// Only we write these.
    Ours,
}

/// What becomes of a field, with all lines that continue it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It goes on as it is.
    Stays,
    /// It is left out.
    Goes,
}

/// Whether a field that each message should have is there, or must stay away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presence {
    /// It is not there, and may be added.
    Missing,
    /// It is there; or a signature says that it is not, or nobody could look.
    Settled,
}

/// What is to be done with one header section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Edits {
    /// Of Bcc and Resent-Bcc: they stay where a signature covers them.
    pub bcc: Fate,
    /// Of Message-ID.
    pub message_id: Presence,
    /// Of Date.
    pub date: Presence,
}

impl Edits {
    /// For a section that could not be looked at: whether a signature covers Bcc is not known, and recipients come first.
    pub const UNKNOWN: Self = Self {
        bcc: Fate::Goes,
        message_id: Presence::Settled,
        date: Presence::Settled,
    };

    /// Looks at a whole section.
    pub fn of(headers: &Headers<'_>) -> Self {
        let (mut bcc, mut message_id, mut date) = (false, false, false);
        let mut signed = Signed::default();
        for field in headers.iter() {
            match field.name.len() {
                3 | 10 if is(field.name, "Bcc") || is(field.name, "Resent-Bcc") => bcc = true,
                4 if is(field.name, "Date") => date = true,
                10 if is(field.name, "Message-ID") => message_id = true,
                14 if is(field.name, "DKIM-Signature") => signed.note(&field.unfolded()),
                21 if is(field.name, "ARC-Message-Signature") => signed.note(&field.unfolded()),
                _ => {}
            }
        }
        let presence = |there: bool, signed: bool| match there || signed {
            true => Presence::Settled,
            false => Presence::Missing,
        };
        Self {
            bcc: if bcc && signed.bcc {
                Fate::Stays
            } else {
                Fate::Goes
            },
            message_id: presence(message_id, signed.message_id),
            date: presence(date, signed.date),
        }
    }
}

fn is(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
}

/// Which fields a signature covers, there or not (RFC 6376 3.5, `h=`; 5.4.2). S/MIME and OpenPGP cover no field of the header.
#[derive(Debug, Default)]
struct Signed {
    bcc: bool,
    message_id: bool,
    date: bool,
}

impl Signed {
    fn note(&mut self, signature: &[u8]) {
        let tags = signature.split(|octet| *octet == b';');
        let lists = tags.filter_map(|tag| {
            let at = memchr::memchr(b'=', tag)?;
            (tag[..at].trim_ascii() == b"h").then_some(&tag[at + 1..])
        });
        for name in lists.flat_map(|list| list.split(|octet| *octet == b':')) {
            let name = name.trim_ascii();
            self.bcc |=
                name.eq_ignore_ascii_case(b"Bcc") || name.eq_ignore_ascii_case(b"Resent-Bcc");
            self.message_id |= name.eq_ignore_ascii_case(b"Message-ID");
            self.date |= name.eq_ignore_ascii_case(b"Date");
        }
    }
}

/// Leaves fields out of a message whose lines end with CRLF, as it passes in chunks. It keeps at most one field of results, and
/// looks at a section of any length in full.
#[derive(Debug)]
pub struct Editor {
    /// In whose name results are ours.
    authserv_id: Box<str>,
    bcc: Fate,
    at: At,
    fate: Doing,
    /// The beginning of a line of which too little came to tell.
    begun: Vec<u8>,
    /// A field of results, so far.
    results: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Line,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Passing,
    LeavingOut,
    /// Keeping a field of results until its end shows whose they are.
    Keeping,
}

/// How a line begins.
enum Begins {
    /// With the end of the header section.
    Body,
    /// With white space: it continues the field before it, and shares its fate.
    Continued,
    Named(Rule),
    Other,
}

/// What of one chunk goes on: the chunk itself, until something is left out.
struct Passed<'a> {
    chunk: Cow<'a, [u8]>,
    rewritten: Option<Vec<u8>>,
    /// Where that begins which goes on and was not copied.
    clean: usize,
}

impl Passed<'_> {
    fn copied(&mut self, to: usize) -> &mut Vec<u8> {
        let rewritten = self.rewritten.get_or_insert_with(Vec::new);
        rewritten.extend_from_slice(&self.chunk[self.clean..to]);
        self.clean = to;
        rewritten
    }

    fn leave_out(&mut self, from: usize, to: usize) {
        self.copied(from);
        self.clean = to;
    }
}

impl Editor {
    /// An editor at the beginning of a message. `authserv_id` is the name in which only we write results.
    pub fn new(authserv_id: &str, edits: Edits) -> Self {
        Self {
            authserv_id: authserv_id.into(),
            bcc: edits.bcc,
            at: At::LineStart,
            // A first line that continues nothing would continue the field that we write above it.
            fate: Doing::LeavingOut,
            begun: Vec::new(),
            results: Vec::new(),
        }
    }

    /// What of a chunk goes on, with what was kept of those before it.
    pub fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]> {
        if self.at == At::Body {
            return Cow::Borrowed(chunk);
        }
        let chunk = if self.begun.is_empty() {
            Cow::Borrowed(chunk)
        } else {
            let mut whole = std::mem::take(&mut self.begun);
            whole.extend_from_slice(chunk);
            Cow::Owned(whole)
        };
        let end = chunk.len();
        let mut passed = Passed {
            chunk,
            rewritten: None,
            clean: 0,
        };
        let mut from = 0;
        while from < end && self.at != At::Body {
            from = match self.at {
                At::LineStart => self.enter_line(from, &mut passed),
                _ => self.walk_line(from, &mut passed),
            };
        }
        if passed.rewritten.is_none() && passed.clean == 0 {
            return passed.chunk;
        }
        passed.copied(end);
        Cow::Owned(passed.rewritten.unwrap_or_default())
    }

    /// What is left at the end of the message.
    pub fn finish(mut self) -> Vec<u8> {
        let mut left = self.verdict();
        left.append(&mut self.begun);
        left
    }

    fn enter_line(&mut self, from: usize, passed: &mut Passed<'_>) -> usize {
        let Some(begins) = begin_line(&passed.chunk[from..]) else {
            self.begun = passed.chunk[from..].to_vec();
            passed.leave_out(from, passed.chunk.len());
            return passed.chunk.len();
        };
        self.at = At::Line;
        if matches!(begins, Begins::Continued) {
            return from;
        }
        if self.fate == Doing::Keeping {
            let verdict = self.verdict();
            passed.copied(from).extend(verdict);
        }
        self.fate = match begins {
            Begins::Named(Rule::Ours) => Doing::LeavingOut,
            Begins::Named(Rule::Bcc) if self.bcc == Fate::Goes => Doing::LeavingOut,
            Begins::Named(Rule::Results) => Doing::Keeping,
            Begins::Body | Begins::Continued | Begins::Named(_) | Begins::Other => Doing::Passing,
        };
        if matches!(begins, Begins::Body) {
            self.at = At::Body;
        }
        from
    }

    fn walk_line(&mut self, from: usize, passed: &mut Passed<'_>) -> usize {
        let ahead = &passed.chunk[from..];
        let end = memchr::memchr(b'\n', ahead).map(|at| at + 1);
        let to = from + end.unwrap_or(ahead.len());
        if end.is_some() {
            self.at = At::LineStart;
        }
        if self.fate == Doing::Keeping {
            self.results.extend_from_slice(&passed.chunk[from..to]);
            if self.results.len() > MAX_RESULTS {
                self.results = Vec::new();
                self.fate = Doing::LeavingOut;
            }
        }
        if self.fate != Doing::Passing {
            passed.leave_out(from, to);
        }
        to
    }

    /// The field of results that was kept, if it goes on.
    fn verdict(&mut self) -> Vec<u8> {
        let field = std::mem::take(&mut self.results);
        match authserv_id(&field) {
            Some(id) if !self.is_ours(&id) => field,
            // In our name, or in nobody's: a lax reader could take it for ours.
            _ => Vec::new(),
        }
    }

    fn is_ours(&self, id: &[u8]) -> bool {
        let id = id.strip_suffix(b".").unwrap_or(id);
        let ours = self.authserv_id.trim_end_matches('.');
        let in_unicode = !id.is_ascii() && ours.to_ascii_lowercase().contains("xn--");
        id.eq_ignore_ascii_case(ours.as_bytes()) || in_unicode
    }
}

/// How a line begins; nothing if more of it is needed to tell.
fn begin_line(ahead: &[u8]) -> Option<Begins> {
    match ahead {
        [b'\r'] => return None,
        [b'\r', b'\n', ..] => return Some(Begins::Body),
        [b' ' | b'\t', ..] => return Some(Begins::Continued),
        _ => {}
    }
    for (name, rule) in NAMES {
        let compared = ahead.len().min(name.len());
        if !ahead[..compared].eq_ignore_ascii_case(&name.as_bytes()[..compared]) {
            continue;
        }
        if compared == name.len() && name.ends_with('-') {
            return Some(Begins::Named(rule));
        }
        // White space may stand before the colon (RFC 5322 4.5), and some readers overlook a fold there too.
        let next = *ahead.get(name.len())?;
        if !next.is_ascii_graphic() || next == b':' {
            return Some(Begins::Named(rule));
        }
    }
    Some(Begins::Other)
}

/// In whose name a field of results is (RFC 8601 2.2); nothing if it cannot be read.
fn authserv_id(field: &[u8]) -> Option<Vec<u8>> {
    let colon = memchr::memchr(b':', field)?;
    let value = skip_comments(&field[colon + 1..])?;
    let (id, rest) = match value.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let ends = |octet: &u8| octet.is_ascii_whitespace() || b";(\"".contains(octet);
            let end = value.iter().position(ends).unwrap_or(value.len());
            (value[..end].to_vec(), &value[end..])
        }
    };
    let rest = skip_comments(rest)?;
    let digits = rest
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let rest = skip_comments(&rest[digits..])?;
    let ends = rest.is_empty() || rest.starts_with(b";");
    (ends && !id.is_empty()).then_some(id)
}

/// What follows white space, folds and comments; nothing if a comment does not end.
fn skip_comments(mut text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_u32;
    loop {
        match text {
            [b'(', rest @ ..] => (depth, text) = (depth + 1, rest),
            [b')', rest @ ..] if depth > 0 => (depth, text) = (depth - 1, rest),
            [b'\\', _, rest @ ..] if depth > 0 => text = rest,
            [octet, rest @ ..] if depth > 0 || octet.is_ascii_whitespace() => text = rest,
            _ => return (depth == 0).then_some(text),
        }
    }
}

/// A quoted string up to its end, and what follows.
fn unquote(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut content = Vec::new();
    loop {
        match text {
            [b'"', rest @ ..] => return Some((content, rest)),
            [b'\\', octet, rest @ ..] => {
                content.push(*octet);
                text = rest;
            }
            [octet, rest @ ..] => {
                content.push(*octet);
                text = rest;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests;
