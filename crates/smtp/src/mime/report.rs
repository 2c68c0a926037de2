//! What a walk found, and how far it may go.

use super::inside::Inner;
use super::text::Text;
use crate::header::MAX_HEADER;

/// Names that one part may state, and boundaries.
pub(super) const MAX_STATED: usize = 16;
/// Octets of a name. No file system takes as many.
pub(super) const MAX_NAME: usize = 4096;
/// Octets of a content type that are kept.
const MAX_TYPE: usize = 255;

/// Bounds on what is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkerLimits {
    /// Multiparts and messages within one another.
    pub depth: usize,
    /// Parts in all.
    pub parts: usize,
    /// Octets of one part's header section; the message's own is held to it too.
    pub part_header: usize,
    /// Names within archives and the like, in all.
    pub inner_names: usize,
    /// Octets of all names together, those within archives among them.
    pub name_octets: usize,
}

impl Default for WalkerLimits {
    /// 32 levels, 1000 parts, 256 KiB of header for each, 10,000 names within archives, 1 MiB of names.
    fn default() -> Self {
        Self {
            depth: 32,
            parts: 1000,
            part_header: MAX_HEADER,
            inner_names: 10_000,
            name_octets: 1024 * 1024,
        }
    }
}

impl WalkerLimits {
    /// A part of what may be kept, for one of several that look at the same octets.
    pub(super) fn shared(self, share: usize) -> Self {
        Self {
            inner_names: self.inner_names / share,
            name_octets: self.name_octets / share,
            ..self
        }
    }
}

/// Which bound a message exceeded. What lies beyond was not seen, so it cannot be called clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitExceeded {
    /// Too deep, or messages that are encoded within messages that are encoded, more than three deep.
    Depth,
    /// Too many parts.
    Parts,
    /// A part with too large a header.
    PartHeader,
    /// A multipart with too many boundaries, or with one that is too long; or too many in force at once.
    Boundary,
    /// A part with too many names, or with one that is too long; or too many octets of names in all.
    Names,
    /// An archive that lists too many names, too long a name, or entries that lie within one another. The rest of
    /// that part was not looked into; the parts after it were.
    InnerNames,
    /// A piece of a message (`message/partial`, RFC 2046 section 5.2.2): readers put it together with others that come by other
    /// messages. The parts after it were looked at.
    Fragment,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Parts that name a file, or in which names were found, in order.
    pub attachments: Vec<Attachment>,
    /// How many parts there are: the message itself, each part after a delimiter, and each message within.
    pub parts: usize,
    /// The decoded text, if it was asked for; see [`Walker::with_text`](super::Walker::with_text).
    pub text: Option<Text>,
    /// The first bound exceeded, if any.
    pub exceeded: Option<LimitExceeded>,
}

impl Report {
    /// Every name under which something could be opened: those of parts, then those within each.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.attachments.iter().flat_map(|attachment| {
            let stated = attachment.names.iter().map(String::as_str);
            stated.chain(attachment.inside.iter().map(|inner| inner.name.as_str()))
        })
    }
}

/// A part that names a file, or in which names were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Every name that a reader might take, without repetition: `filename` and `name` may disagree. Empty if the part
    /// states none and only holds some; `winmail.dat`, as readers have it, for TNEF that states none.
    pub names: Vec<String>,
    /// The content type in lower case, `type/subtype`, at most 255 octets of it; `text/plain` where none is stated.
    pub content_type: String,
    /// What an archive lists and the like, sorted and without repetition.
    pub inside: Vec<Inner>,
}

impl Attachment {
    pub(super) fn new(names: Vec<String>, mut content_type: String) -> Self {
        content_type.truncate(content_type.floor_char_boundary(MAX_TYPE));
        Self {
            names,
            content_type,
            inside: Vec::new(),
        }
    }
}
