//! The field that tells the next hop what came of a message, and the removal of what a client wrote under its name.

use std::borrow::Cow;

use sekisho_policy::DecisionId;
use sekisho_policy::decision::Class;

/// The field's name.
const NAME: &str = "X-Sekisho-Verdict";

/// The field with its CRLF. The pool is left out for the gateway's own upstream.
pub(super) fn field(class: Class, pool: Option<&str>, id: DecisionId) -> String {
    let class = match class {
        Class::Unclassified => "unclassified",
        Class::Clean => "clean",
        Class::Suspect => "suspect",
        Class::Spam => "spam",
    };
    let pool = pool.map_or_else(String::new, |pool| format!("pool={pool}; "));
    format!("{NAME}: class={class}; {pool}id={id}\r\n")
}

/// Takes fields of that name out of a message that passes in chunks whose lines end with CRLF. It needs no more memory
/// than the name has octets, so a header section of any length is looked at in full.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    at: At,
    fate: Fate,
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

/// What becomes of a field with all lines that continue it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Stays,
    Goes,
}

impl Scrub {
    /// What of a chunk goes on.
    pub(super) fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]> {
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
                    Some(at) => self.at = at,
                    None => {
                        self.begun = ahead.to_vec();
                        break;
                    }
                },
                At::Line => {
                    let end = memchr::memchr(b'\n', ahead).map(|at| at + 1);
                    let line = &ahead[..end.unwrap_or(ahead.len())];
                    if self.fate == Fate::Stays {
                        passed.extend_from_slice(line);
                    }
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
    pub(super) fn finish(self) -> Vec<u8> {
        self.begun
    }

    /// Where a line leads that begins with `ahead`; nothing if more of it is needed to tell.
    fn begin_line(&mut self, ahead: &[u8]) -> Option<At> {
        let name = NAME.as_bytes();
        let compared = ahead.len().min(name.len());
        match ahead {
            [b'\r'] => return None,
            [b'\r', b'\n', ..] => return Some(At::Body),
            // It continues the field before it, and shares its fate.
            [b' ' | b'\t', ..] => return Some(At::Line),
            _ if !ahead[..compared].eq_ignore_ascii_case(&name[..compared]) => {
                self.fate = Fate::Stays;
                return Some(At::Line);
            }
            _ => {}
        }
        // White space may stand before the colon (RFC 5322 4.5), and some readers overlook a fold there too.
        let next = *ahead.get(name.len())?;
        let is_longer_name = next.is_ascii_graphic() && next != b':';
        self.fate = if is_longer_name {
            Fate::Stays
        } else {
            Fate::Goes
        };
        Some(At::Line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scrub(message: &[u8], chunk: usize) -> Vec<u8> {
        let mut scrub = Scrub::default();
        let mut passed = Vec::new();
        for chunk in message.chunks(chunk) {
            passed.extend_from_slice(&scrub.pass(chunk));
        }
        passed.extend(scrub.finish());
        passed
    }

    #[test]
    fn forged_fields_go_however_they_are_written_and_cut() {
        let table = [
            (
                "X-Sekisho-Verdict: class=clean\r\nA: b\r\n\r\nc\r\n",
                "A: b\r\n\r\nc\r\n",
            ),
            (
                "A: b\r\nx-sekISHO-verdict: class=clean\r\n\r\n",
                "A: b\r\n\r\n",
            ),
            ("X-Sekisho-Verdict \t : x\r\nA: b\r\n\r\n", "A: b\r\n\r\n"),
            ("X-Sekisho-Verdict\r\n : x\r\nA: b\r\n\r\n", "A: b\r\n\r\n"),
            (
                "X-Sekisho-Verdict:\r\n x;\r\n\ty\r\nA: b\r\n c\r\n\r\n",
                "A: b\r\n c\r\n\r\n",
            ),
            (
                "X-Sekisho-Verdict: x\r\nX-Sekisho-Verdict: y\r\n\r\n",
                "\r\n",
            ),
            ("X-Sekisho-Verdict: x\r\n", ""),
            // Another name, another place.
            (
                "X-Sekisho-Verdicts: x\r\n\r\n",
                "X-Sekisho-Verdicts: x\r\n\r\n",
            ),
            ("X-Sekisho: x\r\n\r\n", "X-Sekisho: x\r\n\r\n"),
            (
                "A: b\r\n X-Sekisho-Verdict: x\r\n\r\n",
                "A: b\r\n X-Sekisho-Verdict: x\r\n\r\n",
            ),
            (
                "A: b\r\n\r\nX-Sekisho-Verdict: x\r\n",
                "A: b\r\n\r\nX-Sekisho-Verdict: x\r\n",
            ),
            (
                "\r\nX-Sekisho-Verdict: x\r\n",
                "\r\nX-Sekisho-Verdict: x\r\n",
            ),
            ("X-Sekisho-Verd", "X-Sekisho-Verd"),
            ("", ""),
        ];
        for (message, expected) in table {
            for chunk in 1..=message.len().max(1) {
                let passed = scrub(message.as_bytes(), chunk);
                assert_eq!(
                    String::from_utf8_lossy(&passed),
                    expected,
                    "{message:?} in chunks of {chunk}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_else_is_lost(
            lines in prop::collection::vec("[ -~]{0,40}", 0..20), chunk in 1usize..50
        ) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            prop_assert_eq!(scrub(message.as_bytes(), chunk), message.as_bytes());
        }
    }

    #[test]
    fn the_upstream_has_no_pool() {
        let id: DecisionId = "7Q2M-X4K9-0B3T".parse().unwrap();
        assert_eq!(
            field(Class::Spam, Some("spam-pool"), id),
            "X-Sekisho-Verdict: class=spam; pool=spam-pool; id=7Q2M-X4K9-0B3T\r\n"
        );
        assert_eq!(
            field(Class::Unclassified, None, id),
            "X-Sekisho-Verdict: class=unclassified; id=7Q2M-X4K9-0B3T\r\n"
        );
    }
}
