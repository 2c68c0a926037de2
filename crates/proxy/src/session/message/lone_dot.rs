//! The sign of smuggling: a dot that is the end of the message to a lax receiver alone, wherever the client cuts.

/// Octets on each side of a dot that say whether it stands alone.
const BESIDE: usize = 2;

/// Whether a dot stands alone between newlines of which at least one is bare: the end of the message to a lax receiver
/// (CVE-2023-51764), and to nobody else. A dot too near to an end of `input` is for [`Seam`].
pub(super) fn holds_lone_dot(input: &[u8]) -> bool {
    memchr::memchr_iter(b'.', input).any(|at| {
        let (before, after) = (&input[..at], &input[at + 1..]);
        if before.len() < BESIDE || after.len() < BESIDE {
            return false;
        }
        let alone = before.ends_with(b"\n") || before.ends_with(b"\r");
        let alone = alone && (after.starts_with(b"\n") || after.starts_with(b"\r"));
        alone && !(before.ends_with(b"\r\n") && after.starts_with(b"\r\n"))
    })
}

/// The octets around the place where one read ends and the next begins: a client may cut wherever it likes.
#[derive(Debug)]
pub(super) struct Seam {
    octets: [u8; Self::KEPT],
}

impl Default for Seam {
    /// A message begins at the start of a line.
    fn default() -> Self {
        Self { octets: *b"  \r\n" }
    }
}

impl Seam {
    /// What comes before the next read and can still matter: a dot, and what is beside it.
    const KEPT: usize = 2 * BESIDE;

    /// Goes on past `input`; whether a lone dot lay at the seam before it.
    pub(super) fn pass(&mut self, input: &[u8]) -> bool {
        let mut both = [b' '; 2 * Self::KEPT];
        both[..Self::KEPT].copy_from_slice(&self.octets);
        let head = &input[..input.len().min(Self::KEPT)];
        let end = Self::KEPT + head.len();
        both[Self::KEPT..end].copy_from_slice(head);
        let found = holds_lone_dot(&both[..end]);
        let kept = match input.len().checked_sub(Self::KEPT) {
            Some(start) => &input[start..],
            None => &both[end - Self::KEPT..end],
        };
        self.octets.copy_from_slice(kept);
        found
    }

    /// Whether a lone dot lay at the end of the message.
    pub(super) fn end(&mut self) -> bool {
        self.pass(&[b' '; BESIDE])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same wherever it is cut, twice at most.
    fn found_in_pieces(text: &str) -> bool {
        let text = format!("Subject: x\r\n\r\n{text}");
        let found = |cuts: [usize; 2]| {
            let mut seam = Seam::default();
            let (first, rest) = text.as_bytes().split_at(cuts[0]);
            let (second, third) = rest.split_at(cuts[1] - cuts[0]);
            [first, second, third]
                .into_iter()
                .any(|piece| seam.pass(piece) | holds_lone_dot(piece))
                || seam.end()
        };
        let whole = found([0, 0]);
        for second in 0..=text.len() {
            for first in 0..=second {
                assert_eq!(
                    found([first, second]),
                    whole,
                    "{text:?} cut at {first} and {second}"
                );
            }
        }
        whole
    }

    #[test]
    fn a_lone_dot_needs_a_bare_newline_beside_it() {
        for smuggled in [
            "a\n.\nb",
            "a\n.\r\nb",
            "a\r.\rb",
            "a\r\n.\nb",
            "a\r\n.\rb",
            "a\r.\r\nb",
        ] {
            assert!(found_in_pieces(smuggled), "{smuggled:?}");
        }
        for honest in ["a\r\n.\r\nb", "a\n..\nb", "a\n.b\n", "end.\nNext", ".", ""] {
            assert!(!found_in_pieces(honest), "{honest:?}");
        }
    }
}
