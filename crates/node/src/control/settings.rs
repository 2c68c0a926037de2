//! What accounts have set is heard of by a long poll, in parts where it is much. It has a connection of its own, so that the first
//! hearing of a million holds up nothing else.

use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use sekisho_policy::settings::SettingsChanges;
use sekisho_policy::states::{Part, Rest};
use sekisho_proxy::KnownSettings;
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
            told.well();
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
        let said: SettingsChanges = serde_json::from_slice(&asked.body)
            .map_err(|error| Trouble::Body(format!("they are no account settings: {error}")))?;
        let is_news = !said.changes.is_empty() || said.rest == Rest::More;
        known.apply(&said);
        if known.were_heard() {
            told.well();
        }
        backoff.reset();
        if !is_news && began.elapsed() < AT_LEAST {
            sleep(AT_LEAST).await;
        }
    }
    Ok(())
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
