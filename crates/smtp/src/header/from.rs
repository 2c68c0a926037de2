//! Who a message says it is from.

use super::{Headers, ListFault, address_list};
use crate::Mailbox;

/// What the From fields of a message amount to. Only `One` can be compared with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromHeader {
    /// One field with one mailbox.
    One(Mailbox),
    /// No field.
    Missing,
    /// More than one field, or more than one mailbox.
    Several,
    /// A field that different readers may read differently.
    Malformed(FromFault),
}

/// Why a From cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FromFault {
    /// The list is malformed.
    List(ListFault),
    /// It follows the grammar in a way that few readers do: source routes, empty items, comments or white space within the
    /// address, a comment or an encoded name that holds what looks like an address.
    Ambiguous,
    /// The field names nobody.
    Empty,
    /// The field has a group (RFC 6854), which few readers show.
    Group,
    /// The header section has lines that are no fields, after which some servers see the body.
    Section,
}

impl FromHeader {
    /// Reads the From fields.
    pub fn of(headers: &Headers<'_>) -> Self {
        if !headers.is_well_formed() {
            return Self::Malformed(FromFault::Section);
        }
        let mut fields = headers.named("From");
        let Some(field) = fields.next() else {
            return Self::Missing;
        };
        if fields.next().is_some() {
            return Self::Several;
        }
        match address_list::parse(field.raw) {
            Err(fault) => Self::Malformed(FromFault::List(fault)),
            Ok(list) if list.groups > 0 => Self::Malformed(FromFault::Group),
            Ok(mut list) => match (list.items.pop(), list.items.is_empty()) {
                (None, _) => Self::Malformed(FromFault::Empty),
                (Some(_), true) if list.oddities > 0 => Self::Malformed(FromFault::Ambiguous),
                (Some(only), true) => Self::One(only.mailbox),
                (Some(_), false) => Self::Several,
            },
        }
    }

    /// The mailbox, if there is exactly one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::One(mailbox) => Some(mailbox),
            _ => None,
        }
    }
}
