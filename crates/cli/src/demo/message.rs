//! A message that passes by: its subject and its size are kept, the rest is let go.

use sekisho_smtp::data::{BareNewlines, DataProgress, Decoder};
use sekisho_smtp::header::{HeaderProgress, HeaderReader};

/// A demo shows the subject, and that fits in so many octets of header.
const MAX_HEADER: usize = 64 * 1024;
const MAX_SUBJECT: usize = 200;

#[derive(Debug)]
pub(super) struct Message {
    decoder: Decoder,
    headers: HeaderReader,
    in_headers: bool,
}

impl Message {
    pub(super) fn new() -> Self {
        Self {
            decoder: Decoder::new(BareNewlines::Normalize),
            headers: HeaderReader::new(MAX_HEADER),
            in_headers: true,
        }
    }

    /// Takes octets from the wire.
    pub(super) fn feed(&mut self, input: &[u8]) -> DataProgress {
        let (headers, in_headers) = (&mut self.headers, &mut self.in_headers);
        self.decoder.decode(input, |piece| {
            if *in_headers {
                *in_headers = headers.feed(piece) == HeaderProgress::More;
            }
        })
    }

    /// Octets of the message, without dot-stuffing.
    pub(super) fn size(&self) -> u64 {
        self.decoder.stats().octets
    }

    /// The first Subject field, as a person reads it.
    pub(super) fn subject(&self) -> String {
        let headers = self.headers.headers();
        let subject = headers
            .named("subject")
            .next()
            .map(|field| field.decoded())
            .unwrap_or_default();
        subject.chars().take(MAX_SUBJECT).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_size_are_kept() {
        let mut message = Message::new();
        for piece in [
            "Subject: =?utf-8?b?6Zai5omA?=\r\nTo: a@b.ex",
            "ample\r\n\r\nbody\r\n..dot\r\n.\r",
        ] {
            assert_eq!(message.feed(piece.as_bytes()), DataProgress::More);
        }
        assert_eq!(
            message.feed(b"\nQUIT\r\n"),
            DataProgress::End { consumed: 1 }
        );
        assert_eq!(message.subject(), "関所");
        let plain = "Subject: =?utf-8?b?6Zai5omA?=\r\nTo: a@b.example\r\n\r\nbody\r\n.dot\r\n";
        assert_eq!(message.size(), plain.len() as u64);
    }
}
