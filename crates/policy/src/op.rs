//! Seam 3: what policy asks of counters, and what comes back. Counters count; policy decides.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::signal::{Awards, Signal};
use crate::time::{Millis, Span, Timestamp};

/// Names one tally: object, unit, window and subject, typed and framed, never the limit's value.
///
/// Raising a limit forgives nobody, and neither does deleting and recreating the object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// Wraps bytes that [`crate::key`] framed.
    #[must_use]
    pub fn new(framed: &[u8]) -> Self {
        Self(framed.into())
    }

    /// The framed bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// As base64 (RFC 4648 5, without padding): records hold many keys, and a list of numbers is three times as long.
impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Framed)
    }
}

/// Reads base64, and the lists of numbers that records held before.
struct Framed;

impl<'de> Visitor<'de> for Framed {
    type Value = Key;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Key, E> {
        let framed = URL_SAFE_NO_PAD.decode(text).map_err(E::custom)?;
        Ok(Key::new(&framed))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut octets: A) -> Result<Key, A::Error> {
        let mut framed = Vec::new();
        while let Some(octet) = octets.next_element()? {
            framed.push(octet);
        }
        Ok(Key::new(&framed))
    }
}

/// A 128-bit keyed hash of something that must not be stored, such as a wrong password.
pub type Item = [u8; 16];

/// The most spans that one mark disowns.
pub const MAX_DISOWNED: usize = 8;

/// One counter operation. All gates of one call add together or none does; the others stand alone and always count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Adds `cost` if the sum over any `window` stays at or below `limit`.
    Gate {
        /// The tally.
        key: Key,
        /// How much this event adds.
        cost: u64,
        /// The most that any window may hold.
        limit: u64,
        /// The window's length.
        window: Millis,
    },
    /// Adds `cost` whatever the sum; answers with the sum including it.
    Meter {
        /// The tally.
        key: Key,
        /// How much this event adds.
        cost: u64,
        /// The window's length.
        window: Millis,
    },
    /// Answers with the sum, adding nothing.
    Read {
        /// The tally.
        key: Key,
        /// The window's length.
        window: Millis,
    },
    /// Adds `item` to a set whose members each live for `window` after they were last seen; answers with the number of members.
    Distinct {
        /// The set.
        key: Key,
        /// The member.
        item: Item,
        /// How long a member stays.
        window: Millis,
    },
    /// Adds `item` to such a set if it is a member already, or if fewer than `most` are; answers with the number of members, or with more
    /// than `most` if it found no room. One call after the other finds room: of many that come at once, no more than `most` do.
    Admit {
        /// The set.
        key: Key,
        /// The member.
        item: Item,
        /// The most members.
        most: u64,
        /// How long a member stays.
        window: Millis,
    },
    /// Takes `item` out of a set.
    Forget {
        /// The set.
        key: Key,
        /// The member.
        item: Item,
    },
    /// Answers with the number of members of a set, adding none.
    Count {
        /// The set.
        key: Key,
        /// How long a member stays.
        window: Millis,
    },
    /// Locks for `base`, times `growth` for each lock of this key before it that ended less than `max` ago, at most `max`.
    Lock {
        /// The lock.
        key: Key,
        /// The first lock's length.
        base: Millis,
        /// Factor for each further lock; 1 means that all are alike.
        growth: u32,
        /// No lock is longer, and a key that was free for so long starts anew.
        max: Millis,
    },
    /// Answers until when a key is locked, if it is.
    Locked {
        /// The lock.
        key: Key,
    },
    /// Adds points, unless the signal was awarded less than `hold` ago; answers with all that were added less than `keep` ago.
    Award {
        /// The points.
        key: Key,
        /// For what.
        signal: Signal,
        /// How many.
        points: u32,
        /// One award of this signal in this time.
        hold: Millis,
        /// How long an award is remembered.
        keep: Millis,
    },
    /// Answers with the points that were added less than `keep` ago, adding none.
    Points {
        /// The points.
        key: Key,
        /// How long an award is remembered.
        keep: Millis,
    },
    /// Remembers whom an account writes to, and answers with how many of them it wrote to for the first time within the window
    /// that ends now. What it did in its first time (`learn`) is none of it.
    Correspond {
        /// The correspondents.
        key: Key,
        /// Whom it wrote to now.
        items: Vec<Item>,
        /// The window's length.
        window: Millis,
        /// For so long after the first of all nobody counts as new.
        learn: Millis,
        /// How long one is remembered after the last message.
        keep: Millis,
    },
    /// Forgets what of a tally, a set or points is from `before` or earlier, and ends a lock that began by then; how many locks there
    /// were goes on to count. Correspondents stay known, and none that came by then counts as new any more. Said again, and later,
    /// it changes nothing more. Of a tally, that 64th of the window in which something was added since stays whole.
    Forgive {
        /// The key of all of them.
        key: Key,
        /// The last moment that is forgotten.
        before: Timestamp,
    },
    /// Notes at a mark that sets which heed it hold nothing good from this span. Said again, and later, it changes nothing more. Spans that
    /// touch become one; of more than [`MAX_DISOWNED`] the oldest two do.
    Disown {
        /// The mark.
        key: Key,
        /// From when to when.
        span: Span,
        /// How long after its end it is remembered: as long as members of those sets live.
        keep: Millis,
    },
    /// Takes the members out of a set that were last seen in a span which the mark disowns.
    Heed {
        /// The set.
        key: Key,
        /// The mark; about the same account as the set, so that counters which are spread over several places have both in one.
        mark: Key,
    },
    /// Forgets a tally, a set, or points (not a lock). Correspondents stay known, and none of them counts as new any more.
    Clear {
        /// The key of all of them.
        key: Key,
    },
}

/// What one operation answered, in the order of the operations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A gate let the cost in, or would have, had another gate of the call not refused. `total` is the sum with it.
    Passed {
        /// The sum over the window, this cost included.
        total: u64,
    },
    /// A gate was full: `total` is the sum without the cost; at `retry_at` the cost would fit if nothing else came.
    Full {
        /// The sum over the window, this cost not included.
        total: u64,
        /// The first moment at which it could pass; `None` if the cost alone is over the limit.
        retry_at: Option<Timestamp>,
    },
    /// A sum or a number of members.
    Total(u64),
    /// The end of a lock; `None` if there is none.
    Until(Option<Timestamp>),
    /// Points.
    Awards(Box<Awards>),
    /// Nothing to say (`Clear`, `Disown`, `Forget`, `Forgive`, `Heed`).
    Done,
}

/// The outcomes of one call, in the order of its operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results(pub Vec<Outcome>);

impl Results {
    /// Whether every gate of the call passed, so that their costs were added.
    #[must_use]
    pub fn all_passed(&self) -> bool {
        !self
            .0
            .iter()
            .any(|outcome| matches!(outcome, Outcome::Full { .. }))
    }
}

/// Counters that could not answer. Names the dependency and why, for the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{dependency} is unavailable: {why}")]
pub struct Unavailable {
    /// Which dependency, e.g. `counters (memory)`.
    pub dependency: String,
    /// What happened.
    pub why: String,
    /// The same as a word.
    #[serde(default)]
    pub cause: Cause,
    /// What counters of this process answered instead to [`crate::Plan::ops_alone`], if there are any. Rules that count alone
    /// meanwhile (`LocalOnly`) and login guards are judged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Results>,
}

/// Why counters could not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// They hold as much as they may.
    #[default]
    Full,
    /// There was no answer in time.
    Timeout,
    /// There is no connection.
    Connection,
    /// They refuse: out of memory, no rights, not the one that is written to.
    Refused,
    /// What they hold or say is not what it should be.
    Protocol,
    /// They failed again and again, and are not asked for a while.
    Open,
    /// Too many calls wait for them already.
    Crowded,
}
