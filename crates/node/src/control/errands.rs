//! What the control plane has this proxy do: one errand after the other, each carried out at the gateway that runs here. The answer goes
//! back on the connection that the errand came on, or on another one where that was its last.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use sekisho_policy::errand::{Done, ErrandId, Failure, Work};
use sekisho_policy::states::Rest;
use serde::Deserialize;
use serde_json::Value;

use super::follow::built;
use super::hear::{Amount, Subject, hear_of};
use super::{Answer, Backoff, Control, Line, Told, Trouble};
use crate::checkpoint::Checkpoint;

/// Nobody waits for an answer for longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Does what is asked, until it is dropped.
pub(crate) async fn run_errands(
    control: Control,
    checkpoint: Arc<Checkpoint>,
    mut told: Told,
    mut backoff: Backoff,
) {
    let errands = Errands {
        control: control.clone(),
        checkpoint,
    };
    hear_of(&control, &errands, &mut told, &mut backoff).await;
}

struct Errands {
    control: Control,
    checkpoint: Arc<Checkpoint>,
}

/// What there is to do, as far as it must be understood to be answered.
#[derive(Deserialize)]
struct Offered {
    #[serde(default)]
    errand: Option<Given>,
}

#[derive(Deserialize)]
struct Given {
    id: ErrandId,
    work: Value,
}

impl Subject for Errands {
    const PATH: &'static str = "/v1/errands";
    const WHOLE_EVERY: Option<Duration> = None;

    fn query(&self) -> String {
        String::new()
    }

    async fn take(&self, body: &[u8], line: &mut Line) -> Result<Amount, Trouble> {
        let (rest, changes) = (Rest::Nothing, 1);
        let Some(Given { id, work }) = read(body)?.errand else {
            return Ok(Amount { changes: 0, rest });
        };
        let done = self.carry_out(work).await;
        if let Err(trouble) = self.answer(id, &done, line).await {
            tracing::warn!(%trouble, "what came of an errand of the control plane could not be told to it");
        }
        Ok(Amount { changes, rest })
    }

    fn report(&self, told: &mut Told) {
        told.well();
    }

    fn report_without_store(&self, told: &mut Told, _: &Trouble) {
        // It is older than errands.
        told.well();
    }
}

impl Errands {
    async fn carry_out(&self, work: Value) -> Done {
        let Ok(work) = serde_json::from_value(work) else {
            return Done::Failed(Failure::NotUnderstood);
        };
        let Some(gateway) = self.checkpoint.gateway().await else {
            return Done::Failed(Failure::NotRunning);
        };
        match work {
            Work::Scores { account } => match gateway.scores(&account).await {
                Ok(scores) => Done::Scores {
                    scores,
                    counts: gateway.counts(),
                },
                Err(_) => Done::Failed(Failure::CountersSilent),
            },
            Work::Bounced {
                account,
                count,
                message,
            } => Done::Bounced {
                counted: gateway.bounced(&account, count, message).await,
            },
        }
    }

    async fn answer(&self, id: ErrandId, done: &Done, line: &mut Line) -> Result<(), Trouble> {
        let body = serde_json::to_vec(done).map_err(|error| Trouble::Body(error.to_string()))?;
        let body = Bytes::from(body);
        let request = || {
            let request = self.control.request(&format!("/v1/errands/{id}"));
            let request = request
                .method(Method::POST)
                .header(CONTENT_TYPE, "application/json");
            built(request, body.clone())
        };
        if line.is_open() {
            match line.ask(request(), ANSWER_WITHIN).await {
                // It ended meanwhile. An answer that came through all the same is not taken twice.
                Err(trouble) if trouble.is_hang_up() => {}
                answer => return taken(&answer?),
            }
        }
        let mut another = self.control.connect().await?;
        taken(&another.ask(request(), ANSWER_WITHIN).await?)
    }
}

fn taken(answer: &Answer) -> Result<(), Trouble> {
    match answer.status.is_success() {
        true => Ok(()),
        false => Err(answer.trouble()),
    }
}

fn read(body: &[u8]) -> Result<Offered, Trouble> {
    serde_json::from_slice(body).map_err(|error| Trouble::Body(format!("it is no errand: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errand_of_a_newer_control_plane_is_read_as_far_as_its_name() {
        let id = "0".repeat(31) + "1";
        let newer = format!(r#"{{"errand":{{"id":"{id}","work":{{"Dance":{{}}}},"more":1}}}}"#);
        let given = read(newer.as_bytes()).unwrap().errand.unwrap();
        assert_eq!(given.id, ErrandId::from_random(1));
        assert!(serde_json::from_value::<Work>(given.work).is_err());
        assert!(read(b"{}").unwrap().errand.is_none());
        for bad in [&b"no"[..], b"1", br#"{"errand":{"id":"1","work":{}}}"#] {
            assert!(read(bad).is_err());
        }
    }
}
