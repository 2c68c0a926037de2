//! Command lines out of a byte buffer (RFC 5321 2.3.8, 4.5.3.1.4). Only CRLF ends a line.

use crate::Error;
use crate::reply::Refusal;

/// Octets of a plain command line, CRLF included (RFC 5321 4.5.3.1.4).
pub const MAX_COMMAND: usize = 512;
/// Octets of MAIL, RCPT and XCLIENT, which extensions lengthen: SIZE 26, 8BITMIME 17, AUTH 500, DSN 100 + 500, SMTPUTF8 10.
pub const MAX_EXTENDED_COMMAND: usize = 2048;
/// Octets of an AUTH command or of a SASL response (RFC 4954 4.9).
pub const MAX_AUTH: usize = 12_288;

/// What kind of line is expected, which bounds its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// A command; its verb decides the limit.
    Command,
    /// The answer to a 334.
    AuthResponse,
}

/// What [`LineReader::next`] found. Drop `consumed` octets from the front of the buffer before the next call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStep<'a> {
    /// No complete line. While the rest of a refused line is being skipped, `consumed` is what was skipped.
    NeedMore {
        /// Octets to drop.
        consumed: usize,
    },
    /// A line, without its CRLF.
    Line {
        /// The line's octets.
        line: &'a [u8],
        /// Octets to drop.
        consumed: usize,
    },
    /// A line that cannot be taken: [`Error::LineTooLong`] or [`Error::BareNewline`]. Reported once;
    /// everything up to the next CRLF is skipped.
    Fault {
        /// Why.
        error: Error,
        /// Octets to drop.
        consumed: usize,
    },
}

/// Finds lines in a buffer that the caller owns, without copying.
#[derive(Debug, Clone, Default)]
pub struct LineReader {
    /// Octets at the front of the buffer that are known to hold no line end.
    scanned: usize,
    skipping: bool,
}

impl LineReader {
    /// A reader at the start of a line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for the next line in `buffer`, which is everything received and not yet dropped.
    pub fn next<'a>(&mut self, buffer: &'a [u8], expect: Expect) -> LineStep<'a> {
        if self.skipping {
            return self.skip(buffer);
        }
        let from = self.scanned.min(buffer.len());
        match memchr::memchr2(b'\r', b'\n', &buffer[from..]) {
            None => self.wait_or_refuse(buffer, buffer.len(), expect),
            Some(offset) => self.end_line(buffer, from + offset, expect),
        }
    }

    fn end_line<'a>(&mut self, buffer: &'a [u8], at: usize, expect: Expect) -> LineStep<'a> {
        match (buffer[at], buffer.get(at + 1)) {
            (b'\r', None) => self.wait_or_refuse(buffer, at, expect),
            (b'\r', Some(b'\n')) => {
                self.scanned = 0;
                let (line, consumed) = (&buffer[..at], at + 2);
                if consumed > limit(buffer, expect) {
                    return LineStep::Fault {
                        error: Error::LineTooLong,
                        consumed,
                    };
                }
                LineStep::Line { line, consumed }
            }
            // The fault is told at once, since a peer that never sends CRLF would wait for ever.
            _ => self.refuse(Error::BareNewline, at + 1),
        }
    }

    /// No line end before `clean`: waits for more, unless the line is too long already.
    fn wait_or_refuse<'a>(
        &mut self,
        buffer: &'a [u8],
        clean: usize,
        expect: Expect,
    ) -> LineStep<'a> {
        if clean + 2 > limit(buffer, expect) {
            return self.refuse(Error::LineTooLong, clean);
        }
        self.scanned = clean;
        LineStep::NeedMore { consumed: 0 }
    }

    fn refuse<'a>(&mut self, error: Error, consumed: usize) -> LineStep<'a> {
        self.scanned = 0;
        self.skipping = true;
        LineStep::Fault { error, consumed }
    }

    fn skip<'a>(&mut self, buffer: &'a [u8]) -> LineStep<'a> {
        match memchr::memmem::find(buffer, b"\r\n") {
            Some(at) => {
                self.skipping = false;
                self.scanned = 0;
                LineStep::NeedMore { consumed: at + 2 }
            }
            // A last CR may be half of the line end.
            None => LineStep::NeedMore {
                consumed: buffer.len() - usize::from(buffer.ends_with(b"\r")),
            },
        }
    }
}

/// The limit in octets, CRLF included, for the line that `buffer` begins with.
fn limit(buffer: &[u8], expect: Expect) -> usize {
    let verb =
        |name: &[u8]| buffer.len() > name.len() && buffer[..name.len()].eq_ignore_ascii_case(name);
    match expect {
        Expect::AuthResponse => MAX_AUTH,
        Expect::Command if verb(b"AUTH ") => MAX_AUTH,
        Expect::Command if verb(b"MAIL ") || verb(b"RCPT ") || verb(b"XCLIENT ") => {
            MAX_EXTENDED_COMMAND
        }
        Expect::Command => MAX_COMMAND,
    }
}

/// The reply to a fault of a line.
pub fn refusal(error: Error) -> Refusal {
    match error {
        Error::LineTooLong => Refusal::new(500, (5, 5, 2), "Line too long"),
        // What follows a bare newline may be a smuggled command: nothing more is read.
        _ => Refusal::closing(500, (5, 5, 2), "Lines must end with CRLF"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds chunks into a buffer as a session does, and collects what comes out.
    fn run(chunks: &[&[u8]], expect: Expect) -> Vec<Result<Vec<u8>, Error>> {
        let (mut reader, mut buffer, mut found) = (LineReader::new(), Vec::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            loop {
                let (taken, stop) = match reader.next(&buffer, expect) {
                    LineStep::NeedMore { consumed } => (consumed, consumed == 0),
                    LineStep::Line { line, consumed } => {
                        found.push(Ok(line.to_vec()));
                        (consumed, false)
                    }
                    LineStep::Fault { error, consumed } => {
                        found.push(Err(error));
                        (consumed, false)
                    }
                };
                buffer.drain(..taken);
                if stop {
                    break;
                }
            }
        }
        found
    }

    fn line(text: &str) -> Result<Vec<u8>, Error> {
        Ok(text.as_bytes().to_vec())
    }

    #[test]
    fn finds_lines_however_they_are_cut() {
        let bytes = b"EHLO a\r\n\r\nMAIL FROM:<>\r\nQUI";
        let expected = [line("EHLO a"), line(""), line("MAIL FROM:<>")];
        assert_eq!(run(&[bytes], Expect::Command), expected);
        let cut: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(run(&cut, Expect::Command), expected);
    }

    #[test]
    fn reports_a_bare_newline_once_and_skips_to_the_next_line() {
        for bytes in [
            &b"NOOP\nRSET\nDATA\r\nQUIT\r\n"[..],
            b"NOOP\rRSET\nDATA\r\nQUIT\r\n",
            b"\nDATA\r\nQUIT\r\n",
        ] {
            let expected = [Err(Error::BareNewline), line("QUIT")];
            assert_eq!(
                run(&[bytes], Expect::Command),
                expected,
                "{}",
                bytes.escape_ascii()
            );
            let cut: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(
                run(&cut, Expect::Command),
                expected,
                "{}",
                bytes.escape_ascii()
            );
        }
    }

    #[test]
    fn tells_of_a_bare_newline_before_the_line_ends() {
        let step = LineReader::new().next(b"EHLO a\n", Expect::Command);
        assert_eq!(
            step,
            LineStep::Fault {
                error: Error::BareNewline,
                consumed: 7
            }
        );
    }

    #[test]
    fn holds_each_verb_to_its_limit() {
        for (verb, limit, expect) in [
            ("NOOP ", MAX_COMMAND, Expect::Command),
            ("mail ", MAX_EXTENDED_COMMAND, Expect::Command),
            ("AUTH ", MAX_AUTH, Expect::Command),
            ("NOOP ", MAX_AUTH, Expect::AuthResponse),
        ] {
            let fits = format!("{verb}{}\r\n", "x".repeat(limit - verb.len() - 2));
            let long = format!("{verb}{}\r\n", "x".repeat(limit - verb.len() - 1));
            let expected = [line(fits.trim_end()), Err(Error::LineTooLong), line("QUIT")];
            for size in [1, 100, usize::MAX] {
                let bytes = [fits.as_bytes(), long.as_bytes(), b"QUIT\r\n"].concat();
                let cut: Vec<&[u8]> = bytes.chunks(size).collect();
                assert_eq!(run(&cut, expect), expected, "{verb} by {size}");
            }
        }
    }

    #[test]
    fn never_asks_to_keep_more_than_a_line() {
        let mut reader = LineReader::new();
        let LineStep::Fault { consumed, .. } = reader.next(&[b'x'; 600], Expect::Command) else {
            panic!()
        };
        assert_eq!(consumed, 600);
        assert_eq!(
            reader.next(&[b'x'; 9999], Expect::Command),
            LineStep::NeedMore { consumed: 9999 }
        );
        assert_eq!(
            reader.next(b"xx\r", Expect::Command),
            LineStep::NeedMore { consumed: 2 }
        );
        assert_eq!(
            reader.next(b"\r\nQUIT\r\n", Expect::Command),
            LineStep::NeedMore { consumed: 2 }
        );
        assert!(matches!(
            reader.next(b"QUIT\r\n", Expect::Command),
            LineStep::Line {
                line: b"QUIT",
                consumed: 6
            }
        ));
    }
}
