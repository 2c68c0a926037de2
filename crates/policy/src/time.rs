//! Time as a value. Nothing in this crate reads a clock.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment moved forward by `millis`, saturating.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// Milliseconds from `earlier` to this moment; zero if `earlier` lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole days since the epoch (UTC), the grain in which networks become known good.
    #[must_use]
    pub const fn day(self) -> u64 {
        self.0 / Millis::DAY.0
    }
}

/// From one moment to another, both of them in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first moment.
    pub from: Timestamp,
    /// The last; what ends before it begins holds nothing.
    pub to: Timestamp,
}

impl Span {
    /// Whether no moment lies between them.
    #[must_use]
    pub fn touches(&self, other: &Self) -> bool {
        let after = |span: &Self| span.to.plus(Millis(1));
        self.from <= after(other) && other.from <= after(self)
    }

    /// Both, and what lies between them.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        Self {
            from: self.from.min(other.from),
            to: self.to.max(other.to),
        }
    }
}

/// A span of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Twenty-four hours.
    pub const DAY: Self = Self(24 * 60 * 60 * 1000);
    /// Sixty minutes.
    pub const HOUR: Self = Self(60 * 60 * 1000);
    /// One minute.
    pub const MINUTE: Self = Self(60 * 1000);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
}

impl std::fmt::Display for Millis {
    /// Hours, minutes and seconds as the YAML writes them: `1h30m`, `45s`, `500ms`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 || !self.0.is_multiple_of(1000) {
            return write!(f, "{}ms", self.0);
        }
        let secs = self.0 / 1000;
        for (unit, size, part) in [
            ("h", 3600, secs / 3600),
            ("m", 60, secs / 60 % 60),
            ("s", 1, secs % 60),
        ] {
            if part > 0 || (size == 1 && secs == 0) {
                write!(f, "{part}{unit}")?;
            }
        }
        Ok(())
    }
}
