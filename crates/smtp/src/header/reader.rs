//! Collects the header section of a message that passes in chunks.

use super::Headers;

/// Octets of a header section that are kept by default.
pub const MAX_HEADER: usize = 256 * 1024;

/// What [`HeaderReader::feed`] made of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderProgress {
    /// All of the chunk belongs to the header section.
    More,
    /// The empty line was found.
    Complete {
        /// Octets of this chunk up to and with the empty line. The body begins after them.
        consumed: usize,
    },
    /// The section is longer than the limit: refuse the message, since what was not read might be a From.
    TooLong,
}

/// Reads decoded message octets (all lines end with CRLF) up to the empty line.
#[derive(Debug, Clone)]
pub struct HeaderReader {
    section: Vec<u8>,
    limit: usize,
    complete: bool,
}

impl HeaderReader {
    /// A reader that keeps at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            section: Vec::new(),
            limit,
            complete: false,
        }
    }

    /// Takes the next chunk of the message. After `Complete` or `TooLong`, feed no more.
    pub fn feed(&mut self, chunk: &[u8]) -> HeaderProgress {
        let _ = (chunk, self.limit, self.complete);
        unimplemented!()
    }

    /// The octets of the section, the empty line included if it came. A message may end without one.
    pub fn section(&self) -> &[u8] {
        &self.section
    }

    /// The fields.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.section)
    }
}

impl Default for HeaderReader {
    fn default() -> Self {
        Self::new(MAX_HEADER)
    }
}
