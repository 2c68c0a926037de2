//! From the wire to the message: finds the end, takes the stuffed dots out, mends or refuses what is not CRLF. The chunks
//! of BDAT have no dots and no end of their own; all else is the same.

use super::scan::{Stop, next_stop};
use crate::reply::Refusal;

/// What becomes of a CR or an LF that stands alone, and of NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BareNewlines {
    /// Each becomes CRLF, and NUL is left out: old senders are honest.
    Normalize,
    /// The message is refused at its end with 550 5.6.0.
    Reject,
}

/// What [`Decoder::decode`] made of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataProgress {
    /// All of the input was taken and the message goes on.
    More,
    /// The message ended.
    End {
        /// Octets of this input that belong to the message and its end. What follows is the next command.
        consumed: usize,
    },
}

/// What was seen in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stats {
    /// Octets of the decoded message.
    pub octets: u64,
    /// The longest line in octets, without its CRLF.
    pub longest_line: u64,
    /// CRs and LFs that stood alone.
    pub bare_newlines: u64,
    /// NULs.
    pub nuls: u64,
    /// Whether an octet above 127 was seen.
    pub eight_bit: bool,
}

/// How a message lies on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// After DATA: dots are stuffed, and one alone is the end.
    Dots,
    /// In chunks: a dot is text, and whoever counts the octets says where the end is.
    Chunks,
}

/// Where the decoder stands. "Line" means what CRLF delimits on the wire: dots after a bare newline are text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    InLine,
    /// After a CR that may begin a line end.
    Cr,
    /// After a dot at the start of a line, which is held back.
    Dot,
    /// After such a dot and a CR.
    DotCr,
    Ended,
}

/// Decodes one message as it arrives.
#[derive(Debug, Clone)]
pub struct Decoder {
    policy: BareNewlines,
    framing: Framing,
    state: State,
    /// Octets of the line so far.
    line: u64,
    stats: Stats,
}

impl Decoder {
    /// A decoder that stands right after the 354.
    pub fn new(policy: BareNewlines) -> Self {
        Self::framed(policy, Framing::Dots)
    }

    /// A decoder for a message that comes by BDAT (RFC 3030): give it the octets of all chunks, then call
    /// [`Decoder::finish`]. Where one chunk ends and the next begins makes no difference.
    pub fn of_chunks(policy: BareNewlines) -> Self {
        Self::framed(policy, Framing::Chunks)
    }

    fn framed(policy: BareNewlines, framing: Framing) -> Self {
        Self {
            policy,
            framing,
            state: State::LineStart,
            line: 0,
            stats: Stats::default(),
        }
    }

    /// Decodes the front of `input` and hands each piece of the message to `sink`, in order. Clean runs are handed on
    /// as they lie in `input`. A message that is refused is followed to its end, and nothing more is handed on.
    /// After the end nothing is consumed.
    pub fn decode(&mut self, input: &[u8], mut sink: impl FnMut(&[u8])) -> DataProgress {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match (self.state, byte) {
                (State::Ended, _) => return DataProgress::End { consumed: 0 },
                (State::LineStart, b'.') if self.framing == Framing::Dots => {
                    self.state = State::Dot;
                    at += 1;
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCr;
                    at += 1;
                }
                (State::DotCr, b'\n') => {
                    self.state = State::Ended;
                    return DataProgress::End { consumed: at + 1 };
                }
                (State::Cr, b'\n') => {
                    self.end_line(&mut sink);
                    self.state = State::LineStart;
                    at += 1;
                }
                (State::Cr | State::DotCr, _) => {
                    self.mend_newline(&mut sink);
                    self.state = State::InLine;
                }
                (State::LineStart | State::Dot | State::InLine, _) => {
                    at = self.decode_lines(input, at, &mut sink)
                }
            }
        }
        DataProgress::More
    }

    /// [`Decoder::decode`] into a vector.
    pub fn decode_into(&mut self, input: &[u8], out: &mut Vec<u8>) -> DataProgress {
        self.decode(input, |piece| out.extend_from_slice(piece))
    }

    /// Ends a message of chunks: a CR that was its last octet is a line end. One that ended by itself is left as it is.
    pub fn finish(&mut self, mut sink: impl FnMut(&[u8])) {
        if self.state == State::Cr {
            self.mend_newline(&mut sink);
        }
        self.state = State::Ended;
    }

    /// Takes text and line ends from `start`, where a line stands without a dot to look at, up to the next dot at the
    /// start of a line, the next octet to mend, or the end of the input. Returns where it stopped.
    fn decode_lines(&mut self, input: &[u8], start: usize, sink: &mut impl FnMut(&[u8])) -> usize {
        self.state = State::InLine;
        let mut line_start = start;
        loop {
            match next_stop(input, line_start) {
                Stop::LineEnd(at) => {
                    self.line += (at - line_start) as u64;
                    self.close_line();
                    line_start = at + 2;
                    if matches!(input.get(line_start), None | Some(b'.')) {
                        self.state = State::LineStart;
                        self.emit(&input[start..line_start], sink);
                        return line_start;
                    }
                }
                Stop::Bare(at) => {
                    self.line += (at - line_start) as u64;
                    self.emit(&input[start..at], sink);
                    self.mend_newline(sink);
                    return at + 1;
                }
                Stop::Nul(at) => {
                    self.line += (at - line_start) as u64;
                    self.emit(&input[start..at], sink);
                    self.stats.nuls += 1;
                    return at + 1;
                }
                Stop::LastCr(at) => {
                    self.line += (at - line_start) as u64;
                    self.state = State::Cr;
                    self.emit(&input[start..at], sink);
                    return at + 1;
                }
                Stop::Nothing => {
                    self.line += (input.len() - line_start) as u64;
                    self.emit(&input[start..], sink);
                    return input.len();
                }
            }
        }
    }

    fn mend_newline(&mut self, sink: &mut impl FnMut(&[u8])) {
        self.stats.bare_newlines += 1;
        self.end_line(sink);
    }

    fn end_line(&mut self, sink: &mut impl FnMut(&[u8])) {
        self.close_line();
        self.emit(b"\r\n", sink);
    }

    fn close_line(&mut self) {
        self.stats.longest_line = self.stats.longest_line.max(self.line);
        self.line = 0;
    }

    fn emit(&mut self, run: &[u8], sink: &mut impl FnMut(&[u8])) {
        if run.is_empty() {
            return;
        }
        self.stats.octets += run.len() as u64;
        self.stats.eight_bit |= !run.is_ascii();
        if !self.is_refused() {
            sink(run);
        }
    }

    /// What was seen so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn is_refused(&self) -> bool {
        self.policy == BareNewlines::Reject && (self.stats.bare_newlines > 0 || self.stats.nuls > 0)
    }

    /// The refusal to send at the end, if the policy is `Reject` and the message breaks it.
    pub fn refusal(&self) -> Option<Refusal> {
        let text = match (self.stats.bare_newlines, self.stats.nuls) {
            (1.., _) => "Message has a bare CR or LF",
            _ => "Message has a NUL",
        };
        self.is_refused()
            .then(|| Refusal::new(550, (5, 6, 0), text))
    }
}
