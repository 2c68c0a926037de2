//! What an account may not do now, until when, why, and who said so.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::DecisionId;
use crate::snapshot::ObjectRef;
use crate::time::{Millis, Timestamp};

mod standing;

pub use standing::{Beside, Standing};

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
    /// Who said so. An account has one restriction of each origin: all that a rule imposed (see [`Self::then`]), the last of the desk.
    pub origin: Origin,
    /// Why, in words for the desk; never anything that the account's mail contains.
    pub why: Box<str>,
    /// The decision that led to it, if it was a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// With `Limit`: how many recipients in an hour. `None` is [`LIMITED`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipients_per_hour: Option<u32>,
    /// What of the same rule goes on once this is over: a milder one that lasts longer, so that a worse step lets nobody off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Box<Self>>,
}

/// What an account with the level `Limit` may send where nothing else is said: recipients in an hour.
pub const LIMITED: u32 = 10;

/// The most characters of [`Restriction::why`].
pub const MAX_WHY: usize = 300;

/// The most parts of one restriction: itself, and what goes on after it.
pub const MAX_PARTS: usize = 8;

/// Who restricted an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// A rule, whose name it is.
    Rule(ObjectRef),
    /// Somebody at the desk; who is in the audit trail.
    Desk,
}

impl Restriction {
    /// Whether anything of it holds at that moment: whoever knows of it obeys it until it is over. Since when it holds was said by
    /// another's clock, and tells only which of two came first.
    #[must_use]
    pub fn holds_at(&self, now: Timestamp) -> bool {
        self.in_force(now).is_some()
    }

    /// The worst part of it that holds at `now`: itself, or what goes on once it is over.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> Option<&Self> {
        self.parts()
            .find(|part| part.until.is_none_or(|until| now < until))
    }

    /// When all of it is over; `None` where somebody has to release it.
    #[must_use]
    pub fn over_at(&self) -> Option<Timestamp> {
        self.parts().last().unwrap_or(self).until
    }

    /// Itself, then what goes on after it.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |part| part.then.as_deref())
    }

    /// What is left of it without the parts of which `is_kept` says no; `None` if that is nothing.
    #[must_use]
    pub fn keeping(self, is_kept: impl Fn(&Self) -> bool) -> Option<Self> {
        if self.parts().all(&is_kept) {
            return Some(self);
        }
        nested(Stairs {
            parts: self.parts().filter(|part| is_kept(part)).collect(),
            stretched: None,
        })
    }

    /// The same of which no part began after `now`: a clock that is ahead must not make a restriction that nobody could release.
    #[must_use]
    pub fn begun_by(mut self, now: Timestamp) -> Self {
        let mut next = Some(&mut self);
        while let Some(part) = next {
            part.since = part.since.min(now);
            next = part.then.as_deref_mut();
        }
        self
    }

    /// How long it was meant to last; `None` where somebody has to release it.
    #[must_use]
    pub fn term(&self) -> Option<Millis> {
        self.until.map(|until| until.since(self.since))
    }

    /// The same as others may keep and show it: reasons are cut to [`MAX_WHY`] characters, none of which a terminal would obey, and
    /// what goes on after it is milder, lasts longer and is of the same origin; [`MAX_PARTS`] at most.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        if let Some(then) = self.then.take() {
            let mut parts = vec![self];
            let mut next = Some(then);
            while let Some(mut part) = next.take_if(|_| parts.len() < MAX_PARTS) {
                next = part.then.take();
                part.origin.clone_from(&parts[0].origin);
                parts.push(*part);
            }
            let stairs = stairs(parts.iter().collect());
            return nested(stairs).map_or_else(|| parts.swap_remove(0), Self::plain);
        }
        self.plain()
    }

    fn plain(mut self) -> Self {
        let is_plain = |c: char| !c.is_control();
        if self.why.chars().count() > MAX_WHY || !self.why.chars().all(is_plain) {
            let plain = self.why.chars().filter(|&c| is_plain(c));
            self.why = plain.take(MAX_WHY).collect::<String>().into();
        }
        self.then = self.then.map(|then| Box::new(then.plain()));
        self
    }

    /// What is so at `now` where a rule says `other` of an account of which it said `self` before: each level for as long as it was
    /// said to last, the worst of them first. A rule lets nobody down by what it finds later, whichever of two proxies is heard
    /// first. `None` if `other` changes nothing.
    #[must_use]
    pub fn joined(&self, other: &Self, now: Timestamp) -> Option<Self> {
        let holds = |part: &&Self| part.until.is_none_or(|until| now < until);
        let parts = self.parts().chain(other.parts()).filter(holds);
        let stairs = stairs(parts.collect());
        let is_ours = |part: &&Self| self.parts().any(|own| std::ptr::eq(own, *part));
        if stairs.parts.iter().all(is_ours) && stairs.stretched.is_none() {
            return None;
        }
        nested(stairs)
    }

    /// Whether it stays as it is where a rule says another of the same origin at `now`: for each level of that it says the same or
    /// worse, for as long or longer.
    #[must_use]
    pub fn outlasts(&self, other: &Self, now: Timestamp) -> bool {
        self.holds_at(now) && self.joined(other, now).is_none()
    }

    /// Worse than another is what is of a higher level, or a limit of fewer recipients, or else lasts longer.
    #[must_use]
    pub fn weight(&self) -> (Level, Reverse<u32>, Timestamp) {
        let recipients = match self.level {
            Level::Limit => self.recipients_per_hour.unwrap_or(LIMITED),
            Level::Watch | Level::Quarantine | Level::Suspend => 0,
        };
        (self.level, Reverse(recipients), self.end())
    }

    fn end(&self) -> Timestamp {
        self.until.unwrap_or(Timestamp(u64::MAX))
    }
}

/// Restrictions that count, the worst first: each but the first is milder than the one before it, and lasts longer.
struct Stairs<'a> {
    parts: Vec<&'a Restriction>,
    /// The place of one that holds for milder ones as well, for which there is no room, and until when those would.
    stretched: Option<(usize, Option<Timestamp>)>,
}

/// Of several restrictions those that count.
fn stairs(mut parts: Vec<&Restriction>) -> Stairs<'_> {
    // A stable sort: of two alike the first stays.
    parts.sort_by_key(|part| Reverse(part.weight()));
    let mut end = None;
    parts.retain(|part| {
        let until = part.end();
        let counts = end.is_none_or(|end| until > end);
        if counts {
            end = Some(until);
        }
        counts
    });
    // Only limits can be so many. The strictest stay, and the last of them takes the time of those that go: who tells of many
    // limits loosens none.
    let is_limit = |part: &&Restriction| part.level == Level::Limit;
    let mut stretched = None;
    if parts.len() > MAX_PARTS
        && let Some(mildest) = parts.iter().rposition(is_limit)
    {
        let last = mildest + MAX_PARTS - parts.len();
        stretched = Some((last, parts[mildest].until));
        parts.drain(last + 1..=mildest);
    }
    Stairs { parts, stretched }
}

fn nested(stairs: Stairs<'_>) -> Option<Restriction> {
    let Stairs { parts, stretched } = stairs;
    let places = parts.into_iter().enumerate().rev();
    places.fold(None, |then, (place, part)| {
        let stretched = stretched.filter(|(of, _)| *of == place);
        Some(Restriction {
            level: part.level,
            since: part.since,
            until: stretched.map_or(part.until, |(_, until)| until),
            origin: part.origin.clone(),
            why: part.why.clone(),
            decision: part.decision,
            recipients_per_hour: part.recipients_per_hour,
            then: then.map(Box::new),
        })
    })
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
            then: None,
        }
    }

    #[test]
    fn the_worse_of_a_rule_stays_while_it_holds() {
        let stands = restriction(Level::Quarantine, 10, Some(50));
        let stays =
            |level, until, now| stands.outlasts(&restriction(level, 20, until), Timestamp(now));
        for milder in [Level::Watch, Level::Limit] {
            assert!(stays(milder, Some(50), 20), "it is no longer");
            assert!(!stays(milder, Some(51), 20), "it goes on after it");
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
    fn a_worse_step_lets_nobody_off_the_milder_one_that_lasts_longer() {
        let limit = restriction(Level::Limit, 0, Some(60));
        let suspend = restriction(Level::Suspend, 10, Some(20));
        let both = limit.joined(&suspend, Timestamp(10)).unwrap();
        assert_eq!(Some(&both), suspend.joined(&limit, Timestamp(10)).as_ref());
        let level = |now| both.in_force(Timestamp(now)).map(|part| part.level);
        assert_eq!(level(19), Some(Level::Suspend));
        assert_eq!(level(20), Some(Level::Limit));
        assert_eq!(level(60), None);
        assert_eq!(both.over_at(), Some(Timestamp(60)));
        let standing = |now| Standing::of([&both], Timestamp(now)).unwrap();
        assert_eq!(standing(15).recipients_per_hour, Some(LIMITED), "beside it");
        assert_eq!(standing(30).worst.level, Level::Limit);
        // Nothing new: each is known for as long.
        assert!(both.outlasts(&suspend, Timestamp(15)) && both.outlasts(&limit, Timestamp(15)));
        // One between them is as long as it is worth.
        let between = restriction(Level::Quarantine, 12, Some(40));
        let all = both.joined(&between, Timestamp(12)).unwrap();
        let levels: Vec<Level> = all.parts().map(|part| part.level).collect();
        assert_eq!(levels, [Level::Suspend, Level::Quarantine, Level::Limit]);
        // One that is as long as all of them stands alone.
        let endless = restriction(Level::Suspend, 13, None);
        assert_eq!(
            all.joined(&endless, Timestamp(13)),
            Some(endless.clone()),
            "nothing is left for after it"
        );
    }

    #[test]
    fn a_laxer_limit_only_follows_a_stricter_one() {
        let limit = |count, until| Restriction {
            recipients_per_hour: Some(count),
            ..restriction(Level::Limit, 0, Some(until))
        };
        let (strict, lax) = (limit(5, 60), limit(1_000, 90));
        let both = strict.joined(&lax, Timestamp(1)).unwrap();
        assert_eq!(Some(&both), lax.joined(&strict, Timestamp(1)).as_ref());
        let count = |now| {
            let standing = Standing::of([&both], Timestamp(now))?;
            Some((
                standing.recipients_per_hour?,
                standing.worst.recipients_per_hour?,
            ))
        };
        assert_eq!(count(59), Some((5, 5)));
        assert_eq!(count(60), Some((1_000, 1_000)));
        assert_eq!(count(90), None);
        assert!(strict.outlasts(&limit(1_000, 60), Timestamp(1)));
        assert!(!strict.outlasts(&limit(4, 10), Timestamp(1)), "stricter");
        // However many there are, the strictest and the longest are known.
        let many = (1..100).fold(strict, |all, n| {
            all.joined(&limit(5 + n, 60 + u64::from(n)), Timestamp(1))
                .unwrap_or(all)
        });
        assert_eq!(many.parts().count(), MAX_PARTS);
        assert_eq!(many.recipients_per_hour, Some(5));
        assert_eq!(many.over_at(), Some(Timestamp(159)));
        assert_eq!(many.clone().bounded(), many);
    }

    /// Whoever tells of many limits, for instants and for ever, loosens none that was there.
    #[test]
    fn however_many_limits_come_none_becomes_laxer() {
        let limit = |count, until| Restriction {
            recipients_per_hour: Some(count),
            ..restriction(Level::Limit, 0, Some(until))
        };
        for honest in [limit(10, 1_000), limit(900, 1_000)] {
            let others = (0..8).map(|n| limit(1 + n, 2 + u64::from(n)));
            let laxer = (0..8).map(|n| limit(1_000_000 + n, 1_001 + u64::from(n)));
            let all = others.chain(laxer).fold(honest.clone(), |all, one| {
                all.joined(&one, Timestamp(1)).unwrap_or(all)
            });
            assert_eq!(all.parts().count(), MAX_PARTS);
            for now in 2..1_000 {
                let standing = Standing::of([&all], Timestamp(now)).unwrap();
                assert!(
                    standing.recipients_per_hour <= honest.recipients_per_hour,
                    "{now}: {all:?}"
                );
            }
            assert_eq!(
                all.joined(&limit(1_000_000, 1_001), Timestamp(1)),
                None,
                "told again"
            );
        }
    }

    #[test]
    fn parts_are_dropped_and_begin_by_now() {
        let limit = restriction(Level::Limit, 30, Some(60));
        let both = limit.joined(&restriction(Level::Suspend, 10, Some(20)), Timestamp(10));
        let both = both.unwrap();
        let since = |least| both.clone().keeping(|part| part.since > Timestamp(least));
        assert_eq!(since(5), Some(both.clone()));
        assert_eq!(since(10), Some(limit));
        assert_eq!(since(30), None);
        let begun = both.begun_by(Timestamp(15));
        let sinces: Vec<u64> = begun.parts().map(|part| part.since.0).collect();
        assert_eq!(sinces, [10, 15]);
    }

    #[test]
    fn what_others_hand_in_is_put_in_order() {
        let mut deep = restriction(Level::Limit, 0, Some(10));
        for level in [Level::Suspend, Level::Watch, Level::Limit].repeat(20) {
            deep = Restriction {
                then: Some(Box::new(deep)),
                origin: "AbuseRule/a/b".parse().unwrap(),
                ..restriction(level, 0, Some(10))
            };
        }
        let plain = deep.bounded();
        assert_eq!(plain.parts().count(), 1, "{plain:?}");
        assert_eq!(plain.level, Level::Suspend);
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
