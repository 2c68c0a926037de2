//! What accounts have set is heard of as everything that the control plane says of accounts.

use std::time::Duration;

use sekisho_policy::settings::{SettingsChange, SettingsChanges};
use sekisho_proxy::KnownSettings;
use serde::Deserialize as _;

use super::hear::{Amount, Subject, hear_of, since};
use super::{Backoff, Control, Line, Told, Trouble};

/// Hears what is set, until it is dropped.
pub(crate) async fn hear_settings(
    control: Control,
    known: KnownSettings,
    mut told: Told,
    mut backoff: Backoff,
) {
    hear_of(&control, &known, &mut told, &mut backoff).await;
}

impl Subject for KnownSettings {
    const PATH: &'static str = "/v1/settings";
    /// Among what may be missed is what a store forgot that was restored from a backup.
    const WHOLE_EVERY: Option<Duration> = Some(Duration::from_secs(24 * 60 * 60));
    /// A million of them are a hundred megabytes for each proxy.
    const WHOLE_SPREAD: Duration = Duration::from_secs(24 * 60 * 60 / 10);

    fn query(&self) -> String {
        since(self.question())
    }

    fn ask_for_whole(&self) {
        self.ask_for_whole();
    }

    async fn take(&self, body: &[u8], _: &mut Line) -> Result<Amount, Trouble> {
        let said = read(body)?;
        self.apply(&said);
        Ok(Amount {
            changes: said.changes.len(),
            rest: said.rest,
        })
    }

    fn report(&self, told: &mut Told) {
        match self.missing() {
            _ if !self.were_heard() => {}
            0 => told.well(),
            count => told.degraded(format!(
                "the control plane's store does not know the settings of {count} accounts that are kept here: import them again, or set and reset them"
            )),
        }
    }

    fn report_without_store(&self, told: &mut Told, trouble: &Trouble) {
        // What was heard earlier holds. Where nothing ever was, nobody can say that there is nothing.
        if self.were_heard() {
            told.well();
        } else {
            told.trouble(trouble);
        }
    }
}

/// What the control plane says. A change that cannot be read, as a newer one may tell of, is left out: the others hold.
fn read(body: &[u8]) -> Result<SettingsChanges, Trouble> {
    let strict = match serde_json::from_slice(body) {
        Ok(said) => return Ok(said),
        Err(error) => error,
    };
    let no_settings =
        |error: &serde_json::Error| Trouble::Body(format!("they are no account settings: {error}"));
    let mut said: serde_json::Value =
        serde_json::from_slice(body).map_err(|_| no_settings(&strict))?;
    let changes = said.get_mut("changes").and_then(|all| all.as_array_mut());
    let Some(changes) = changes else {
        return Err(no_settings(&strict));
    };
    let before = changes.len();
    changes.retain(|change| SettingsChange::deserialize(change).is_ok());
    let count = before - changes.len();
    let said = serde_json::from_value(said).map_err(|error| no_settings(&error))?;
    tracing::error!(
        count, error = %strict,
        "settings of accounts cannot be read, and what was known of those accounts stays: this process may be older than the control plane"
    );
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_control_plane_tells_is_read_as_far_as_it_goes() {
        let body = br#"{"revision":7,"onto":"Known","rest":"Nothing","newer":1,"changes":[
            {"account":"a@example.jp","settings":{"loginsFromAbroad":"Refuse","more":{}}},
            {"account":"b@example.jp","settings":{"loginsFromAbroad":"Ask"}},
            {"account":"c@example.jp"}]}"#;
        let said = read(body).unwrap();
        let names = said.changes.iter().map(|change| change.account.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["a@example.jp", "c@example.jp"]);
        assert_eq!(
            (said.revision, said.changes[1].settings.is_none()),
            (7, true)
        );
        for bad in [&b"{}"[..], b"[]", b"no", br#"{"changes":[{}]}"#] {
            assert!(read(bad).is_err());
        }
    }
}
