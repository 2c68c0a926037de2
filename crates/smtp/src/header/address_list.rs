//! Address lists of RFC 5322 3.4: comments, quoted strings, groups and the obsolete forms are read; the result is strict.

use crate::Mailbox;

/// One item of an address list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The display name, encoded words decoded; empty if there is none.
    pub display: String,
    /// The address.
    pub mailbox: Mailbox,
}

/// Why a list is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListFault {
    /// It holds a NUL.
    Nul,
    /// An item has only encoded words where its address should be, or encoded words within it (RFC 2047 section 5).
    EncodedAddress,
    /// It does not follow the grammar.
    Syntax,
}

/// Parses an unfolded or folded list, such as the value of To. Members of groups are listed with the rest.
///
/// # Errors
/// Why it is malformed; nothing is returned of a list that is malformed in part.
pub fn parse_address_list(value: &[u8]) -> Result<Vec<Listed>, ListFault> {
    let _ = value;
    unimplemented!()
}
