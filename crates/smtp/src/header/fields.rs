//! Fields of a header section.

use std::borrow::Cow;

use super::{address_list, decode_words};

/// A header section. Copying it copies a reference.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    section: &'a [u8],
}

/// A field as it lies in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without what white space stands before the colon; compare it ignoring case.
    pub name: &'a str,
    /// The octets after the colon, without the last CRLF; may hold folds.
    pub raw: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Looks at a section; it ends at its first empty line, if it has one.
    pub fn new(section: &'a [u8]) -> Self {
        Self { section }
    }

    /// The fields in order. Lines that are no field are left out; see [`Headers::is_well_formed`].
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.lines().filter_map(parse_field)
    }

    /// The fields that say what a part is, `Content-Type` and others: all that the walker needs of many.
    pub(crate) fn of_content(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        const PREFIX: &[u8] = b"content-";
        self.lines()
            .filter(|line| {
                line.get(..PREFIX.len())
                    .is_some_and(|name| name.eq_ignore_ascii_case(PREFIX))
            })
            .filter_map(parse_field)
    }

    /// The fields of a name, in any case of letters.
    pub fn named<'n>(&self, name: &'n str) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        self.iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// Whether each line is a field or the continuation of one. Where one is not, some servers take the rest for the
    /// body, so what we see may not be what a reader sees.
    pub fn is_well_formed(&self) -> bool {
        self.lines().all(|line| parse_field(line).is_some())
    }

    /// How many recipients To and Cc show, members of groups counted each. In a field that is malformed, what might be
    /// an address counts as one.
    pub fn visible_recipients(&self) -> usize {
        let shown = self
            .iter()
            .filter(|f| f.name.eq_ignore_ascii_case("To") || f.name.eq_ignore_ascii_case("Cc"));
        shown.map(|field| address_list::count(field.raw)).sum()
    }

    fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.section;
        std::iter::from_fn(move || {
            if rest.is_empty() || rest.starts_with(b"\r\n") {
                return None;
            }
            let (line, after) = rest.split_at(folded_length(rest));
            rest = after.strip_prefix(b"\r\n").unwrap_or(after);
            Some(line)
        })
    }
}

/// Octets of the line that `section` begins with, and of those that continue it, without the last CRLF.
fn folded_length(section: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', section)
        .filter(|at| section[..*at].ends_with(b"\r"))
        .find(|at| !matches!(section.get(at + 1), Some(b' ' | b'\t')))
        .map_or(section.len(), |at| at - 1)
}

fn parse_field(line: &[u8]) -> Option<Field<'_>> {
    let colon = memchr::memchr(b':', line)?;
    // White space before the colon is obsolete syntax (RFC 5322 4.5), and readers accept it.
    let name = line[..colon].trim_ascii_end();
    let spelled = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let name = std::str::from_utf8(name).ok().filter(|_| spelled)?;
    Some(Field {
        name,
        raw: &line[colon + 1..],
    })
}

impl<'a> Field<'a> {
    /// The value on one line: folds undone, white space around it removed.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.raw.trim_ascii())
    }

    /// The value as a person reads it: unfolded, encoded words decoded (RFC 2047), as text. For matching by rules.
    pub fn decoded(&self) -> String {
        decode_words(&self.unfolded())
    }
}

/// Undoes folds (RFC 5322 2.2.3): the CRLF goes, the white space after it stays.
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\r', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut line = Vec::with_capacity(value.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(value, b"\r\n") {
        line.extend_from_slice(&value[from..at]);
        from = at + 2;
    }
    line.extend_from_slice(&value[from..]);
    Cow::Owned(line)
}
