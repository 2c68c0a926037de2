//! Who a message says it is from.

use super::{Headers, ListFault};
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
    /// The field is empty, or a group without members.
    Empty,
    /// The header section has lines that are no fields, after which some servers see the body.
    Section,
}

impl FromHeader {
    /// Reads the From fields.
    pub fn of(headers: &Headers<'_>) -> Self {
        let _ = headers;
        unimplemented!()
    }

    /// The mailbox, if there is exactly one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::One(mailbox) => Some(mailbox),
            _ => None,
        }
    }
}
