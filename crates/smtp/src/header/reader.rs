//! Collects the header section of a message that passes in chunks.

use super::Headers;

/// Octets of a header section that are kept by default.
pub const MAX_HEADER: usize = 256 * 1024;

const END: &[u8; 4] = b"\r\n\r\n";

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
}

impl HeaderReader {
    /// A reader that keeps at most `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self {
            section: Vec::new(),
            limit,
        }
    }

    /// Takes the next chunk of the message. After `Complete` or `TooLong`, feed no more.
    pub fn feed(&mut self, chunk: &[u8]) -> HeaderProgress {
        let end = self.find_end(chunk);
        let taken = &chunk[..end.unwrap_or(chunk.len())];
        if self.section.len() + taken.len() > self.limit {
            return HeaderProgress::TooLong;
        }
        self.section.extend_from_slice(taken);
        end.map_or(HeaderProgress::More, |consumed| HeaderProgress::Complete {
            consumed,
        })
    }

    /// How much of the chunk belongs to the section, if it ends there. A message that begins with the empty line has
    /// no fields, so its beginning counts as the end of a line.
    fn find_end(&self, chunk: &[u8]) -> Option<usize> {
        let mut seam = Vec::with_capacity(2 * END.len());
        if self.section.len() < END.len() {
            seam.extend_from_slice(b"\r\n");
        }
        seam.extend_from_slice(&self.section[self.section.len().saturating_sub(END.len() - 1)..]);
        let before = seam.len();
        seam.extend_from_slice(&chunk[..chunk.len().min(END.len() - 1)]);
        memchr::memmem::find(&seam, END)
            .and_then(|at| (at + END.len()).checked_sub(before))
            .or_else(|| memchr::memmem::find(chunk, END).map(|at| at + END.len()))
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
