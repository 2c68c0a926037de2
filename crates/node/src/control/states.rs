//! The state channel: what accounts may not do is heard of by a long poll, and what is imposed here is told until it is taken. Each
//! has a connection of its own, so that neither waits for the other.

use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, StatusCode};
use sekisho_policy::states::{Imposition, Part, Rest, States};
use sekisho_proxy::Restrictions;
use tokio::time::{Instant, sleep, timeout_at};

use super::follow::built;
use super::{Backoff, Control, Line, Told, Trouble};

/// The control plane is asked to wait so long for news.
const POLL_SECONDS: u64 = 50;
/// And so much later there must be an answer.
const POLL_WITHIN: Duration = Duration::from_secs(POLL_SECONDS + 15);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// A control plane that answers at once and has nothing new is not asked more often than this.
const AT_LEAST: Duration = Duration::from_millis(100);
/// One that keeps no account states is asked again after this.
const WITHOUT_STORE: Duration = Duration::from_secs(60);
/// The whole is asked for so often, so that whatever was missed does not stay so.
const WHOLE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Impositions that are told at once.
const BATCH: usize = 200;

/// Hears what holds, until it is dropped.
pub(crate) async fn hear(
    control: Control,
    restrictions: Restrictions,
    mut told: Told,
    mut backoff: Backoff,
) {
    let mut whole_at = Instant::now() + WHOLE_EVERY;
    loop {
        let ended = hear_on_one_connection(
            &control,
            &restrictions,
            &mut told,
            &mut backoff,
            &mut whole_at,
        );
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
    restrictions: &Restrictions,
    told: &mut Told,
    backoff: &mut Backoff,
    whole_at: &mut Instant,
) -> Result<(), Trouble> {
    let mut line = control.connect().await?;
    let mut answers = 0_u32;
    while line.is_open() {
        let began = Instant::now();
        if began >= *whole_at {
            restrictions.ask_for_whole();
            *whole_at = began + WHOLE_EVERY;
        }
        let asked = match line.ask(question(control, restrictions), POLL_WITHIN).await {
            Err(trouble) if answers > 0 && trouble.is_hang_up() => return Ok(()),
            asked => asked?,
        };
        answers = answers.saturating_add(1);
        if asked.status != StatusCode::OK {
            return Err(asked.trouble());
        }
        let states = read(&asked.body)?;
        let is_news = !states.changes.is_empty() || states.rest == Rest::More;
        restrictions.apply(&states);
        told.well();
        backoff.reset();
        if !is_news && began.elapsed() < AT_LEAST {
            sleep(AT_LEAST).await;
        }
    }
    Ok(())
}

fn question(
    control: &Control,
    restrictions: &Restrictions,
) -> hyper::Request<http_body_util::Full<Bytes>> {
    let (since, part) = restrictions.question();
    let part = match part {
        Part::First => "",
        Part::Next => "&part=next",
    };
    let request = control
        .request_with("/v1/state", &format!("&since={since}{part}"))
        .header("prefer", format!("wait={POLL_SECONDS}"));
    built(request, Bytes::new())
}

fn read(body: &[u8]) -> Result<States, Trouble> {
    serde_json::from_slice(body)
        .map_err(|error| Trouble::Body(format!("it is no account state: {error}")))
}

/// Tells what is imposed here, until it is dropped.
pub(crate) async fn tell(
    control: Control,
    restrictions: Restrictions,
    mut told: Told,
    mut backoff: Backoff,
) {
    let mut line = None;
    loop {
        restrictions.queued().await;
        loop {
            let batch = restrictions.next_batch(BATCH);
            if batch.is_empty() {
                break;
            }
            match send(&control, &mut line, &batch).await {
                Ok(states) => {
                    told.well();
                    backoff.reset();
                    restrictions.stored(&batch, &states);
                }
                Err(trouble) if is_lasting(&trouble) => {
                    tracing::error!(%trouble, count = batch.len(), "restrictions are not taken by the control plane: they hold in this proxy alone");
                    restrictions.refused(&batch);
                }
                Err(trouble) => {
                    line = None;
                    let without_store = keeps_none(&trouble);
                    restrictions.put_back(batch);
                    if without_store {
                        told.well();
                        sleep(WITHOUT_STORE).await;
                    } else {
                        told.trouble(&trouble);
                        sleep(backoff.wait(trouble.retry_after())).await;
                    }
                }
            }
        }
    }
}

/// Tells what is left, until `deadline`; no session imposes any more.
pub(crate) async fn tell_last(control: &Control, restrictions: &Restrictions, deadline: Instant) {
    let mut line = None;
    loop {
        let batch = restrictions.next_batch(BATCH);
        if batch.is_empty() {
            return;
        }
        match timeout_at(deadline, send(control, &mut line, &batch)).await {
            Ok(Ok(states)) => restrictions.stored(&batch, &states),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(
                    count = batch.len(),
                    "restrictions could not be told in time; the next run tells them"
                );
                return restrictions.put_back(batch);
            }
        }
    }
}

async fn send(
    control: &Control,
    kept: &mut Option<Line>,
    batch: &[Imposition],
) -> Result<States, Trouble> {
    let mut line = match kept.take().filter(Line::is_open) {
        Some(line) => line,
        None => control.connect().await?,
    };
    let body = serde_json::to_vec(&serde_json::json!({ "impositions": batch }));
    let body = body.map_err(|error| Trouble::Body(error.to_string()))?;
    let request = control
        .request("/v1/state")
        .method(Method::POST)
        .header(CONTENT_TYPE, "application/json");
    let answer = line.ask(built(request, body.into()), ANSWER_WITHIN).await?;
    if answer.status != StatusCode::OK {
        return Err(answer.trouble());
    }
    let states = read(&answer.body)?;
    *kept = Some(line);
    Ok(states)
}

/// Whether the control plane keeps no account states, or is too old to know of them.
fn keeps_none(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Answered { status, .. } if *status == StatusCode::NOT_FOUND)
}

/// Whether the same batch will never be taken.
fn is_lasting(trouble: &Trouble) -> bool {
    let Trouble::Answered { status, .. } = trouble else {
        return false;
    };
    [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ]
    .contains(status)
}
