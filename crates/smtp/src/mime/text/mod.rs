//! The text of a message as rules on its body see it.

mod html;

use super::extension::is_format;
use super::steps;
use crate::charset;

/// What a reader would read, for rules to match.
///
/// - Transfer encodings are undone, charsets become UTF-8 (without a known one: UTF-8 if it is that, ISO-2022-JP if it
///   escapes to it, else Windows-1252), and lines end with LF.
/// - HTML is rendered: tags go without a trace (`V<b>ia</b>gra` is one word) or end a line where they do on screen, white
///   space runs together, character references become characters; styles, scripts and comments are left out. What
///   readers disagree on is text: what follows a comment or a quote without an end, templates, titles and frames. After
///   it come the addresses in `href`, `src`, `action`, `data`, `formaction` and `background`, one a line, since a
///   rule on a phishing site must see where a link leads and not what it says.
/// - Invisible characters (zero-width ones, soft hyphens, marks of direction, controls) are left out, which are there
///   to break words for machines alone.
/// - Parts follow one another in order, each on lines of its own: `text/*`, a message without a type, HTML by any
///   other type if its name says so, and those of messages within. The text after which a multipart's first
///   delimiter comes, and after its last, is not shown by readers and not here.
///
/// Words may be broken by line ends as they are in the message: `\s+` finds them, a space does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text, at most as long as was asked for.
    pub body: String,
    /// Whether there was more than this.
    pub is_cut: bool,
}

/// A [`Text`] that grows up to its bound.
#[derive(Debug)]
pub(super) struct Collector {
    text: Text,
    most: usize,
}

impl Collector {
    pub(super) fn new(most: usize) -> Self {
        Self {
            text: Text::default(),
            most,
        }
    }

    /// Room for the octets of one part, or for its share of it if several read the same ones.
    pub(super) fn raw(&self, kind: &TextKind, share: usize) -> Raw {
        // Markup may be many times its text, so a part may have as much as all text, as long as there is room.
        let most = if self.room() == 0 {
            0
        } else {
            self.most / share
        };
        Raw {
            octets: Vec::new(),
            kind: kind.clone(),
            most,
            is_cut: false,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.most - self.text.body.len()
    }

    pub(super) fn into_text(self) -> Text {
        self.text
    }

    /// Adds the text of one part.
    pub(super) fn add(&mut self, raw: &Raw) {
        steps::add(raw.octets.len());
        self.text.is_cut |= raw.is_cut;
        let decoded = match &raw.kind.charset {
            Some(label) => charset::decode(label, &raw.octets),
            None => charset::guess(&raw.octets),
        };
        match raw.kind.markup {
            Markup::None => self.push(&decoded),
            Markup::Html => html::render(&decoded, self),
        }
        self.end_line();
    }

    /// Adds the text of a message within.
    pub(super) fn absorb(&mut self, text: &Text) {
        self.text.is_cut |= text.is_cut;
        self.push(&text.body);
        self.end_line();
    }

    fn end_line(&mut self) {
        if self.room() > 0 && !self.text.body.is_empty() && !self.text.body.ends_with('\n') {
            self.push("\n");
        }
    }

    /// Adds what is visible of `text`.
    fn push(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let end = visible_length(rest);
            self.push_visible(&rest[..end]);
            let mut after = rest[end..].chars();
            match after.next() {
                Some('\r') if !after.as_str().starts_with('\n') => self.push_visible("\n"),
                Some(NO_BREAK) => self.push_visible(" "),
                _ => {}
            }
            rest = after.as_str();
        }
    }

    fn push_visible(&mut self, text: &str) {
        let end = text.floor_char_boundary(self.room());
        self.text.body.push_str(&text[..end]);
        self.text.is_cut |= end < text.len();
    }
}

/// Octets that are judged together.
const BLOCK: usize = 32;

/// Octets before the first character that is left out or replaced.
fn visible_length(text: &str) -> usize {
    let plain = |octet: &u8| matches!(octet, b'\n' | b'\t' | b' '..=b'~');
    let mut start = 0;
    loop {
        // Most text is plain: so many octets at once, without a branch for each.
        let rest = &text.as_bytes()[start..];
        let blocks = rest.chunks_exact(BLOCK);
        let blocks =
            blocks.take_while(|block| block.iter().fold(true, |all, octet| all & plain(octet)));
        let skipped = blocks.count() * BLOCK;
        let other = rest[skipped..].iter().position(|octet| !plain(octet));
        let at = start + other.map_or(rest.len(), |other| skipped + other);
        match text[at..].chars().next() {
            Some(c) if !is_invisible(c) => start = at + c.len_utf8(),
            _ => return at,
        }
    }
}

/// A space to those who read.
const NO_BREAK: char = '\u{A0}';

/// What is left out, or is not what it looks like.
fn is_invisible(c: char) -> bool {
    match c {
        '\n' | '\t' | ' '..='~' => false,
        _ => c.is_control() || c == NO_BREAK || is_format(c),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Markup {
    None,
    Html,
}

/// What a text part says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextKind {
    /// `None` if it names none, or one under which everything is ASCII.
    pub(super) charset: Option<Vec<u8>>,
    pub(super) markup: Markup,
}

/// The octets of one text part, their transfer encoding undone.
#[derive(Debug)]
pub(super) struct Raw {
    octets: Vec<u8>,
    kind: TextKind,
    most: usize,
    is_cut: bool,
}

impl Raw {
    pub(super) fn feed(&mut self, octets: &[u8]) {
        let taken = octets.len().min(self.most - self.octets.len());
        self.octets.extend_from_slice(&octets[..taken]);
        self.is_cut |= taken < octets.len();
    }

    /// Whether what comes is of no use.
    pub(super) fn is_full(&self) -> bool {
        self.is_cut
    }
}

#[cfg(test)]
mod tests;
