//! The state channel: what accounts may not do is heard of by a long poll, and what is imposed here is told until it is taken. Each
//! has a connection of its own, so that neither waits for the other.

use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use hyper::{Method, StatusCode};
use sekisho_policy::states::{Imposition, States};
use sekisho_proxy::Restrictions;
use tokio::time::{Instant, sleep, timeout_at};

use super::follow::built;
use super::hear::{Amount, Subject, WITHOUT_STORE, hear_of, keeps_none, since};
use super::{Backoff, Control, Line, Told, Trouble};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Impositions that are told at once.
const BATCH: usize = 200;

/// Hears what holds, until it is dropped.
pub(crate) async fn hear(
    control: Control,
    restrictions: Restrictions,
    mut told: Told,
    mut backoff: Backoff,
) {
    hear_of(&control, &restrictions, &mut told, &mut backoff).await;
}

impl Subject for Restrictions {
    const PATH: &'static str = "/v1/state";
    const WHOLE_EVERY: Option<Duration> = Some(Duration::from_secs(60 * 60));

    fn query(&self) -> String {
        since(self.question())
    }

    fn ask_for_whole(&self) {
        self.ask_for_whole();
    }

    async fn take(&self, body: &[u8], _: &mut Line) -> Result<Amount, Trouble> {
        let states = read(body)?;
        self.apply(&states);
        Ok(Amount {
            changes: states.changes.len(),
            rest: states.rest,
        })
    }

    fn report(&self, told: &mut Told) {
        told.well();
    }

    fn report_without_store(&self, told: &mut Told, _: &Trouble) {
        told.well();
    }
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
