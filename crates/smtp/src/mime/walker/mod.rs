//! Walks the parts of a message in chunks and bounded memory.

mod parts;

use std::mem;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::delimiter::{Delimiter, Enclosing, MAX_DELIMITER};
use super::leaf::Leaf;
use super::report::{LimitExceeded, Report, WalkerLimits};
use super::steps;
use super::text::Collector;

/// Messages that are encoded within one another.
const MAX_ENCODED: usize = 3;
/// Bodies that go on at once, where a line ends a part to some readers and not to others.
const MAX_LEAVES: usize = 4;

/// Octets of a header section, as a rule.
const SECTION: usize = 4096;

/// What a line begins with, and the end of the one before, if it may be a delimiter.
static CANDIDATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\n--"));

/// Walks one message.
#[derive(Debug)]
pub struct Walker {
    /// What is left of them.
    limits: WalkerLimits,
    /// How many more messages may be encoded within one another.
    encoded: usize,
    state: State,
    enclosing: Enclosing,
    /// The beginning of a line whose end has not come; of a body line only if it may be a delimiter.
    line: Vec<u8>,
    /// Whether a body line goes on that is no delimiter.
    mid_line: bool,
    /// Whether a delimiter goes on beyond what was looked at.
    skipping: bool,
    /// The bodies that go on here: one, or none, unless readers disagree.
    leaves: Vec<Leaf>,
    text: Option<Collector>,
    report: Report,
}

#[derive(Debug)]
enum State {
    /// In a header section, of which this much came.
    Header(Vec<u8>),
    /// In a body, a preamble or an epilogue.
    Body,
    /// Nothing more can be found.
    Done,
}

impl Walker {
    /// A walker at the start of a message's header section.
    pub fn new(limits: WalkerLimits) -> Self {
        let report = Report {
            attachments: Vec::new(),
            parts: 1,
            text: None,
            exceeded: None,
        };
        Self {
            limits,
            encoded: MAX_ENCODED,
            state: State::Header(Vec::with_capacity(SECTION)),
            enclosing: Enclosing::default(),
            line: Vec::new(),
            mid_line: false,
            skipping: false,
            leaves: Vec::new(),
            text: None,
            report,
        }
    }

    /// Collects the text too, at most `most` octets of UTF-8 in all; see [`Text`](super::Text) for what rules see.
    /// While a part passes as many octets of it are kept, and at its end up to three times as many for a moment; if
    /// a part can be read in several ways, they share.
    #[must_use]
    pub fn with_text(self, most: usize) -> Self {
        Self {
            text: Some(Collector::new(most)),
            ..self
        }
    }

    /// Takes the next chunk of the message, header section included, without stuffed dots.
    pub fn feed(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match self.state {
                _ if self.skipping => self.skip_line(rest),
                State::Header(_) => self.feed_header(rest),
                State::Body => self.feed_body(rest),
                State::Done => return,
            };
        }
    }

    /// Ends the message.
    pub fn finish(mut self) -> Report {
        let line = mem::take(&mut self.line);
        match self.state {
            State::Header(_) if !line.is_empty() => self.take_header_line(&line),
            State::Body if !line.is_empty() => self.take_candidate(&line),
            _ => {}
        }
        if let State::Header(section) = &mut self.state {
            let section = mem::take(section);
            self.end_header(&section);
        }
        self.end_leaves();
        self.report.text = self.text.map(Collector::into_text);
        self.report
    }

    /// Takes a line, or what there is of it; answers with what follows.
    fn feed_header<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let Some(at) = memchr::memchr(b'\n', chunk) else {
            self.keep(chunk);
            return &[];
        };
        let (piece, rest) = chunk.split_at(at + 1);
        if self.line.is_empty() {
            self.take_header_line(piece);
        } else {
            self.keep(piece);
            let line = mem::take(&mut self.line);
            self.take_header_line(&line);
        }
        rest
    }

    /// Keeps the beginning of a header line.
    fn keep(&mut self, piece: &[u8]) {
        if piece.len() > self.limits.part_header.saturating_sub(self.line.len()) {
            return self.exceed(LimitExceeded::PartHeader);
        }
        self.line.extend_from_slice(piece);
    }

    fn take_header_line(&mut self, line: &[u8]) {
        steps::add(line.len());
        if line.len() > self.limits.part_header {
            return self.exceed(LimitExceeded::PartHeader);
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if let Some(delimiter) = self.find_delimiter(text) {
            if let State::Header(section) = mem::replace(&mut self.state, State::Body) {
                self.end_header(&section);
            }
            return self.take_delimiter(delimiter, line);
        }
        let State::Header(section) = &mut self.state else {
            return;
        };
        if text.is_empty() {
            let section = mem::take(section);
            self.feed_leaves(line);
            return self.end_header(&section);
        }
        if section.len() + text.len() + 2 > self.limits.part_header {
            return self.exceed(LimitExceeded::PartHeader);
        }
        section.extend_from_slice(text);
        section.extend_from_slice(b"\r\n");
        self.feed_leaves(line);
    }

    /// Takes text up to a line that may be a delimiter, or that line; answers with what follows.
    fn feed_body<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        if !self.enclosing.has_boundaries() {
            self.feed_leaves(chunk);
            if self.leaves.is_empty() {
                self.state = State::Done;
            }
            return &[];
        }
        if self.mid_line {
            return self.pass_text(chunk);
        }
        if self.line.len() >= 2 {
            return self.feed_candidate(chunk);
        }
        if chunk[0] == b'-' {
            self.line.push(b'-');
            return &chunk[1..];
        }
        let hyphen = mem::take(&mut self.line);
        self.feed_leaves(&hyphen);
        self.mid_line = true;
        chunk
    }

    /// Passes on what no delimiter can begin in. This is where the octets of large messages go by.
    fn pass_text<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let (text, rest) = match CANDIDATE.find(chunk) {
            Some(at) => chunk.split_at(at + 1),
            None => chunk.split_at(chunk.len() - usize::from(chunk.ends_with(b"\n-"))),
        };
        steps::add(text.len());
        self.mid_line = !text.ends_with(b"\n");
        self.feed_leaves(text);
        rest
    }

    /// Takes more of a line that begins with two hyphens.
    fn feed_candidate<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let room = MAX_DELIMITER - self.line.len();
        let within = &chunk[..chunk.len().min(room)];
        let end = memchr::memchr(b'\n', within).map(|at| at + 1);
        let (piece, rest) = chunk.split_at(end.unwrap_or(within.len()));
        self.line.extend_from_slice(piece);
        if end.is_some() || self.line.len() == MAX_DELIMITER {
            let line = mem::take(&mut self.line);
            self.mid_line = end.is_none();
            self.take_candidate(&line);
            self.skipping = end.is_none() && !self.mid_line;
        }
        rest
    }

    fn take_candidate(&mut self, line: &[u8]) {
        steps::add(line.len());
        match self.find_delimiter(line.trim_ascii_end()) {
            Some(delimiter) => {
                self.mid_line = false;
                self.take_delimiter(delimiter, line);
            }
            None => self.feed_leaves(line),
        }
    }

    fn skip_line<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let end = memchr::memchr(b'\n', chunk).map(|at| at + 1);
        self.skipping = end.is_none();
        let (piece, rest) = chunk.split_at(end.unwrap_or(chunk.len()));
        self.feed_leaves(piece);
        rest
    }

    fn find_delimiter(&self, line: &[u8]) -> Option<Delimiter> {
        if line.starts_with(b"--") {
            self.enclosing.find(line)
        } else {
            None
        }
    }

    fn take_delimiter(&mut self, delimiter: Delimiter, line: &[u8]) {
        if matches!(self.state, State::Done) {
            return;
        }
        // A closed multipart stays in force: some readers go on after its last delimiter, if another follows.
        match delimiter {
            Delimiter::Next { level } => {
                self.leaves.retain(|leaf| !leaf.is_preamble_of(level));
                self.leave_to(level);
            }
            Delimiter::Last { level } => {
                self.leave_to(level);
                self.state = State::Body;
                return;
            }
            // To the grammar the body goes on, with what the other readers take for a header.
            Delimiter::Lax => self.feed_leaves(line),
        }
        self.state = State::Header(Vec::with_capacity(SECTION));
        self.add_parts(1);
    }

    fn leave_to(&mut self, level: usize) {
        self.end_leaves();
        self.enclosing.leave_to(level);
    }

    fn feed_leaves(&mut self, octets: &[u8]) {
        let mut ended = false;
        for leaf in &mut self.leaves {
            leaf.feed(octets);
            ended |= leaf.is_idle();
        }
        // What was found is reported in the order of parts, so one that ends waits for those before it.
        while ended && self.leaves.first().is_some_and(Leaf::is_idle) {
            let leaf = self.leaves.remove(0);
            self.end_leaf(leaf);
        }
    }

    fn end_leaves(&mut self) {
        for leaf in mem::take(&mut self.leaves) {
            self.end_leaf(leaf);
        }
    }

    /// Stops at a limit. What was found until then stays.
    fn exceed(&mut self, limit: LimitExceeded) {
        self.report.exceeded.get_or_insert(limit);
        self.state = State::Done;
        self.line = Vec::new();
    }
}
