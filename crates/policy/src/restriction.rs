//! What an account may not do now, until when, why, and who said so.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::DecisionId;
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Timestamp};

/// How much an account is restricted. Each level is worse than those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Nothing is refused; people look at it.
    Watch,
    /// It may send, but little.
    Limit,
    /// Its messages are spam, whatever they look like: they leave by the pool for spam, and by no other.
    Quarantine,
    /// It may log in, and send nothing.
    Suspend,
}

/// One restriction of one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restriction {
    /// How much.
    pub level: Level,
    /// Since when, by the clock of who said so.
    pub since: Timestamp,
    /// When it lifts by itself; `None` where somebody has to release it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who said so. An account has one restriction of each origin: the worst that a rule imposed, the last of the desk.
    pub origin: Origin,
    /// Why, in words for the desk; never anything that the account's mail contains.
    pub why: Box<str>,
    /// The decision that led to it, if it was a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// With `Limit`: how many recipients in an hour. `None` is [`LIMITED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
}

/// What an account with the level `Limit` may send where nothing else is said: recipients in an hour.
pub const LIMITED: u32 = 10;

/// The most characters of [`Restriction::why`].
pub const MAX_WHY: usize = 300;

/// Who restricted an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A rule, whose name it is.
    Rule(ObjectRef),
    /// Somebody at the desk; who is in the audit trail.
    Desk,
}

impl Restriction {
    /// Whether it holds at that moment: whoever knows of it obeys it until it is over. Since when it holds was said by another's
    /// clock, and tells only which of two came first.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// How long it was meant to last; `None` where somebody has to release it.
    #[must_use]
    pub fn term(&self) -> Option<Millis> {
        self.until.map(|until| until.since(self.since))
    }

    /// The same with its reason cut to [`MAX_WHY`] characters, none of which a terminal would obey.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let is_plain = |c: char| !c.is_control();
        if self.why.chars().count() > MAX_WHY || !self.why.chars().all(is_plain) {
            let plain = self.why.chars().filter(|&c| is_plain(c));
            self.why = plain.take(MAX_WHY).collect::<String>().into();
        }
        self
    }

    /// Whether it stays where a rule says another of the same origin at `now`: it holds then, and is as bad or worse. A rule lets
    /// nobody down by what it finds later, whichever of two proxies is heard first.
    #[must_use]
    pub fn outlasts(&self, other: &Self, now: Timestamp) -> bool {
        self.holds_at(now) && self.weight() >= other.weight()
    }

    /// Worse than another is what is of a higher level, or of the same and lasts longer.
    fn weight(&self) -> (Level, Timestamp) {
        (self.level, self.until.unwrap_or(Timestamp(u64::MAX)))
    }
}

/// What all restrictions of an account that hold at one moment come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The worst of them; of two alike, the one that lasts longer.
    pub worst: Restriction,
    /// How many recipients in an hour, where any of them is a [`Level::Limit`]: the fewest. A worse one beside it does not lift it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
}

impl Standing {
    /// What those of `restrictions` that hold at `now` come to; `None` if none does.
    #[must_use]
    pub fn of<'a>(
        restrictions: impl IntoIterator<Item = &'a Restriction>,
        now: Timestamp,
    ) -> Option<Self> {
        let mut worst: Option<&Restriction> = None;
        let mut fewest: Option<u32> = None;
        for restriction in restrictions {
            if !restriction.holds_at(now) {
                continue;
            }
            if worst.is_none_or(|worst| worst.weight() < restriction.weight()) {
                worst = Some(restriction);
            }
            if restriction.level == Level::Limit {
                let count = restriction.recipients_per_hour.unwrap_or(LIMITED);
                fewest = Some(fewest.map_or(count, |fewest| fewest.min(count)));
            }
        }
        worst.map(|worst| Self {
            worst: worst.clone(),
            recipients_per_hour: fewest,
        })
    }
}

/// A text that names neither the desk nor a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is Desk or a rule as Kind/namespace/name, like AbuseRule/default/stolen; got {0:?}"
)]
pub struct BadOrigin(String);

impl fmt::Display for Origin {
    /// `Desk`, or the rule's object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Desk => f.write_str("Desk"),
            Self::Rule(object) => object.fmt(f),
        }
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    /// Reads what [`Origin`] displays as.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "Desk" {
            return Ok(Self::Desk);
        }
        let rule = || {
            let mut parts = text.split('/');
            // The kinds are read by the names that snapshots have for them.
            let kind = serde_json::Value::String(parts.next()?.to_owned());
            let object = ObjectRef {
                kind: serde_json::from_value(kind).ok()?,
                namespace: parts.next().filter(|part| !part.is_empty())?.to_owned(),
                name: parts.next().filter(|part| !part.is_empty())?.to_owned(),
            };
            parts.next().is_none().then_some(Self::Rule(object))
        };
        rule().ok_or_else(|| BadOrigin(text.chars().take(100).collect()))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restriction(level: Level, since: u64, until: Option<u64>) -> Restriction {
        Restriction {
            level,
            since: Timestamp(since),
            until: until.map(Timestamp),
            origin: Origin::Desk,
            why: "".into(),
            decision: None,
            recipients_per_hour: None,
        }
    }

    #[test]
    fn the_worst_that_holds_counts_and_a_limit_beside_it_stays() {
        let limit = |count, until| Restriction {
            recipients_per_hour: count,
            ..restriction(Level::Limit, 10, Some(until))
        };
        let all = [
            restriction(Level::Watch, 0, None),
            limit(Some(5), 30),
            limit(None, 50),
            restriction(Level::Quarantine, 20, Some(40)),
        ];
        let at = |now| {
            let standing = Standing::of(&all, Timestamp(now));
            standing.map(|standing| (standing.worst.level, standing.recipients_per_hour))
        };
        // A clock that is behind the one of who imposed it does not put it off.
        assert_eq!(at(0), Some((Level::Quarantine, Some(5))));
        assert_eq!(at(29), Some((Level::Quarantine, Some(5))));
        assert_eq!(at(30), Some((Level::Quarantine, Some(LIMITED))));
        assert_eq!(at(40), Some((Level::Limit, Some(LIMITED))));
        assert_eq!(at(50), Some((Level::Watch, None)));
        assert_eq!(Standing::of(&all[1..], Timestamp(50)), None);
    }

    #[test]
    fn of_two_alike_the_longer_one_is_shown() {
        let (short, long) = (
            restriction(Level::Suspend, 0, Some(100)),
            restriction(Level::Suspend, 0, None),
        );
        for all in [[&short, &long], [&long, &short]] {
            let standing = Standing::of(all, Timestamp(1)).unwrap();
            assert_eq!(standing.worst.until, None);
        }
    }

    #[test]
    fn the_worse_of_a_rule_stays_while_it_holds() {
        let stands = restriction(Level::Quarantine, 10, Some(50));
        let stays =
            |level, until, now| stands.outlasts(&restriction(level, 20, until), Timestamp(now));
        for milder in [Level::Watch, Level::Limit] {
            assert!(stays(milder, None, 49));
            assert!(!stays(milder, None, 50), "it is over");
        }
        assert!(stays(Level::Quarantine, Some(49), 20), "it is shorter");
        assert!(stays(Level::Quarantine, Some(50), 20), "it is no longer");
        assert!(
            stays(Level::Quarantine, Some(50), 0),
            "by a clock that is behind"
        );
        assert!(!stays(Level::Quarantine, Some(51), 20));
        assert!(!stays(Level::Quarantine, None, 20));
        assert!(!stays(Level::Suspend, Some(30), 20));
    }

    #[test]
    fn origins_are_read_as_they_are_shown() {
        for text in ["Desk", "RateLimit/default/per-account"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "desk",
            "RateLimit",
            "RateLimit/default",
            "RateLimit//a",
            "RateLimit/a/b/c",
            "Rate/a/b",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reason_is_short_and_harmless() {
        let mut long = restriction(Level::Watch, 0, None);
        long.why = format!("\u{1b}[31m{}", "x".repeat(MAX_WHY)).into();
        let why = long.bounded().why;
        assert_eq!(why.chars().count(), MAX_WHY);
        assert!(why.starts_with("[31mx"));
    }
}
