//! What accounts have set is heard of by a long poll, in parts where it is much. It has a connection of its own, so that the first
//! hearing of a million holds up nothing else.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use sekisho_policy::settings::{SettingsChange, SettingsChanges};
use sekisho_policy::states::{Part, Rest};
use sekisho_proxy::KnownSettings;
use serde::Deserialize as _;
use tokio::time::{Instant, sleep};

use super::follow::built;
use super::{Backoff, Control, Told, Trouble};

/// The control plane is asked to wait so long for news.
const POLL_SECONDS: u64 = 50;
/// And so much later there must be an answer.
const POLL_WITHIN: Duration = Duration::from_secs(POLL_SECONDS + 15);
/// A control plane that answers at once and has nothing new is not asked more often than this.
const AT_LEAST: Duration = Duration::from_millis(100);
/// One that keeps no settings is asked again after this.
const WITHOUT_STORE: Duration = Duration::from_secs(60);
/// The whole is asked for so often, or up to a tenth later: whatever was missed does not stay so, such as what a store forgot that
/// was restored from a backup.
const WHOLE_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Hears what is set, until it is dropped.
pub(crate) async fn hear_settings(
    control: Control,
    known: KnownSettings,
    mut told: Told,
    mut backoff: Backoff,
) {
    let mut whole_at = Instant::now() + WHOLE_EVERY + backoff.part_of(WHOLE_EVERY / 10);
    loop {
        let ended =
            hear_on_one_connection(&control, &known, &mut told, &mut backoff, &mut whole_at);
        let Err(trouble) = ended.await else { continue };
        if keeps_none(&trouble) {
            // What was heard earlier holds. Where nothing ever was, nobody can say that there is nothing.
            if known.were_heard() {
                told.well();
            } else {
                told.trouble(&trouble);
            }
            sleep(WITHOUT_STORE).await;
            continue;
        }
        told.trouble(&trouble);
        sleep(backoff.wait(trouble.retry_after())).await;
    }
}

async fn hear_on_one_connection(
    control: &Control,
    known: &KnownSettings,
    told: &mut Told,
    backoff: &mut Backoff,
    whole_at: &mut Instant,
) -> Result<(), Trouble> {
    let mut line = control.connect().await?;
    let mut answers = 0_u32;
    while line.is_open() {
        let began = Instant::now();
        if began >= *whole_at {
            known.ask_for_whole();
            *whole_at = began + WHOLE_EVERY;
        }
        let asked = match line.ask(question(control, known), POLL_WITHIN).await {
            Err(trouble) if answers > 0 && trouble.is_hang_up() => return Ok(()),
            asked => asked?,
        };
        answers = answers.saturating_add(1);
        if asked.status != StatusCode::OK {
            return Err(asked.trouble());
        }
        let said = read(&asked.body)?;
        let is_news = !said.changes.is_empty() || said.rest == Rest::More;
        known.apply(&said);
        match known.missing() {
            _ if !known.were_heard() => {}
            0 => told.well(),
            count => told.degraded(format!(
                "the control plane's store does not know the settings of {count} accounts that are kept here: import them again, or set and reset them"
            )),
        }
        backoff.reset();
        if !is_news && began.elapsed() < AT_LEAST {
            sleep(AT_LEAST).await;
        }
    }
    Ok(())
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

fn question(
    control: &Control,
    known: &KnownSettings,
) -> hyper::Request<http_body_util::Full<Bytes>> {
    let (since, part) = known.question();
    let part = match part {
        Part::First => "",
        Part::Next => "&part=next",
    };
    let request = control
        .request_with("/v1/settings", &format!("&since={since}{part}"))
        .header("prefer", format!("wait={POLL_SECONDS}"));
    built(request, Bytes::new())
}

/// Whether the control plane keeps no settings, or is too old to know of them.
fn keeps_none(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Answered { status, .. } if *status == StatusCode::NOT_FOUND)
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
