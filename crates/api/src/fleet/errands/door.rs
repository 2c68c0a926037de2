//! The ways to the board: `GET /v1/errands` and `POST /v1/errands/{id}` of proxies, `POST /v1/fleet/errands` of other replicas.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use sekisho_policy::errand::{Done, ErrandId, MAX_DONE_BYTES, Offer};

use super::board::Received;
use super::passing::{MAX_PASSED_BYTES, Passed};
use crate::configs::LONGEST_WAIT;
use crate::fleet::name::Asked;
use crate::fleet::poll::Patience;
use crate::fleet::server::read_body;
use crate::fleet::sources::Fleet;
use crate::fleet::state::namespace_of;
use crate::problem::Problem;

/// A proxy asks for something to do, and waits for it.
pub(in crate::fleet) async fn show(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Json<Offer>, Problem> {
    let gateway = asked.gateway()?;
    let proxy = fleet.admission.proxy(&headers, &gateway).await?;
    let _visit = fleet.turns.visit(namespace_of(&gateway), &proxy)?;
    let patience = Patience::of(&headers, &fleet.shutdown);
    let errand = fleet.errands.next(&gateway, &proxy, &patience).await?;
    Ok(Json(Offer { errand }))
}

/// A proxy says what came of an errand.
pub(in crate::fleet) async fn take(
    State(fleet): State<Fleet>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let gateway = asked.gateway()?;
    let id = id.parse::<ErrandId>();
    let id = id.map_err(|error| Problem::bad_request(error.to_string()))?;
    let proxy = fleet.admission.proxy(request.headers(), &gateway).await?;
    let _visit = fleet.turns.visit(namespace_of(&gateway), &proxy)?;
    let body = read_body(request, MAX_DONE_BYTES).await?;
    let done: Done = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("not what comes of an errand: {error}")))?;
    match fleet.errands.answer(&gateway, &proxy, id, done).await? {
        Received::Taken => Ok(StatusCode::NO_CONTENT),
        Received::Unknown => Err(Problem::new(
            StatusCode::GONE,
            "nobody waits for an answer of that name from here, or not any more",
        )),
        Received::Unfit => Err(Problem::bad_request(
            "this is no answer to what was asked, or it is about rules elsewhere",
        )),
    }
}

/// Another replica passes something on.
pub(in crate::fleet) async fn hear(
    State(fleet): State<Fleet>,
    request: Request,
) -> Result<Response, Problem> {
    fleet.admission.replica(request.headers()).await?;
    let body = read_body(request, MAX_PASSED_BYTES).await?;
    let passed = Passed::read(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    if !fleet.errands.is_held_here() {
        return Err(Problem::unavailable(
            "this replica does not hold the lease",
            1,
        ));
    }
    let errands = &fleet.errands;
    match passed {
        Passed::Ask { gateway, work } => {
            Ok(Json(errands.ask_here(&gateway, work).await).into_response())
        }
        Passed::Poll {
            gateway,
            proxy,
            wait_ms,
        } => {
            let wait = Duration::from_millis(wait_ms).min(LONGEST_WAIT);
            let patience = Patience::within(wait, &fleet.shutdown);
            let errand = errands.next_here(&gateway, &proxy, &patience).await;
            Ok(Json(Offer { errand }).into_response())
        }
        Passed::Answer {
            gateway,
            proxy,
            id,
            done,
        } => {
            let received = errands.answer_here(&gateway, &proxy, id, done);
            Ok(Json(received).into_response())
        }
    }
}
