//! Where in an object something is: `spec.limits[0].unit`.

use std::fmt;

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field of a mapping.
    Field(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// A path from the top of an object to one of its values. Empty is the object itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// `spec`.
    pub fn spec() -> Self {
        Self::root().field("spec")
    }

    /// Reads what [`fmt::Display`] writes: fields after dots, indexes in brackets. What is in neither form becomes a
    /// field, so that every text is a path.
    pub fn parse(text: &str) -> Self {
        let mut path = Self::root();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut rest = part;
            let mut indexes = Vec::new();
            while let Some((before, index)) = split_index(rest) {
                indexes.push(index);
                rest = before;
            }
            if !rest.is_empty() {
                path = path.field(rest);
            }
            for index in indexes.into_iter().rev() {
                path = path.index(index);
            }
        }
        path
    }

    /// This path and a field below it.
    #[must_use]
    pub fn field(&self, name: impl Into<String>) -> Self {
        self.with(Segment::Field(name.into()))
    }

    /// This path and an element below it.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The steps, from the top.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the object itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend_from_slice(&self.0);
        segments.push(segment);
        Self(segments)
    }
}

/// `limits[3]` as `limits` and 3.
fn split_index(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_suffix(']')?;
    let (before, digits) = inner.rsplit_once('[')?;
    Some((before, digits.parse().ok()?))
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if position == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["", "spec", "spec.limits[0].unit", "spec.a[1][2]", "[3].x"] {
            assert_eq!(FieldPath::parse(text).to_string(), text);
        }
        let path = FieldPath::spec().field("limits").index(0);
        assert_eq!(FieldPath::parse("spec.limits[0]"), path);
        assert_eq!(FieldPath::parse("spec.odd[x]").to_string(), "spec.odd[x]");
    }
}
