//! Fields of a header section.

use std::borrow::Cow;

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
        let _ = self.section;
        std::iter::empty()
    }

    /// The fields of a name, in any case of letters.
    pub fn named<'n>(&self, name: &'n str) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        self.iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// Whether each line is a field or the continuation of one. Where one is not, some servers take the rest for the
    /// body, so what we see may not be what a reader sees.
    pub fn is_well_formed(&self) -> bool {
        unimplemented!()
    }

    /// How many recipients To and Cc show: the top-level items of their lists, members of groups counted each. Also
    /// counts in fields that are malformed.
    pub fn visible_recipients(&self) -> usize {
        unimplemented!()
    }
}

impl<'a> Field<'a> {
    /// The value on one line: folds undone, white space around it removed.
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        unimplemented!()
    }

    /// The value as a person reads it: unfolded, encoded words decoded (RFC 2047), as text. For matching by rules.
    pub fn decoded(&self) -> String {
        unimplemented!()
    }
}
