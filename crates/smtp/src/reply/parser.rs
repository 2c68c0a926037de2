//! Reads replies of an upstream server, as bytes arrive. Strict: only CRLF ends a line, and all lines of a reply carry one code.

use std::borrow::Cow;

use super::{EnhancedCode, Reply};
use crate::Error;

/// Bounds on one reply.
#[derive(Debug, Clone, Copy)]
pub struct ReplyLimits {
    /// Lines in one reply.
    pub lines: usize,
    /// Octets in one reply, codes and line ends included.
    pub octets: usize,
}

impl Default for ReplyLimits {
    /// 128 lines and 64 KiB: room for an EHLO of any server, and for a SASL challenge of 12,288 octets.
    fn default() -> Self {
        Self {
            lines: 128,
            octets: 64 * 1024,
        }
    }
}

/// What [`ReplyParser::feed`] made of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyProgress {
    /// All of the input was taken and the reply goes on.
    NeedMore,
    /// The reply is complete; what follows `consumed` belongs to the next one.
    Done {
        /// Octets of this input that belong to the reply.
        consumed: usize,
        /// The reply.
        reply: Reply,
    },
}

/// Collects one reply after the other from the bytes of an upstream connection.
///
/// After an error the stream is out of step: drop the connection.
#[derive(Debug, Default)]
pub struct ReplyParser {
    limits: ReplyLimits,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    octets: usize,
    code: Option<u16>,
    enhanced: Option<EnhancedCode>,
    lines: Vec<Cow<'static, str>>,
}

impl ReplyParser {
    /// A parser with its own limits.
    pub fn new(limits: ReplyLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Takes the next octets from the connection.
    ///
    /// # Errors
    /// [`Error::ReplyCode`], [`Error::ReplyMixedCodes`], [`Error::ReplyTooLong`], [`Error::BareNewline`].
    pub fn feed(&mut self, input: &[u8]) -> Result<ReplyProgress, Error> {
        let mut at = 0;
        while let Some(offset) = memchr::memchr(b'\n', &input[at..]) {
            let end = at + offset + 1;
            self.count(end - at)?;
            let last = if self.partial.is_empty() {
                self.take_line(&input[at..end])?
            } else {
                let mut line = std::mem::take(&mut self.partial);
                line.extend_from_slice(&input[at..end]);
                self.take_line(&line)?
            };
            at = end;
            if let Some(reply) = last {
                return Ok(ReplyProgress::Done {
                    consumed: at,
                    reply,
                });
            }
        }
        self.count(input.len() - at)?;
        self.partial.extend_from_slice(&input[at..]);
        Ok(ReplyProgress::NeedMore)
    }

    /// Whether a reply has begun and not ended: octets of it came.
    pub fn is_mid_reply(&self) -> bool {
        self.octets > 0
    }

    fn count(&mut self, octets: usize) -> Result<(), Error> {
        self.octets = self.octets.saturating_add(octets);
        if self.octets > self.limits.octets {
            Err(Error::ReplyTooLong)
        } else {
            Ok(())
        }
    }

    /// Takes a line with its LF; returns the reply if it was the last line.
    fn take_line(&mut self, line: &[u8]) -> Result<Option<Reply>, Error> {
        let line = line.strip_suffix(b"\r\n").ok_or(Error::BareNewline)?;
        if memchr::memchr(b'\r', line).is_some() {
            return Err(Error::BareNewline);
        }
        let (code, separator, text) = split_line(line)?;
        if self.code.is_some_and(|first| first != code) {
            return Err(Error::ReplyMixedCodes);
        }
        if self.lines.len() == self.limits.lines {
            return Err(Error::ReplyTooLong);
        }
        let first = self.code.replace(code).is_none();
        self.take_text(code, first, text);
        Ok((separator == Separator::Last).then(|| self.complete(code)))
    }

    fn take_text(&mut self, code: u16, first: bool, text: &[u8]) {
        let text = harmless(text);
        let (enhanced, rest) = split_enhanced(code, &text);
        if first {
            self.enhanced = enhanced;
        }
        // A later line repeats the code of the first; whatever else stands there is text.
        let line = if enhanced == self.enhanced {
            rest.to_owned()
        } else {
            text
        };
        self.lines.push(Cow::Owned(line));
    }

    fn complete(&mut self, code: u16) -> Reply {
        self.octets = 0;
        self.code = None;
        Reply::multiline(code, self.enhanced.take(), std::mem::take(&mut self.lines))
    }
}

/// Replies go to logs and to clients, where controls (NUL, escape sequences) would act instead of being read.
fn harmless(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.chars().any(char::is_control) {
        text.replace(char::is_control, "?")
    } else {
        text.into_owned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    More,
    Last,
}

fn split_line(line: &[u8]) -> Result<(u16, Separator, &[u8]), Error> {
    let &[
        a @ b'2'..=b'5',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        ref rest @ ..,
    ] = line
    else {
        return Err(Error::ReplyCode);
    };
    let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    match rest {
        [] => Ok((code, Separator::Last, rest)),
        [b' ', text @ ..] => Ok((code, Separator::Last, text)),
        [b'-', text @ ..] => Ok((code, Separator::More, text)),
        _ => Err(Error::ReplyCode),
    }
}

/// Splits off an enhanced code whose class agrees with the reply code; any other is text.
fn split_enhanced(code: u16, text: &str) -> (Option<EnhancedCode>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match EnhancedCode::parse(word) {
        Some(enhanced) if u16::from(enhanced.class) == code / 100 => (Some(enhanced), rest),
        _ => (None, text),
    }
}
