//! What all that restricts an account comes to at one moment.

use serde::{Deserialize, Serialize};

use super::{LIMITED, Level, Origin, Restriction};
use crate::snapshot::ObjectRef;
use crate::time::Timestamp;

/// What all restrictions of an account that hold at one moment come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The worst of them; of two alike, the one that lasts longer.
    pub worst: Restriction,
    /// How many recipients in an hour, where any of them is a [`Level::Limit`]: the fewest. A worse one beside it does not lift it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
    /// What rules said beside the worst, each with its own worst level: a rule imposes no step that it stands on already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
}

/// A rule's restriction that holds beside a worse one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beside {
    /// The rule.
    pub rule: ObjectRef,
    /// How much it restricts the account now.
    pub level: Level,
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
        let mut beside = Vec::new();
        for restriction in restrictions {
            let Some(part) = restriction.in_force(now) else {
                continue;
            };
            // A limit goes on beneath a worse step of its own rule too.
            let limits = part.parts().filter(|part| part.level == Level::Limit);
            let counts = limits.map(|part| part.recipients_per_hour.unwrap_or(LIMITED));
            fewest = counts.chain(fewest).min();
            let milder = match worst {
                Some(worst) if worst.weight() >= part.weight() => Some(part),
                before => {
                    worst = Some(part);
                    before
                }
            };
            beside.extend(milder.and_then(Beside::of));
        }
        worst.map(|worst| Self {
            worst: worst.clone(),
            recipients_per_hour: fewest,
            beside,
        })
    }

    /// How much that rule restricts the account now; `None` if it does not.
    #[must_use]
    pub fn level_by(&self, rule: &ObjectRef) -> Option<Level> {
        if matches!(&self.worst.origin, Origin::Rule(worst) if worst == rule) {
            return Some(self.worst.level);
        }
        let mut beside = self.beside.iter();
        beside
            .find(|beside| beside.rule == *rule)
            .map(|beside| beside.level)
    }
}

impl Beside {
    fn of(restriction: &Restriction) -> Option<Self> {
        let Origin::Rule(rule) = &restriction.origin else {
            return None;
        };
        Some(Self {
            rule: rule.clone(),
            level: restriction.level,
        })
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
            then: None,
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
    fn a_rule_knows_its_own_level_beside_a_worse_one() {
        let rule = |name: &str| format!("AbuseRule/mail/{name}").parse::<Origin>().unwrap();
        let of = |name: &str, level| Restriction {
            origin: rule(name),
            ..restriction(level, 0, Some(9))
        };
        let all = [
            of("one", Level::Limit),
            restriction(Level::Suspend, 0, None),
            of("two", Level::Quarantine),
        ];
        let standing = Standing::of(&all, Timestamp(1)).unwrap();
        let level = |name: &str| match rule(name) {
            Origin::Rule(rule) => standing.level_by(&rule),
            Origin::Desk => None,
        };
        assert_eq!(standing.worst.origin, Origin::Desk);
        assert_eq!(level("one"), Some(Level::Limit));
        assert_eq!(level("two"), Some(Level::Quarantine));
        assert_eq!(level("three"), None);
    }
}
