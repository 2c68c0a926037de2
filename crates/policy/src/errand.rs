//! What the control plane has a proxy do once, and what came of it: questions that only those can answer who count.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::address::Account;
use crate::id::DecisionId;
use crate::watch::Score;

/// No answer is longer, in octets of JSON.
pub const MAX_DONE_BYTES: usize = 1 << 20;

/// Names one errand: 128 random bits, as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ErrandId(u128);

/// A text that names no errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an errand is named by 32 lower-case hex digits")]
pub struct BadErrandId;

impl ErrandId {
    /// The randomness is an input.
    #[must_use]
    pub const fn from_random(random: u128) -> Self {
        Self(random)
    }
}

impl fmt::Display for ErrandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ErrandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ErrandId {
    type Err = BadErrandId;

    fn from_str(text: &str) -> Result<Self, BadErrandId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(hex) {
            return Err(BadErrandId);
        }
        let id = u128::from_str_radix(text, 16).map_err(|_| BadErrandId)?;
        Ok(Self(id))
    }
}

impl TryFrom<String> for ErrandId {
    type Error = BadErrandId;

    fn try_from(text: String) -> Result<Self, BadErrandId> {
        text.parse()
    }
}

impl From<ErrandId> for String {
    fn from(id: ErrandId) -> Self {
        id.to_string()
    }
}

/// What a proxy is answered that waits for something to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Nothing, where its wait was over first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errand: Option<Errand>,
}

/// Something to be done once, by one proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// Its name, under which the answer goes back.
    pub id: ErrandId,
    /// What is to be done.
    pub work: Work,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Work {
    /// Say what speaks against an account.
    Scores {
        /// Whose points.
        account: Account,
    },
    /// Count recipients that turned out not to exist.
    Bounced {
        /// Who wrote to them.
        account: Account,
        /// How many.
        count: u64,
        /// Of which message; `None` is on somebody's word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<Bounced>,
    },
}

/// A message that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounced {
    /// Its record.
    pub id: DecisionId,
    /// How many it went to: no more of them can turn out not to exist, however often that is reported.
    pub recipients: u64,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Done {
    /// What speaks against the account under each rule of the gateway.
    Scores {
        /// One for each rule.
        scores: Vec<Score>,
        /// Who counted that.
        counts: Counts,
    },
    /// They are counted.
    Bounced {
        /// How many were not known of yet.
        counted: u64,
    },
    /// Nothing was done.
    Failed(Failure),
}

/// Who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counts {
    /// This proxy for itself: it does not know what others counted.
    Alone,
    /// All proxies of the gateway, in one place.
    Together,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// Counters do not answer.
    CountersSilent,
    /// The proxy has no rules in force yet.
    NotRunning,
    /// The proxy does not know what is meant, as an older one.
    NotUnderstood,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_are_named_strictly() {
        let id = ErrandId::from_random(0xab);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            String::new(),
            "ab".into(),
            format!("+{:031x}", 1),
            "A".repeat(32),
            "a".repeat(33),
            "é".repeat(16),
        ] {
            assert_eq!(bad.parse::<ErrandId>(), Err(BadErrandId), "{bad}");
        }
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for bad in [
            "",
            "{}",
            r#"{"Bounced":{"counted":-1}}"#,
            r#"{"Bounced":{"counted":1,"more":2}}"#,
            r#"{"Failed":"Bored"}"#,
            r#"{"Scores":{"scores":[]}}"#,
            r#"{"Bounced":{"counted":1},"Failed":"NotRunning"}"#,
        ] {
            assert!(serde_json::from_str::<Done>(bad).is_err(), "{bad}");
        }
        let offer: Offer = serde_json::from_str("{}").unwrap();
        assert_eq!(offer.errand, None);
    }
}
