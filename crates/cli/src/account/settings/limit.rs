//! A limit of an account's own on the command line: `per-account:Recipients/1h=50`.

use sekisho_policy::Millis;
use sekisho_policy::settings::{AccountSettings, OwnLimit};
use sekisho_policy::snapshot::Unit;

use crate::args::duration;

pub(super) fn parse(text: &str) -> Result<OwnLimit, String> {
    let form = || "write RULE:UNIT/PER=COUNT, like per-account:Recipients/1h=50".to_owned();
    let (limit, count) = text.rsplit_once('=').ok_or_else(form)?;
    let (rule, limit) = limit.split_once(':').ok_or_else(form)?;
    let (unit, per) = limit.split_once('/').ok_or_else(form)?;
    let own = OwnLimit {
        rule: rule.into(),
        unit: serde_json::from_value::<Unit>(unit.into())
            .map_err(|_| "a unit is Messages, Recipients, Bytes, Connections or Attempts")?,
        per: duration(per)?,
        count: count.parse().map_err(|_| form())?,
    };
    let settings = AccountSettings {
        limits: [own].into(),
        ..AccountSettings::default()
    };
    let checked = settings.checked().map_err(|error| error.to_string())?;
    checked.limits.first().cloned().ok_or_else(form)
}

/// As it is written on the command line.
pub(super) fn written(own: &OwnLimit) -> String {
    let per: Millis = own.per;
    format!("{}:{:?}/{per}={}", own.rule, own.unit, own.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_they_are_shown() {
        for text in ["per-account:Recipients/1h=50", "a.b:Messages/24h=1"] {
            assert_eq!(written(&parse(text).unwrap()), text);
        }
        for (bad, words) in [
            ("", "RULE:UNIT/PER=COUNT"),
            ("a:Recipients/1h", "RULE:UNIT/PER=COUNT"),
            ("a:Recipients=1", "RULE:UNIT/PER=COUNT"),
            ("a:Letters/1h=1", "a unit is"),
            ("a:Recipients/soon=1", ""),
            ("A:Recipients/1h=1", "name of a RateLimit"),
            ("a:Recipients/1h=0", "got 0"),
            ("a:Recipients/1h=-1", "RULE:UNIT/PER=COUNT"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
