//! What rules ask of content, and the scanner of header fields. No content leaves here: a match is a rule's name.

use crate::ruleset::Ruleset;

/// What must be examined of a message, so that the proxy streams where nothing asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentNeeds {
    /// Fields of the header section are looked at: From, To and Cc, or classification patterns.
    pub headers: bool,
    /// File-name extensions of attachments are looked at.
    pub attachments: bool,
}

impl Ruleset {
    /// Appends to `matched` the names of the classification rules that `value` of the field `name` matches, each once.
    ///
    /// `name` is compared without regard to case; `value` is unfolded, with encoded words decoded. Time is linear in
    /// `value`; the caller bounds its length.
    pub fn scan_header(&self, _name: &str, _value: &str, _matched: &mut Vec<Box<str>>) {
        todo!()
    }
}
