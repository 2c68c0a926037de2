//! From the message to the wire: stuffs dots and ends with CRLF.CRLF.

use super::scan::{Stop, next_stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    LineStart,
    InLine,
    /// After a CR that ended a chunk; nothing of it was written yet.
    Cr,
}

/// Encodes one message as it is produced. Whatever it is given, its output holds no bare CR or LF, no NUL, and its
/// only CRLF.CRLF is the last.
#[derive(Debug, Clone, Default)]
pub struct Encoder {
    state: State,
}

impl Encoder {
    /// An encoder at the start of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encodes a chunk and hands each piece to `sink`, in order. Clean runs are handed on as they lie in `chunk`.
    pub fn encode(&mut self, chunk: &[u8], mut sink: impl FnMut(&[u8])) {
        let mut at = 0;
        if self.state == State::Cr && !chunk.is_empty() {
            sink(b"\r\n");
            self.state = State::LineStart;
            at = usize::from(chunk[0] == b'\n');
        }
        while at < chunk.len() {
            at = self.encode_lines(chunk, at, &mut sink);
        }
    }

    /// [`Encoder::encode`] into a vector.
    pub fn encode_into(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.encode(chunk, |piece| out.extend_from_slice(piece));
    }

    /// Takes a run from `start` up to the next octet to mend or the end of the chunk. Returns where it stopped.
    fn encode_lines(&mut self, chunk: &[u8], start: usize, sink: &mut impl FnMut(&[u8])) -> usize {
        let (mut run, mut line_start) = (start, start);
        loop {
            if self.state == State::LineStart && chunk.get(line_start) == Some(&b'.') {
                // The run ends with the dot and the next begins with it: it goes out twice.
                sink(&chunk[run..=line_start]);
                run = line_start;
            }
            let (end, next) = match next_stop(chunk, line_start) {
                Stop::LineEnd(at) => {
                    self.state = State::LineStart;
                    line_start = at + 2;
                    if line_start < chunk.len() {
                        continue;
                    }
                    (line_start, line_start)
                }
                Stop::Nothing => {
                    self.state = if line_start < chunk.len() {
                        State::InLine
                    } else {
                        self.state
                    };
                    (chunk.len(), chunk.len())
                }
                Stop::LastCr(at) => {
                    self.state = State::Cr;
                    (at, at + 1)
                }
                Stop::Nul(at) => {
                    self.state = if line_start < at {
                        State::InLine
                    } else {
                        self.state
                    };
                    (at, at + 1)
                }
                Stop::Bare(at) => {
                    self.state = State::LineStart;
                    flush(&chunk[run..at], sink);
                    sink(b"\r\n");
                    return at + 1;
                }
            };
            flush(&chunk[run..end], sink);
            return next;
        }
    }

    /// The octets that end the message: a CRLF if its last line has none, and `.CRLF`.
    pub fn finish(self) -> &'static [u8] {
        match self.state {
            State::LineStart => b".\r\n",
            State::InLine | State::Cr => b"\r\n.\r\n",
        }
    }
}

fn flush(run: &[u8], sink: &mut impl FnMut(&[u8])) {
    if !run.is_empty() {
        sink(run);
    }
}
