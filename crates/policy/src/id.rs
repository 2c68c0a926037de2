//! Decision ids: 60 random bits, written as three groups of Crockford's base 32.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BITS: u32 = 60;

/// Names one decision. The randomness is an input, so that a replay gives the same id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DecisionId(u64);

/// A text that is no decision id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a decision id is twelve letters and digits in three groups, like 7Q2M-X4K9-0B3T; got {0:?}"
)]
pub struct BadDecisionId(String);

impl DecisionId {
    /// Takes the low 60 bits of `random`.
    #[must_use]
    pub const fn from_random(random: u64) -> Self {
        Self(random & ((1 << BITS) - 1))
    }

    /// The 60 bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'-'; 14];
        let mut shift = BITS;
        for (at, slot) in text.iter_mut().enumerate() {
            if at == 4 || at == 9 {
                continue;
            }
            shift -= 5;
            *slot = ALPHABET[((self.0 >> shift) & 31) as usize];
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DecisionId {
    type Err = BadDecisionId;

    /// Reads what people type: any case, groups optional, `O` for zero, `I` and `L` for one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadDecisionId(text.chars().take(40).collect());
        let mut bits = 0u64;
        let mut digits = 0;
        for c in text.trim().bytes().filter(|&c| c != b'-') {
            let c = match c.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let digit = ALPHABET.iter().position(|&a| a == c).ok_or_else(bad)?;
            digits += 1;
            if digits > 12 {
                return Err(bad());
            }
            bits = bits << 5 | digit as u64;
        }
        if digits == 12 {
            Ok(Self(bits))
        } else {
            Err(bad())
        }
    }
}

impl From<DecisionId> for String {
    fn from(id: DecisionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for DecisionId {
    type Error = BadDecisionId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_type() {
        let id: DecisionId = "7Q2M-X4K9-0B3T".parse().unwrap();
        assert_eq!(id.to_string(), "7Q2M-X4K9-0B3T");
        assert_eq!("7q2mx4k9ob3t".parse::<DecisionId>().unwrap(), id);
        for bad in [
            "",
            "7Q2M",
            "7Q2M-X4K9-0B3T-0",
            "7Q2M-X4K9-0B3U",
            "7Q2M X4K9 0B3T é",
        ] {
            assert!(bad.parse::<DecisionId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn survives_its_text(random: u64) {
            let id = DecisionId::from_random(random);
            prop_assert_eq!(id.to_string().parse::<DecisionId>().unwrap(), id);
        }
    }
}
