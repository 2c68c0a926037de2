//! What is to become of an account's settings, and whose choice that is.

use sekisho_policy::AccountSettings;
use sekisho_policy::settings::{AskedLimit, BadSettings, Filtering, LoginsFromAbroad, OwnLimit};
use serde::{Deserialize, Deserializer, Serialize};

/// A change of settings: what is absent stays, what is null is no longer set (RFC 7396).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SettingsPatch {
    /// Logins from abroad.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub logins_from_abroad: Option<Option<LoginsFromAbroad>>,
    /// Classification.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub classification: Option<Option<Filtering>>,
    /// All limits of its own.
    #[serde(
        deserialize_with = "given_limits",
        skip_serializing_if = "Option::is_none"
    )]
    pub limits: Given<Box<[OwnLimit]>>,
}

/// What may be absent, and may be null: null is a value, and not the same as nothing.
type Given<T> = Option<Option<T>>;

/// Reads what is there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The same, each read strictly.
fn given_limits<'de, D: Deserializer<'de>>(from: D) -> Result<Given<Box<[OwnLimit]>>, D::Error> {
    let asked = Option::<Vec<AskedLimit>>::deserialize(from)?;
    let limits = asked.map(|limits| limits.into_iter().map(OwnLimit::from).collect());
    Ok(Some(limits))
}

/// Who chose what is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chooser {
    /// The people who run the gateway.
    #[default]
    Operator,
    /// The account's owner, who may have been asked by a portal.
    Account,
}

/// What a change of many leaves alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// What an account chose itself.
    #[default]
    OwnChoices,
    /// Nothing.
    Nothing,
}

/// The settings that an account chose itself, as the bits of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnChoices(u8);

impl OwnChoices {
    const LOGINS: Self = Self(1);
    const CLASSIFICATION: Self = Self(2);
    const LIMITS: Self = Self(4);

    pub(super) fn from_bits(bits: i64) -> Self {
        Self(u8::try_from(bits & 7).unwrap_or_default())
    }

    pub(super) const fn bits(self) -> i64 {
        self.0 as i64
    }

    const fn contains(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    fn set(&mut self, one: Self, is_own: bool) {
        self.0 = if is_own {
            self.0 | one.0
        } else {
            self.0 & !one.0
        };
    }

    /// The names of the settings.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (Self::LOGINS, "loginsFromAbroad"),
            (Self::CLASSIFICATION, "classification"),
            (Self::LIMITS, "limits"),
        ];
        let own = all.into_iter().filter(|(one, _)| self.contains(*one));
        own.map(|(_, name)| name).collect()
    }
}

impl SettingsPatch {
    /// What sets everything, and takes back what is absent.
    #[must_use]
    pub fn whole(settings: AccountSettings) -> Self {
        Self {
            logins_from_abroad: Some(settings.logins_from_abroad),
            classification: Some(settings.classification),
            limits: Some((!settings.limits.is_empty()).then_some(settings.limits)),
        }
    }

    /// Whether nothing stays as it was.
    pub(super) const fn is_whole(&self) -> bool {
        self.logins_from_abroad.is_some() && self.classification.is_some() && self.limits.is_some()
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The same with its limits in order, or why they cannot be anybody's.
    ///
    /// # Errors
    /// [`BadSettings`] names the field.
    pub fn checked(mut self) -> Result<Self, BadSettings> {
        if let Some(Some(limits)) = self.limits {
            let settings = AccountSettings {
                limits,
                ..AccountSettings::default()
            };
            let limits = settings.checked()?.limits;
            self.limits = Some((!limits.is_empty()).then_some(limits));
        }
        Ok(self)
    }

    /// What becomes of settings, and of the note which of them are the account's own choice.
    pub(super) fn apply(
        &self,
        before: &(AccountSettings, OwnChoices),
        chooser: Chooser,
        keep: Keep,
    ) -> (AccountSettings, OwnChoices) {
        let (mut settings, mut own) = before.clone();
        let is_own = chooser == Chooser::Account;
        let stays = |one| keep == Keep::OwnChoices && own.contains(one) && !is_own;
        let stay = [
            OwnChoices::LOGINS,
            OwnChoices::CLASSIFICATION,
            OwnChoices::LIMITS,
        ]
        .map(stays);
        if let (Some(wanted), false) = (self.logins_from_abroad, stay[0]) {
            settings.logins_from_abroad = wanted;
            own.set(OwnChoices::LOGINS, is_own && wanted.is_some());
        }
        if let (Some(wanted), false) = (self.classification, stay[1]) {
            settings.classification = wanted;
            own.set(OwnChoices::CLASSIFICATION, is_own && wanted.is_some());
        }
        if let (Some(wanted), false) = (&self.limits, stay[2]) {
            settings.limits = wanted.clone().unwrap_or_default();
            own.set(OwnChoices::LIMITS, is_own && wanted.is_some());
        }
        (settings, own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> SettingsPatch {
        serde_json::from_str::<SettingsPatch>(json)
            .unwrap()
            .checked()
            .unwrap()
    }

    #[test]
    fn absent_stays_and_null_is_taken_back() {
        let before = (AccountSettings::default(), OwnChoices::default());
        let refuse = read(r#"{"loginsFromAbroad":"Refuse"}"#);
        let set = refuse.apply(&before, Chooser::Account, Keep::Nothing);
        assert_eq!(set.1.names(), ["loginsFromAbroad"]);
        let other = read(r#"{"classification":"Wanted"}"#);
        let both = other.apply(&set, Chooser::Operator, Keep::Nothing);
        assert_eq!(both.0.logins_from_abroad, Some(LoginsFromAbroad::Refuse));
        assert_eq!(both.1.names(), ["loginsFromAbroad"]);
        let back = read(r#"{"loginsFromAbroad":null,"classification":null,"limits":[]}"#);
        assert_eq!(back.apply(&both, Chooser::Account, Keep::Nothing), before);
        let text = serde_json::to_string(&back).unwrap();
        assert_eq!(read(&text), back, "{text}");
    }

    #[test]
    fn own_choices_are_kept_from_others() {
        let before = (AccountSettings::default(), OwnChoices::default());
        let allow = read(r#"{"loginsFromAbroad":"Allow"}"#);
        let own = allow.apply(&before, Chooser::Account, Keep::OwnChoices);
        let refuse = read(r#"{"loginsFromAbroad":"Refuse","classification":"Wanted"}"#);
        let kept = refuse.apply(&own, Chooser::Operator, Keep::OwnChoices);
        assert_eq!(kept.0.logins_from_abroad, Some(LoginsFromAbroad::Allow));
        assert_eq!(kept.0.classification, Some(Filtering::Wanted));
        let all = refuse.apply(&own, Chooser::Operator, Keep::Nothing);
        assert_eq!(all.0.logins_from_abroad, Some(LoginsFromAbroad::Refuse));
        assert!(all.1.names().is_empty(), "it is the operator's choice now");
        let mind = refuse.apply(&own, Chooser::Account, Keep::OwnChoices);
        assert_eq!(mind.0.logins_from_abroad, Some(LoginsFromAbroad::Refuse));
    }

    #[test]
    fn strange_patches_are_refused() {
        for bad in [
            r#"{"loginsFromAbroad":"No"}"#,
            r#"{"limit":[]}"#,
            r#"{"limits":[{"rule":"a","unit":"Recipients","per":3600000}]}"#,
        ] {
            assert!(serde_json::from_str::<SettingsPatch>(bad).is_err(), "{bad}");
        }
        assert!(read("{}").is_empty());
    }
}
