//! Walks the parts of a message in chunks and bounded memory.

use std::mem;

use super::part::{Attachment, ChildType, Content, MAX_STATED, Part};
use crate::header::MAX_HEADER;

/// Octets of a boundary; RFC 2046 allows 70.
const MAX_BOUNDARY: usize = 256;
/// Octets of a body line that are looked at: hyphens, boundary, and the padding that some servers add.
const MAX_DELIMITER: usize = MAX_BOUNDARY + 64;
/// Octets of a name. No file system takes as many.
const MAX_NAME: usize = 4096;

/// Bounds on what is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalkerLimits {
    /// Multiparts and messages within one another.
    pub depth: usize,
    /// Parts in all.
    pub parts: usize,
    /// Octets of one part's header section; the message's own is held to it too.
    pub part_header: usize,
}

impl Default for WalkerLimits {
    /// 32 levels, 1000 parts, 256 KiB of header for each.
    fn default() -> Self {
        Self {
            depth: 32,
            parts: 1000,
            part_header: MAX_HEADER,
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
    /// A multipart with too many boundaries, or with one that is too long.
    Boundary,
    /// A part with too many names, or with one that is too long.
    Names,
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
    state: State,
    /// What encloses the place where the walker stands, outermost first.
    enclosing: Vec<Container>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    parts: usize,
    report: Report,
}

#[derive(Debug)]
enum State {
    /// In a header section, of which this much came.
    Header(Vec<u8>),
    /// In a body, a preamble or an epilogue: only delimiters matter.
    Body,
    /// Nothing more can be found.
    Done,
}

#[derive(Debug)]
enum Container {
    Multipart {
        boundaries: Vec<Vec<u8>>,
        children: ChildType,
    },
    Message,
}

/// A line that ends a part.
enum Delimiter {
    /// Another part of the container at this level begins.
    Next { level: usize },
    /// The container at this level ends.
    Last { level: usize },
    /// The line goes on after the boundary. To the grammar it is text; to some readers a part begins.
    Lax,
}

impl Walker {
    /// A walker at the start of a message's header section.
    pub fn new(limits: WalkerLimits) -> Self {
        let report = Report {
            attachments: Vec::new(),
            exceeded: None,
        };
        Self {
            limits,
            state: State::Header(Vec::new()),
            enclosing: Vec::new(),
            line: Vec::new(),
            parts: 1,
            report,
        }
    }

    /// Takes the next chunk of the decoded message, header section included.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !matches!(self.state, State::Done) {
            let Some(at) = memchr::memchr(b'\n', rest) else {
                self.keep(rest);
                return;
            };
            let (piece, after) = rest.split_at(at + 1);
            rest = after;
            if self.line.is_empty() {
                self.take_line(piece);
            } else {
                self.keep(piece);
                let line = mem::take(&mut self.line);
                self.take_line(&line);
            }
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> Report {
        let line = mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line);
        }
        if let State::Header(section) = &mut self.state {
            let section = mem::take(section);
            self.end_header(&section);
        }
        self.report
    }

    /// Keeps the beginning of a line: all of a header line, and of a body line as much as a delimiter can have.
    fn keep(&mut self, piece: &[u8]) {
        let limit = match self.state {
            State::Header(_) => self.limits.part_header,
            State::Body | State::Done => MAX_DELIMITER,
        };
        let room = limit.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room && matches!(self.state, State::Header(_)) {
            self.exceed(LimitExceeded::PartHeader);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if let Some(delimiter) = self.find_delimiter(text) {
            if let State::Header(section) = mem::replace(&mut self.state, State::Body) {
                self.end_header(&section);
            }
            return self.take_delimiter(&delimiter);
        }
        let State::Header(section) = &mut self.state else {
            return;
        };
        if text.is_empty() {
            let section = mem::take(section);
            return self.end_header(&section);
        }
        if section.len() + text.len() + 2 > self.limits.part_header {
            return self.exceed(LimitExceeded::PartHeader);
        }
        section.extend_from_slice(text);
        section.extend_from_slice(b"\r\n");
    }

    /// What the line delimits, the innermost first. White space after the boundary is padding (RFC 2046 5.1.1).
    fn find_delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let closed = text.strip_suffix(b"--");
        let mut lax = None;
        for (level, container) in self.enclosing.iter().enumerate().rev() {
            let Container::Multipart { boundaries, .. } = container else {
                continue;
            };
            let mut stated = boundaries.iter().map(|boundary| boundary.trim_ascii_end());
            if stated.clone().any(|boundary| boundary == text) {
                return Some(Delimiter::Next { level });
            }
            if stated.clone().any(|boundary| Some(boundary) == closed) {
                return Some(Delimiter::Last { level });
            }
            // Of the others only the innermost, so that text does not end what encloses it.
            lax = lax.or_else(|| Some(stated.any(|boundary| text.starts_with(boundary))));
        }
        (lax == Some(true)).then_some(Delimiter::Lax)
    }

    fn take_delimiter(&mut self, delimiter: &Delimiter) {
        if matches!(self.state, State::Done) {
            return;
        }
        // A closed multipart stays in force: some readers go on after its last delimiter, if another follows.
        match delimiter {
            Delimiter::Next { level } => self.enclosing.truncate(level + 1),
            Delimiter::Last { level } => {
                self.enclosing.truncate(level + 1);
                self.state = State::Body;
                return;
            }
            Delimiter::Lax => {}
        }
        self.parts += 1;
        if self.parts > self.limits.parts {
            return self.exceed(LimitExceeded::Parts);
        }
        self.state = State::Header(Vec::new());
    }

    fn end_header(&mut self, section: &[u8]) {
        let part = Part::read(section, self.default_type());
        self.state = State::Body;
        if let Some(attachment) = part.attachment {
            if attachment.names.len() > MAX_STATED
                || attachment.names.iter().any(|name| name.len() > MAX_NAME)
            {
                return self.exceed(LimitExceeded::Names);
            }
            self.report.attachments.push(attachment);
        }
        match part.content {
            Content::Multipart {
                boundaries,
                children,
            } => {
                if boundaries.len() > MAX_STATED
                    || boundaries.iter().any(|b| b.len() > MAX_BOUNDARY)
                {
                    return self.exceed(LimitExceeded::Boundary);
                }
                self.enter(Container::Multipart {
                    boundaries,
                    children,
                });
            }
            Content::Message => {
                self.enter(Container::Message);
                if matches!(self.state, State::Body) {
                    self.state = State::Header(Vec::new());
                }
            }
            Content::Leaf
                if self
                    .enclosing
                    .iter()
                    .all(|c| matches!(c, Container::Message)) =>
            {
                self.state = State::Done
            }
            Content::Leaf => {}
        }
    }

    /// The type of a part without Content-Type, which its multipart decides.
    fn default_type(&self) -> ChildType {
        match self.enclosing.last() {
            Some(Container::Multipart { children, .. }) => *children,
            Some(Container::Message) | None => ChildType::Text,
        }
    }

    fn enter(&mut self, container: Container) {
        if self.enclosing.len() == self.limits.depth {
            return self.exceed(LimitExceeded::Depth);
        }
        self.enclosing.push(container);
    }

    fn exceed(&mut self, limit: LimitExceeded) {
        self.report.exceeded.get_or_insert(limit);
        self.state = State::Done;
        self.line = Vec::new();
    }
}
