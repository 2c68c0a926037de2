//! Decision ids: where their randomness comes from.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_policy::DecisionId;

/// A source of ids that do not repeat across processes. It draws from the system once and then only mixes, so
/// that an id costs no system call. Ids name decisions; they guard nothing.
#[derive(Debug)]
pub struct Ids {
    seed: u128,
    drawn: AtomicU64,
}

impl Ids {
    /// Seeded by the system.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed)?;
        Ok(Self::seeded(u128::from_ne_bytes(seed)))
    }

    /// The same ids at each run: for tests.
    #[must_use]
    pub const fn seeded(seed: u128) -> Self {
        Self {
            seed,
            drawn: AtomicU64::new(0),
        }
    }

    /// The next id.
    pub fn draw(&self) -> DecisionId {
        DecisionId::from_random(self.number())
    }

    /// Sixty-four bits, for what must be spread evenly, such as messages over the members of a pool.
    pub fn number(&self) -> u64 {
        let mut mixer = DefaultHasher::new();
        mixer.write_u128(self.seed);
        mixer.write_u64(self.drawn.fetch_add(1, Ordering::Relaxed));
        mixer.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_and_differ_by_seed() {
        let (a, b) = (Ids::seeded(1), Ids::seeded(2));
        let drawn: HashSet<_> = (0..1000).flat_map(|_| [a.draw(), b.draw()]).collect();
        assert_eq!(drawn.len(), 2000);
        assert_eq!(Ids::seeded(1).draw(), Ids::seeded(1).draw());
    }
}
