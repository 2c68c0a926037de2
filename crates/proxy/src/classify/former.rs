//! Received fields that a client brought, under another name of the same length: an engine that takes the first of them for our
//! word must not take these for it.

use std::borrow::Cow;

const NAME: &[u8] = b"Received";
const FORMER: &[u8] = b"X-Former";

/// Renames them in a message that passes in chunks whose lines end with CRLF, in the memory of one name.
#[derive(Debug, Default)]
pub(super) struct Former {
    at: At,
    /// The beginning of a line of which too little came to tell.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    LineStart,
    Line,
    Body,
}

impl Former {
    /// What of a chunk goes on. All chunks together are as long as what came in, with what [`Former::finish`] gives.
    pub(super) fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]> {
        if self.at == At::Body {
            return Cow::Borrowed(chunk);
        }
        let mut passed = std::mem::take(&mut self.begun);
        passed.extend_from_slice(chunk);
        let mut from = 0;
        while from < passed.len() {
            let ahead = &mut passed[from..];
            match self.at {
                At::LineStart => match begin_line(ahead) {
                    Some(at) => self.at = at,
                    None => {
                        self.begun = passed.split_off(from);
                        break;
                    }
                },
                At::Line => match memchr::memchr(b'\n', ahead) {
                    Some(end) => {
                        from += end + 1;
                        self.at = At::LineStart;
                    }
                    None => break,
                },
                At::Body => break,
            }
        }
        Cow::Owned(passed)
    }

    /// What is left at the end of the message.
    pub(super) fn finish(self) -> Vec<u8> {
        self.begun
    }
}

/// Where a line leads, renamed if need be; nothing if more of it is needed to tell.
fn begin_line(line: &mut [u8]) -> Option<At> {
    match line {
        [b'\r'] => return None,
        [b'\r', b'\n', ..] => return Some(At::Body),
        _ => {}
    }
    let compared = line.len().min(NAME.len());
    if !line[..compared].eq_ignore_ascii_case(&NAME[..compared]) {
        return Some(At::Line);
    }
    // White space may stand before the colon (RFC 5322 4.5); whatever is no longer name is this one.
    let next = *line.get(NAME.len())?;
    if next == b':' || !next.is_ascii_graphic() {
        line[..NAME.len()].copy_from_slice(FORMER);
    }
    Some(At::Line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pass(message: &[u8], chunk: usize) -> Vec<u8> {
        let mut former = Former::default();
        let mut passed = Vec::new();
        for chunk in message.chunks(chunk) {
            passed.extend_from_slice(&former.pass(chunk));
        }
        passed.extend(former.finish());
        passed
    }

    #[test]
    fn fields_of_that_name_go_by_another_however_they_are_written_and_cut() {
        let table = [
            (
                "Received: from a\r\n by b\r\n\r\nc\r\n",
                "X-Former: from a\r\n by b\r\n\r\nc\r\n",
            ),
            (
                "A: b\r\nrECEIVED \t: x\r\n\r\n",
                "A: b\r\nX-Former \t: x\r\n\r\n",
            ),
            ("Received\r\n : x\r\n\r\n", "X-Former\r\n : x\r\n\r\n"),
            (
                "Received: x\r\nReceived: y\r\n",
                "X-Former: x\r\nX-Former: y\r\n",
            ),
            // Another name, another place, too little of it.
            ("Received-SPF: x\r\n\r\n", "Received-SPF: x\r\n\r\n"),
            ("X-Received: x\r\n\r\n", "X-Received: x\r\n\r\n"),
            (
                "A: b\r\n Received: x\r\n\r\n",
                "A: b\r\n Received: x\r\n\r\n",
            ),
            ("A: b\r\n\r\nReceived: x\r\n", "A: b\r\n\r\nReceived: x\r\n"),
            ("\r\nReceived: x\r\n", "\r\nReceived: x\r\n"),
            ("Receive", "Receive"),
            ("Received", "Received"),
            ("", ""),
        ];
        for (message, expected) in table {
            for chunk in 1..=message.len().max(1) {
                let passed = pass(message.as_bytes(), chunk);
                assert_eq!(String::from_utf8_lossy(&passed), expected, "{chunk}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_as_long_as_before_and_the_cuts_make_no_difference(
            parts in prop::collection::vec(prop::sample::select(vec!["Received", "received", ":", " ", "\r\n", "x", "\r"]), 0..40),
            chunk in 1..9_usize,
        ) {
            let message = parts.concat();
            let passed = pass(message.as_bytes(), chunk);
            prop_assert_eq!(passed.len(), message.len());
            prop_assert_eq!(passed, pass(message.as_bytes(), usize::MAX));
        }
    }
}
