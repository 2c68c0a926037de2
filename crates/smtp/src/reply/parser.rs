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
        let _ = (
            input,
            self.limits,
            &self.partial,
            self.octets,
            self.code,
            self.enhanced,
            &self.lines,
        );
        unimplemented!()
    }

    /// Whether a reply has begun and not ended: octets of it came.
    pub fn is_mid_reply(&self) -> bool {
        self.octets > 0
    }
}
