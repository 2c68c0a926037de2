//! What accounts chose for themselves or were given by those who run the gateway: no Kubernetes objects, as there are millions, but
//! values. Those of the account that an event is about ride in it, so that a record replays.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Account;
use crate::snapshot::{Limit, Unit};
use crate::states::{Onto, Rest};
use crate::time::Millis;

/// The most limits of its own that an account has.
pub const MOST_LIMITS: usize = 8;
/// The most that a limit of an account counts to, as with a RateLimit.
pub const LARGEST_COUNT: u64 = 1_000_000_000_000;
/// The shortest and the longest window.
const WINDOWS: std::ops::RangeInclusive<Millis> = Millis(1_000)..=Millis(31 * Millis::DAY.0);
/// The most octets of the name of an object in Kubernetes.
const LONGEST_NAME: usize = 253;

/// The settings of one account. What is absent was never chosen: then each rule says what that means. A field that is not known is
/// left out, so that a newer process can tell an older one of more; what people ask for is read as [`AskedSettings`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountSettings {
    /// Whether anybody may log in to it from abroad: what `appliesTo` of a CountryRule goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logins_from_abroad: Option<LoginsFromAbroad>,
    /// Whether its messages are classified: what `appliesTo` of a SubmissionPolicy's `classify` goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classification: Option<Filtering>,
    /// Counts in place of those of RateLimits, as far as their `ownLimits` lets them; at most [`MOST_LIMITS`].
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub limits: Box<[OwnLimit]>,
}

/// Whether logins from abroad are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LoginsFromAbroad {
    /// They are to be refused: the account asked for what a rule with `appliesTo: OptedIn` does.
    Refuse,
    /// They are to be let in: the account is spared what a rule with `appliesTo: NotOptedOut` does.
    Allow,
}

/// Whether classification is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Filtering {
    /// Messages are classified, also where that is for those who ask for it.
    Wanted,
    /// They are not, unless everybody's are.
    Unwanted,
}

/// A count of the account's own for one limit of one RateLimit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnLimit {
    /// The RateLimit's name; it is of the namespace that the account belongs to.
    pub rule: Arc<str>,
    /// The unit of the limit that is meant.
    pub unit: Unit,
    /// The window of the limit that is meant, in milliseconds.
    pub per: Millis,
    /// The most that any window may hold.
    pub count: u64,
}

/// Settings as somebody asks for them: a field that is not known is an error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AskedSettings {
    logins_from_abroad: Option<LoginsFromAbroad>,
    classification: Option<Filtering>,
    limits: Vec<AskedLimit>,
}

/// A limit as somebody asks for it: a field that is not known is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskedLimit {
    rule: Arc<str>,
    unit: Unit,
    per: Millis,
    count: u64,
}

impl From<AskedSettings> for AccountSettings {
    fn from(asked: AskedSettings) -> Self {
        Self {
            logins_from_abroad: asked.logins_from_abroad,
            classification: asked.classification,
            limits: asked.limits.into_iter().map(OwnLimit::from).collect(),
        }
    }
}

impl From<AskedLimit> for OwnLimit {
    fn from(asked: AskedLimit) -> Self {
        Self {
            rule: asked.rule,
            unit: asked.unit,
            per: asked.per,
            count: asked.count,
        }
    }
}

impl OwnLimit {
    /// Whether it is about that limit of that rule.
    pub(crate) fn is_about(&self, rule: &str, limit: &Limit) -> bool {
        self.unit == limit.unit && self.per == limit.per && *self.rule == *rule
    }
}

/// What cannot be anybody's settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSettings {
    /// Too many limits.
    #[error("an account has {MOST_LIMITS} limits of its own at most; got {0}")]
    Crowded(usize),
    /// The name of a rule that no object can have.
    #[error("`limits[].rule` is the name of a RateLimit, like per-account; got {0:?}")]
    Rule(String),
    /// A count that is no limit.
    #[error("`limits[].count` is 1 to {LARGEST_COUNT}; got {0}")]
    Count(u64),
    /// A window that no limit has.
    #[error("`limits[].per` is a window in milliseconds, from a second to 31 days; got {0}")]
    Window(u64),
    /// A limit that is there twice.
    #[error("{unit:?} per {per} of {rule} is there twice")]
    Twice {
        /// The rule.
        rule: String,
        /// The unit.
        unit: Unit,
        /// The window.
        per: Millis,
    },
}

impl AccountSettings {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same with its limits in the one order that equal settings have, or why they are none.
    ///
    /// # Errors
    /// [`BadSettings`] names the field.
    pub fn checked(mut self) -> Result<Self, BadSettings> {
        if self.limits.len() > MOST_LIMITS {
            return Err(BadSettings::Crowded(self.limits.len()));
        }
        for limit in &self.limits {
            if !is_name(&limit.rule) {
                return Err(BadSettings::Rule(limit.rule.chars().take(100).collect()));
            }
            if !(1..=LARGEST_COUNT).contains(&limit.count) {
                return Err(BadSettings::Count(limit.count));
            }
            if !WINDOWS.contains(&limit.per) {
                return Err(BadSettings::Window(limit.per.0));
            }
        }
        let place = |limit: &OwnLimit| (limit.rule.clone(), limit.unit, limit.per);
        self.limits.sort_unstable_by_key(place);
        let twice = self
            .limits
            .windows(2)
            .find(|two| place(&two[0]) == place(&two[1]));
        match twice {
            Some(two) => Err(BadSettings::Twice {
                rule: two[0].rule.to_string(),
                unit: two[0].unit,
                per: two[0].per,
            }),
            None => Ok(self),
        }
    }

    /// The count of its own for that limit of that rule.
    pub(crate) fn limit_of(&self, rule: &str, limit: &Limit) -> Option<u64> {
        let own = self.limits.iter().find(|own| own.is_about(rule, limit));
        own.map(|own| own.count)
    }
}

impl fmt::Display for AccountSettings {
    /// `loginsFromAbroad Refuse, 50 Recipients per 1h of per-account`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(logins) = self.logins_from_abroad {
            parts.push(format!("loginsFromAbroad {logins:?}"));
        }
        if let Some(wanted) = self.classification {
            parts.push(format!("classification {wanted:?}"));
        }
        let limits = self.limits.iter();
        parts.extend(limits.map(|own| {
            let OwnLimit {
                rule,
                unit,
                per,
                count,
            } = own;
            format!("{count} {unit:?} per {per} of {rule}")
        }));
        f.write_str(&parts.join(", "))
    }
}

/// Whether an object of Kubernetes can be called so (RFC 1123 labels, with dots between them).
fn is_name(name: &str) -> bool {
    let plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    let is_label = |label: &str| {
        let octets = label.as_bytes();
        octets.first().is_some_and(|&first| plain(first))
            && octets.last().is_some_and(|&last| plain(last))
            && octets.iter().all(|&octet| plain(octet) || octet == b'-')
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}

/// What is known of the settings of the account that an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Settings {
    /// It has none of its own, or there is no account yet.
    #[default]
    None,
    /// These.
    Own(Arc<AccountSettings>),
    /// The account's were not heard of here, and not all were yet: it is judged as one who has none.
    Unheard,
}

impl Settings {
    /// Whether there are none.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Those of the account, if it has some.
    #[must_use]
    pub fn own(&self) -> Option<&AccountSettings> {
        match self {
            Self::Own(settings) => Some(settings),
            Self::None | Self::Unheard => None,
        }
    }
}

/// What an account's settings are from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChange {
    /// Whose.
    pub account: Account,
    /// What they are; `None` where it has none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<AccountSettings>,
}

/// One answer to who asks what settings changed since a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingsChanges {
    /// What to ask for the next time.
    pub revision: u64,
    /// What the changes are added to. Of a whole that comes in parts, each part holds at once. What was known before and is in none
    /// of them is forgotten after the last, if the same store may have forgotten that it was reset.
    pub onto: Onto,
    /// Whether there is more to be asked for at once.
    pub rest: Rest,
    /// What is so now, in the order in which it came about.
    pub changes: Vec<SettingsChange>,
    /// Names the store, as with [`crate::states::States`]: what another one does not know was not reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Box<str>>,
    /// What was reset after this revision is still told; what was reset up to it may have been forgotten.
    #[serde(default)]
    pub horizon: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(rule: &str, unit: Unit, per: Millis, count: u64) -> OwnLimit {
        OwnLimit {
            rule: rule.into(),
            unit,
            per,
            count,
        }
    }

    fn settings(limits: Vec<OwnLimit>) -> AccountSettings {
        AccountSettings {
            limits: limits.into(),
            ..AccountSettings::default()
        }
    }

    #[test]
    fn equal_settings_are_in_one_order() {
        let a = limit("a", Unit::Recipients, Millis::HOUR, 5);
        let b = limit("b.c-d", Unit::Messages, Millis::DAY, 1);
        let one = settings(vec![a.clone(), b.clone()]).checked().unwrap();
        assert_eq!(settings(vec![b, a]).checked().unwrap(), one);
        let first = one.limits.first().unwrap().clone();
        assert_eq!(one.limit_of("a", &as_limit(&first)), Some(5));
        assert_eq!(one.limit_of("b", &as_limit(&first)), None);
    }

    fn as_limit(own: &OwnLimit) -> Limit {
        Limit {
            unit: own.unit,
            count: 9,
            per: own.per,
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let good = || limit("a", Unit::Recipients, Millis::HOUR, 5);
        let nine: Vec<_> = (1..=9)
            .map(|at| limit("a", Unit::Bytes, Millis(at * 1000), 1))
            .collect();
        for (limits, words) in [
            (nine, "8 limits of its own at most; got 9"),
            (vec![limit("", Unit::Bytes, Millis::HOUR, 5)], "got \"\""),
            (
                vec![limit("A", Unit::Bytes, Millis::HOUR, 5)],
                "per-account; got \"A\"",
            ),
            (
                vec![limit("a/b", Unit::Bytes, Millis::HOUR, 5)],
                "got \"a/b\"",
            ),
            (
                vec![limit("-a", Unit::Bytes, Millis::HOUR, 5)],
                "got \"-a\"",
            ),
            (vec![limit("a", Unit::Bytes, Millis::HOUR, 0)], "got 0"),
            (
                vec![limit("a", Unit::Bytes, Millis::HOUR, u64::MAX)],
                "1 to 1000000000000",
            ),
            (vec![limit("a", Unit::Bytes, Millis(999), 5)], "got 999"),
            (
                vec![limit("a", Unit::Bytes, Millis(u64::MAX), 5)],
                "31 days",
            ),
            (
                vec![good(), good()],
                "Recipients per 1h of a is there twice",
            ),
        ] {
            let error = settings(limits).checked().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_asked_for_is_read_strictly_and_what_is_told_is_not() {
        let json = r#"{"loginsFromAbroad":"Refuse","limits":[{"rule":"a","unit":"Recipients","per":3600000,"count":5}]}"#;
        let read: AccountSettings = serde_json::from_str(json).unwrap();
        assert_eq!(read.logins_from_abroad, Some(LoginsFromAbroad::Refuse));
        assert_eq!(serde_json::to_string(&read).unwrap(), json);
        assert_eq!(
            read.to_string(),
            "loginsFromAbroad Refuse, 5 Recipients per 1h of a"
        );
        assert!(AccountSettings::default().is_empty());
        let asked: AskedSettings = serde_json::from_str(json).unwrap();
        assert_eq!(AccountSettings::from(asked), read);
        let newer =
            json.replace("\"count\"", "\"from\":9,\"count\"")
                .replacen('{', "{\"logins\":[1],", 1);
        assert_eq!(
            serde_json::from_str::<AccountSettings>(&newer).unwrap(),
            read
        );
        for bad in [
            newer.as_str(),
            r#"{"loginsFromAbroad":"refuse"}"#,
            r#"{"login":"Refuse"}"#,
            r#"{"limits":[{"rule":"a","unit":"Recipients","per":1,"count":-5}]}"#,
            r#"{"limits":[{"rule":"a","unit":"Recipients","per":1,"count":5,"for":1}]}"#,
        ] {
            assert!(serde_json::from_str::<AskedSettings>(bad).is_err(), "{bad}");
        }
    }
}
