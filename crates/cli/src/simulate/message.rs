//! A message in a file, read as the wire layer would read it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sekisho_policy::event::{EndFacts, HeaderFacts, Newlines, Scan};
use sekisho_policy::{ContentNeeds, Ruleset};
use sekisho_proxy::content;
use sekisho_smtp::header::{HeaderProgress, HeaderReader};

/// A file that is larger is no message.
const LARGEST: u64 = 256 << 20;

/// A message with CRLF line ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    octets: Vec<u8>,
    newlines: Newlines,
}

impl Message {
    /// Reads a file. Where no line ends with CRLF, it is a text file of this system, and its LFs are taken for line ends; else
    /// a CR or LF that stands alone is one, as on the wire.
    ///
    /// # Errors
    /// It cannot be read, or is no message.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let size = fs::metadata(path)
            .with_context(|| path.display().to_string())?
            .len();
        ensure!(
            size <= LARGEST,
            "{} is larger than {} MiB",
            path.display(),
            LARGEST >> 20
        );
        let octets = fs::read(path).with_context(|| path.display().to_string())?;
        Ok(Self::from_octets(&octets))
    }

    /// A message of two lines, where none is given.
    pub(crate) fn empty(author: &str) -> Self {
        Self::from_octets(format!("From: <{author}>\n\n").as_bytes())
    }

    pub(crate) fn from_octets(octets: &[u8]) -> Self {
        let on_the_wire = octets.windows(2).any(|pair| pair == b"\r\n");
        let mut mended = Vec::with_capacity(octets.len() + octets.len() / 16);
        let mut newlines = Newlines::Clean;
        let mut rest = octets.iter().copied().peekable();
        while let Some(octet) = rest.next() {
            match octet {
                b'\r' if rest.next_if_eq(&b'\n').is_some() => mended.extend_from_slice(b"\r\n"),
                b'\r' | b'\n' => {
                    mended.extend_from_slice(b"\r\n");
                    if on_the_wire || octet == b'\r' {
                        newlines = Newlines::Bare;
                    }
                }
                0 => {}
                other => mended.push(other),
            }
        }
        if !mended.ends_with(b"\r\n") {
            mended.extend_from_slice(b"\r\n");
        }
        Self {
            octets: mended,
            newlines,
        }
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets.len() as u64
    }

    /// What rules see of the header section.
    pub(crate) fn header_facts(&self, rules: &Ruleset, needs: ContentNeeds) -> HeaderFacts {
        let mut reader = HeaderReader::default();
        if reader.feed(&self.octets) == HeaderProgress::TooLong {
            return content::unread_header(Scan::OverLimits);
        }
        if needs.headers {
            content::header_facts(rules, &reader.headers())
        } else {
            content::unread_header(Scan::Complete)
        }
    }

    /// What rules see of the whole message.
    pub(crate) fn end_facts(
        &self,
        rules: &Ruleset,
        needs: ContentNeeds,
        headers: &HeaderFacts,
    ) -> EndFacts {
        let walked = content::walker(needs).map(|mut walker| {
            walker.feed(&self.octets);
            walker.finish()
        });
        let matched = if needs.text {
            headers.matched.clone()
        } else {
            Vec::new()
        };
        EndFacts {
            bytes: self.octets(),
            newlines: self.newlines,
            ..content::end_facts(rules, walked.as_ref(), matched)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_files_and_wire_files_are_told_apart() {
        for (file, octets, newlines) in [
            (
                &b"A: b\n\nc\n"[..],
                &b"A: b\r\n\r\nc\r\n"[..],
                Newlines::Clean,
            ),
            (b"A: b\r\n\r\nc", b"A: b\r\n\r\nc\r\n", Newlines::Clean),
            (
                b"A: b\r\n\r\nc\nd\r\n",
                b"A: b\r\n\r\nc\r\nd\r\n",
                Newlines::Bare,
            ),
            (b"A: b\rc\n", b"A: b\r\nc\r\n", Newlines::Bare),
        ] {
            let message = Message::from_octets(file);
            assert_eq!(
                (message.octets.as_slice(), message.newlines),
                (octets, newlines)
            );
        }
    }
}
