//! Replies: what a server says (RFC 5321 4.2), with the enhanced status codes of RFC 2034 and RFC 3463.

mod parser;

use std::borrow::Cow;
use std::fmt;

pub use parser::{ReplyLimits, ReplyParser, ReplyProgress};

/// Octets in a reply line, CRLF included (RFC 5321 4.5.3.1.5). Longer text is wrapped into more lines.
pub const MAX_LINE: usize = 512;

/// The status code in three parts of RFC 3463, such as `5.7.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedCode {
    /// 2, 4 or 5.
    pub class: u8,
    /// The area concerned, 0 to 999.
    pub subject: u16,
    /// What about it, 0 to 999.
    pub detail: u16,
}

impl EnhancedCode {
    /// The code `class.subject.detail`.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }

    /// Parses `5.7.1`; `None` unless it is in the form of RFC 3463.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let subject = parse_number(parts.next()?)?;
        let detail = parse_number(parts.next()?)?;
        parts.next().is_none().then_some(Self {
            class,
            subject,
            detail,
        })
    }
}

fn parse_number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    if digits && !padded {
        text.parse().ok()
    } else {
        None
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl From<(u8, u16, u16)> for EnhancedCode {
    fn from((class, subject, detail): (u8, u16, u16)) -> Self {
        Self::new(class, subject, detail)
    }
}

/// What the first digit of a reply code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// 2xx: done.
    Completion,
    /// 3xx: go on.
    Intermediate,
    /// 4xx: not now.
    Transient,
    /// 5xx: not like this.
    Permanent,
}

/// One reply: a code, perhaps an enhanced code, and at least one line of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    lines: Vec<Cow<'static, str>>,
}

impl Reply {
    /// A reply of one line with an enhanced code. A `code` outside 200 to 599 becomes 451, so that a
    /// wrong caller can never tell a peer that mail was accepted.
    pub fn new(
        code: u16,
        enhanced: impl Into<EnhancedCode>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code: valid_code(code),
            enhanced: Some(enhanced.into()),
            lines: vec![text.into()],
        }
    }

    /// A reply of one line without an enhanced code: greetings, EHLO, 334 and 354 have none (RFC 2034 section 4).
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: valid_code(code),
            enhanced: None,
            lines: vec![text.into()],
        }
    }

    /// A reply of several lines; with none it has one empty line.
    pub fn multiline(
        code: u16,
        enhanced: Option<EnhancedCode>,
        mut lines: Vec<Cow<'static, str>>,
    ) -> Self {
        if lines.is_empty() {
            lines.push(Cow::Borrowed(""));
        }
        Self {
            code: valid_code(code),
            enhanced,
            lines,
        }
    }

    /// The reply with ` [tag]` after its last line, for a decision id.
    #[must_use]
    pub fn tagged(mut self, tag: impl fmt::Display) -> Self {
        if let Some(last) = self.lines.last_mut() {
            let separator = if last.is_empty() { "" } else { " " };
            *last = Cow::Owned(format!("{last}{separator}[{tag}]"));
        }
        self
    }

    /// The code, 200 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code, if the reply has one.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The lines of text, without codes; at least one.
    pub fn lines(&self) -> &[Cow<'static, str>] {
        &self.lines
    }

    /// The lines joined by a space, for logs and for the ledger.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// What the code's first digit says.
    pub fn class(&self) -> Class {
        match self.code / 100 {
            2 => Class::Completion,
            3 => Class::Intermediate,
            4 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    /// 2xx.
    pub fn is_completion(&self) -> bool {
        self.class() == Class::Completion
    }

    /// 3xx.
    pub fn is_intermediate(&self) -> bool {
        self.class() == Class::Intermediate
    }

    /// 4xx.
    pub fn is_transient(&self) -> bool {
        self.class() == Class::Transient
    }

    /// 5xx.
    pub fn is_permanent(&self) -> bool {
        self.class() == Class::Permanent
    }

    /// 421: the peer closes the connection, whatever was asked (RFC 5321 3.8).
    pub fn is_closing(&self) -> bool {
        self.code == 421
    }

    /// Appends the reply as it goes on the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let prefix = self.enhanced.map(|e| format!("{e} ")).unwrap_or_default();
        let room = MAX_LINE - 2 - 4 - prefix.len();
        // A SASL challenge is one token of up to 12,288 octets (RFC 4954 4.9): never wrapped.
        let room = if self.code == 334 { usize::MAX } else { room };
        let last = self.lines.len().saturating_sub(1);
        for (index, line) in self.lines.iter().enumerate() {
            let mut rest = line.as_ref();
            loop {
                let (piece, tail) = split_to_fit(rest, room);
                let separator = if index == last && tail.is_empty() {
                    b' '
                } else {
                    b'-'
                };
                self.write_line(separator, &prefix, piece, out);
                rest = tail;
                if rest.is_empty() {
                    break;
                }
            }
        }
    }

    fn write_line(&self, separator: u8, prefix: &str, text: &str, out: &mut Vec<u8>) {
        let digit = |divisor: u16| b'0' + (self.code / divisor % 10) as u8;
        out.extend_from_slice(&[digit(100), digit(10), digit(1), separator]);
        out.extend_from_slice(prefix.as_bytes());
        out.extend(text.chars().map(|c| {
            if matches!(c, ' '..='~') {
                c as u8
            } else {
                b'?'
            }
        }));
        out.extend_from_slice(b"\r\n");
    }

    /// The reply as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * self.lines.len());
        self.write_to(&mut out);
        out
    }
}

const fn valid_code(code: u16) -> u16 {
    if code >= 200 && code <= 599 {
        code
    } else {
        451
    }
}

/// Splits so that the first piece has at most `room` characters, at a space where there is one late enough.
fn split_to_fit(text: &str, room: usize) -> (&str, &str) {
    let Some((hard, _)) = text.char_indices().nth(room) else {
        return (text, "");
    };
    match text[..hard].rfind(' ') {
        Some(space) if space > hard / 2 => (&text[..space], &text[space + 1..]),
        _ => text.split_at(hard),
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text())
    }
}

/// Whether the connection goes on after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Then {
    /// The next line is the next command.
    Continue,
    /// What follows on the wire cannot be told apart from commands, or the peer breaks the rules: answer and close.
    Close,
}

/// A reply that refuses a command, and what becomes of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the client is told.
    pub reply: Reply,
    /// Whether the connection goes on.
    pub then: Then,
}

impl Refusal {
    /// Refuses and goes on.
    pub fn new(
        code: u16,
        enhanced: impl Into<EnhancedCode>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            reply: Reply::new(code, enhanced, text),
            then: Then::Continue,
        }
    }

    /// Refuses and closes.
    pub fn closing(
        code: u16,
        enhanced: impl Into<EnhancedCode>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            reply: Reply::new(code, enhanced, text),
            then: Then::Close,
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        refusal.reply
    }
}

#[cfg(test)]
mod tests;
