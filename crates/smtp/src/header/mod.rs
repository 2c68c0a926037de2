//! The header section of a message (RFC 5322): found as it passes, then looked at field by field.

mod address_list;
mod edit;
mod encoded_word;
mod fields;
mod from;
mod reader;
mod tokens;

pub use address_list::{ListFault, Listed, parse_address_list};
pub use edit::{Editor, Edits, Fate, Presence};
pub use encoded_word::decode_words;
pub use fields::{Field, Headers};
pub use from::{FromFault, FromHeader};
pub use reader::{HeaderProgress, HeaderReader, MAX_HEADER};

#[cfg(test)]
mod disguises;
#[cfg(test)]
mod tests;
