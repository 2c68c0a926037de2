//! Walks the parts of a message in chunks and bounded memory.

/// Bounds on what is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkerLimits {
    /// Multiparts and messages within one another.
    pub depth: usize,
    /// Parts in all.
    pub parts: usize,
    /// Octets of one part's header section.
    pub part_header: usize,
}

impl Default for WalkerLimits {
    /// 32 levels, 1000 parts, 64 KiB of header for each.
    fn default() -> Self {
        Self {
            depth: 32,
            parts: 1000,
            part_header: 64 * 1024,
        }
    }
}

/// Which bound a message exceeded. What lies beyond was not seen, so it cannot be called clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitExceeded {
    /// Too deep.
    Depth,
    /// Too many parts.
    Parts,
    /// A part with too large a header.
    PartHeader,
}

/// A part that names a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Every name that a reader might take, without repetition: `filename` and `name` may disagree.
    pub names: Vec<String>,
    /// The content type in lower case, `type/subtype`.
    pub content_type: String,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Parts that name a file, in order.
    pub attachments: Vec<Attachment>,
    /// The first bound exceeded, if any.
    pub exceeded: Option<LimitExceeded>,
}

/// Walks one message.
#[derive(Debug)]
pub struct Walker {
    limits: WalkerLimits,
}

impl Walker {
    /// A walker at the start of a message's header section.
    pub fn new(limits: WalkerLimits) -> Self {
        Self { limits }
    }

    /// Takes the next chunk of the decoded message, header section included.
    pub fn feed(&mut self, chunk: &[u8]) {
        let _ = (chunk, self.limits);
        unimplemented!()
    }

    /// Ends the message.
    pub fn finish(self) -> Report {
        unimplemented!()
    }
}
