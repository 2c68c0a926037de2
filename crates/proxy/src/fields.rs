//! The fields of one name in a message that passes in chunks are given another name.

use std::borrow::Cow;

/// Renames the fields of one name in a message whose lines end with CRLF. It needs no more memory than the name has octets, so a
/// header section of any length is looked at in full.
#[derive(Debug)]
pub(crate) struct FieldRenamer {
    name: &'static str,
    to: &'static str,
    at: At,
    /// The beginning of a line of which too little came to tell.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    Line,
    Body,
}

/// How a line begins.
enum Begins {
    /// With the end of the header section.
    Body,
    /// With a field of the name, or of another one.
    Named,
    Other,
}

impl FieldRenamer {
    pub(crate) fn new(name: &'static str, to: &'static str) -> Self {
        Self {
            name,
            to,
            at: At::LineStart,
            begun: Vec::new(),
        }
    }

    /// What of a chunk goes on.
    pub(crate) fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]> {
        if self.at == At::Body {
            return Cow::Borrowed(chunk);
        }
        let mut rest = Cow::Borrowed(chunk);
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(chunk);
            rest = Cow::Owned(std::mem::take(&mut self.begun));
        }
        let mut passed = Vec::with_capacity(rest.len());
        let mut from = 0;
        while from < rest.len() {
            let ahead = &rest[from..];
            match self.at {
                At::LineStart => match self.begin_line(ahead) {
                    Some(begins) => from += self.enter(&begins, &mut passed),
                    None => {
                        self.begun = ahead.to_vec();
                        break;
                    }
                },
                At::Line => {
                    let end = memchr::memchr(b'\n', ahead).map(|at| at + 1);
                    let line = &ahead[..end.unwrap_or(ahead.len())];
                    passed.extend_from_slice(line);
                    if end.is_some() {
                        self.at = At::LineStart;
                    }
                    from += line.len();
                }
                At::Body => {
                    passed.extend_from_slice(ahead);
                    break;
                }
            }
        }
        Cow::Owned(passed)
    }

    /// What is left at the end of the message.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.begun
    }

    /// How a line begins; nothing if more of it is needed to tell.
    fn begin_line(&self, ahead: &[u8]) -> Option<Begins> {
        let name = self.name.as_bytes();
        let compared = ahead.len().min(name.len());
        match ahead {
            [b'\r'] => return None,
            [b'\r', b'\n', ..] => return Some(Begins::Body),
            [b' ' | b'\t', ..] => return Some(Begins::Other),
            _ if !ahead[..compared].eq_ignore_ascii_case(&name[..compared]) => {
                return Some(Begins::Other);
            }
            _ => {}
        }
        // White space may stand before the colon (RFC 5322 4.5), and some readers overlook a fold there too.
        let next = *ahead.get(name.len())?;
        let is_longer_name = next.is_ascii_graphic() && next != b':';
        Some(if is_longer_name {
            Begins::Other
        } else {
            Begins::Named
        })
    }

    /// Goes into a line; answers with how many octets of it were seen to already.
    fn enter(&mut self, begins: &Begins, passed: &mut Vec<u8>) -> usize {
        self.at = At::Line;
        match begins {
            Begins::Body => self.at = At::Body,
            Begins::Other => {}
            Begins::Named => {
                passed.extend_from_slice(self.to.as_bytes());
                return self.name.len();
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pass(message: &[u8], chunk: usize) -> Vec<u8> {
        let mut renamer = FieldRenamer::new("Received", "X-Former");
        let mut passed = Vec::new();
        for chunk in message.chunks(chunk.max(1)) {
            passed.extend_from_slice(&renamer.pass(chunk));
        }
        passed.extend(renamer.finish());
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
