//! Signals of abuse, what was awarded for them, and how that fades.

use serde::{Deserialize, Serialize};

use crate::time::{Millis, Timestamp};

/// The most awards that counters keep under one key. Where there are more, the oldest goes: it has faded the most.
pub const MAX_AWARDS: usize = 64;

/// The most correspondents that counters remember of one account. Where there are more, the one that it wrote to longest ago
/// goes, and is one that it never wrote to the next time.
pub const MAX_CORRESPONDENTS: usize = 1024;

/// The most members of a set of distinct items (see `Op::Distinct`); a mark above it is never reached.
pub const MAX_DISTINCT: u64 = 1024;

/// What an account can be seen to do. The numbers are stored, and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Signal {
    /// Recipients that the next hop does not know, at RCPT or by bounces.
    UnknownRecipients = 1,
    /// Recipients that the account never wrote to before.
    FirstTimeRecipients = 2,
    /// Countries that the account logged in from.
    DistinctCountries = 3,
    /// Source networks (/24 or /64) that it logged in from.
    DistinctSources = 4,
    /// Autonomous systems that it logged in from.
    DistinctAsns = 5,
    /// Messages that content made spam.
    SpamVerdicts = 6,
    /// Different wrong passwords for the account.
    AuthFailures = 7,
    /// Envelope or header senders that are not the account's.
    SenderMismatch = 8,
    /// Attempts on decoy accounts from a source that the account then logged in from.
    DecoyTouched = 9,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 9] = [
        Self::UnknownRecipients,
        Self::FirstTimeRecipients,
        Self::DistinctCountries,
        Self::DistinctSources,
        Self::DistinctAsns,
        Self::SpamVerdicts,
        Self::AuthFailures,
        Self::SenderMismatch,
        Self::DecoyTouched,
    ];

    /// As counters store it.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The signal of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|signal| signal.number() == number)
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// Points that one signal was awarded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Award {
    /// For what.
    pub signal: Signal,
    /// How many points it was worth then.
    pub points: u32,
    /// When.
    pub at: Timestamp,
}

impl Award {
    /// What is left of it: it fades in a straight line over `decay`, in points and milliseconds.
    fn weight(&self, decay: Millis, now: Timestamp) -> u128 {
        let left = decay.0.saturating_sub(now.since(self.at).0);
        u128::from(self.points) * u128::from(left)
    }

    /// How many points are left of it, rounded to the nearest.
    #[must_use]
    pub fn left(&self, decay: Millis, now: Timestamp) -> u32 {
        rounded(self.weight(decay, now), decay)
    }
}

/// Points that an account was awarded and that have not faded, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awards {
    /// Each of them.
    pub list: Vec<Award>,
    /// What the operation did.
    #[serde(default)]
    pub added: Added,
}

/// Whether an operation added an award.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Added {
    /// It did: it is the last of the list.
    Yes,
    /// The signal was awarded within its window already, or nothing was to be added.
    #[default]
    No,
}

impl Awards {
    /// The sum of what is left of them now, rounded to the nearest point.
    #[must_use]
    pub fn score(&self, decay: Millis, now: Timestamp) -> u32 {
        score(&self.list, decay, now)
    }

    /// The list as it was before the operation.
    #[must_use]
    pub fn before(&self) -> &[Award] {
        match (self.added, self.list.split_last()) {
            (Added::Yes, Some((_, before))) => before,
            _ => &self.list,
        }
    }
}

/// The sum of what is left of `awards`. It grows with nothing but a new award.
pub(crate) fn score(awards: &[Award], decay: Millis, now: Timestamp) -> u32 {
    let sum = awards.iter().fold(0u128, |sum, award| {
        sum.saturating_add(award.weight(decay, now))
    });
    rounded(sum, decay)
}

fn rounded(weight: u128, decay: Millis) -> u32 {
    let decay = u128::from(decay.0.max(1));
    u32::try_from((weight + decay / 2) / decay).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn award(points: u32, at: u64) -> Award {
        Award {
            signal: Signal::SpamVerdicts,
            points,
            at: Timestamp(at),
        }
    }

    #[test]
    fn points_fade_in_a_straight_line() {
        let awards = [award(60, 0)];
        let decay = Millis(1000);
        for (now, left) in [
            (0, 60),
            (250, 45),
            (500, 30),
            (999, 0),
            (1000, 0),
            (9000, 0),
        ] {
            assert_eq!(score(&awards, decay, Timestamp(now)), left, "at {now}");
        }
        // A clock that is behind the one that awarded gives no more than was awarded.
        assert_eq!(score(&[award(60, 500)], decay, Timestamp(0)), 60);
    }

    #[test]
    fn numbers_are_each_signals_own() {
        for signal in Signal::ALL {
            assert_eq!(Signal::from_number(signal.number()), Some(signal));
        }
        assert_eq!(Signal::from_number(0), None);
    }

    proptest! {
        /// Who is on no step comes to none without a new award.
        #[test]
        fn a_score_never_grows_by_itself(
            awards in proptest::collection::vec((0u32..1000, 0u64..1_000_000), 0..8),
            decay in 1u64..1_000_000, now in 0u64..2_000_000, later in 0u64..2_000_000,
        ) {
            let awards: Vec<Award> = awards.into_iter().map(|(points, at)| award(points, at)).collect();
            let decay = Millis(decay);
            prop_assert!(score(&awards, decay, Timestamp(now + later)) <= score(&awards, decay, Timestamp(now)));
        }

        #[test]
        fn nothing_overflows(points: u32, at: u64, decay: u64, now: u64) {
            let list = vec![award(points, at); MAX_AWARDS];
            let _ = score(&list, Millis(decay), Timestamp(now));
        }
    }
}
