//! A length of time in hours, minutes and seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{forms, string_schema};
use crate::Error;

/// The longest duration that is accepted: 366 days.
const LONGEST_MS: u64 = 8784 * 3600 * 1000;

/// Hours, minutes and seconds in that order, like `720h`, `1h30m` or `45s`; at least 1s and at most 8784h.
///
/// Kept as written, so that an object reads back as it was applied; compared by length.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    text: String,
    millis: u64,
}

string_schema!(
    Duration,
    { "minLength": 2, "maxLength": 32, "pattern": forms::DURATION },
    [(
        "duration(self) >= duration('1s') && duration(self) <= duration('8784h')",
        "must be at least 1s and at most 8784h"
    )]
);

impl Duration {
    /// Its length in milliseconds.
    pub fn as_millis(&self) -> u64 {
        self.millis
    }

    /// Its length in whole seconds; durations have no smaller part.
    pub fn as_secs(&self) -> u64 {
        self.millis / 1000
    }
}

impl FromStr for Duration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Duration(text.to_owned());
        let mut rest = text;
        let mut seconds: u64 = 0;
        for (unit, length) in [('h', 3600), ('m', 60), ('s', 1)] {
            let Some((number, after)) = rest.split_once(unit) else {
                continue;
            };
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
                return Err(refused());
            }
            let number: u64 = number.parse().map_err(|_| refused())?;
            let part = number.checked_mul(length).ok_or_else(refused)?;
            seconds = seconds.checked_add(part).ok_or_else(refused)?;
            rest = after;
        }
        let millis = seconds.checked_mul(1000).ok_or_else(refused)?;
        if !rest.is_empty() || millis == 0 || millis > LONGEST_MS {
            return Err(refused());
        }
        Ok(Self {
            text: text.to_owned(),
            millis,
        })
    }
}

impl TryFrom<String> for Duration {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.text
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.millis == other.millis
    }
}

impl Eq for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hours_minutes_and_seconds_in_that_order() {
        for (text, seconds) in [
            ("1s", 1),
            ("45s", 45),
            ("15m", 900),
            ("24h", 86_400),
            ("1h30m", 5_400),
            ("1h1s", 3_601),
            ("0h1m0s", 60),
            ("8784h", 31_622_400),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(
                (duration.as_secs(), duration.to_string().as_str()),
                (seconds, text)
            );
        }
        assert_eq!("60m".parse::<Duration>().unwrap(), "1h".parse().unwrap());
    }

    #[test]
    fn refuses_what_the_schema_refuses() {
        for text in [
            "",
            "0s",
            "0h0m0s",
            "h",
            "1",
            "1d",
            "1m1h",
            "1h1h",
            "-1s",
            "+1s",
            "1.5h",
            " 1s",
            "1s ",
            "1ms",
            "１s",
            "8785h",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert_eq!(
                text.parse::<Duration>(),
                Err(Error::Duration(text.to_owned())),
                "{text}"
            );
        }
    }
}
