//! Which lines end a part: the boundaries in force (RFC 2046 5.1.1).

use super::part::ChildType;
use super::report::LimitExceeded;
use super::steps;

/// Octets of a boundary; RFC 2046 allows 70.
const MAX_BOUNDARY: usize = 256;
/// Octets of a body line that are looked at: hyphens, boundary, and the padding that some servers add.
pub(super) const MAX_DELIMITER: usize = MAX_BOUNDARY + 64;
/// Boundaries in force at once. Each line that begins like a delimiter is compared with all.
const MAX_IN_FORCE: usize = 64;

/// A line that ends a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// Another part of the container at this level begins.
    Next { level: usize },
    /// The container at this level ends.
    Last { level: usize },
    /// The line goes on after the boundary. To the grammar it is text; to some readers a part begins.
    Lax,
}

/// What encloses the place where the walker stands.
#[derive(Debug, Default)]
pub(super) struct Enclosing {
    /// Outermost first: the type of a multipart's children, or `None` for a message.
    containers: Vec<Option<ChildType>>,
    /// The boundaries of all multiparts, each with the level of its own; outermost first.
    boundaries: Vec<(Vec<u8>, usize)>,
}

impl Enclosing {
    pub(super) fn depth(&self) -> usize {
        self.containers.len()
    }

    /// Whether a line may delimit something.
    pub(super) fn has_boundaries(&self) -> bool {
        !self.boundaries.is_empty()
    }

    /// The type of a part without Content-Type, which its multipart decides.
    pub(super) fn default_type(&self) -> ChildType {
        self.containers
            .last()
            .copied()
            .flatten()
            .unwrap_or(ChildType::Text)
    }

    pub(super) fn enter_message(&mut self) {
        self.containers.push(None);
    }

    /// Answers with the level of the multipart.
    pub(super) fn enter_multipart(
        &mut self,
        boundaries: Vec<Vec<u8>>,
        children: ChildType,
    ) -> Result<usize, LimitExceeded> {
        let all = self.boundaries.len() + boundaries.len();
        if all > MAX_IN_FORCE || boundaries.iter().any(|b| b.len() > MAX_BOUNDARY) {
            return Err(LimitExceeded::Boundary);
        }
        let level = self.containers.len();
        self.containers.push(Some(children));
        self.boundaries
            .extend(boundaries.into_iter().map(|mut boundary| {
                // White space after a boundary is padding.
                boundary.truncate(boundary.trim_ascii_end().len());
                (boundary, level)
            }));
        Ok(level)
    }

    /// Leaves what lies below the container at `level`.
    pub(super) fn leave_to(&mut self, level: usize) {
        self.containers.truncate(level + 1);
        let kept = self.boundaries.partition_point(|(_, of)| *of <= level);
        self.boundaries.truncate(kept);
    }

    /// What the line delimits, the innermost first.
    pub(super) fn find(&self, line: &[u8]) -> Option<Delimiter> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        let closed = text.strip_suffix(b"--");
        let (_, innermost) = self.boundaries.last()?;
        steps::add(self.boundaries.len() + line.len());
        for (boundary, level) in self.boundaries.iter().rev() {
            if boundary == text {
                return Some(Delimiter::Next { level: *level });
            }
            if Some(boundary.as_slice()) == closed {
                return Some(Delimiter::Last { level: *level });
            }
        }
        // Of the others only the innermost, so that text does not end what encloses it.
        let mut inner = self
            .boundaries
            .iter()
            .rev()
            .take_while(|(_, level)| level == innermost);
        inner
            .any(|(boundary, _)| text.starts_with(boundary))
            .then_some(Delimiter::Lax)
    }
}
