//! `POST /v1/ack`: what a proxy says of itself.

use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use sekisho_policy::Report;
use sekisho_policy::report::MAX_REPORT_BYTES;
use sekisho_runtime::metrics::FleetAck;

use super::name::Asked;
use super::server::read_body;
use super::sources::Fleet;
use crate::problem::Problem;

pub(super) async fn take(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let taken = note(&fleet, asked, request).await;
    fleet.metrics.fleet_ack(match &taken {
        Ok(_) => FleetAck::Noted,
        Err(problem) => match problem.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => FleetAck::Refused,
            status if status.is_server_error() => FleetAck::Unavailable,
            _ => FleetAck::Malformed,
        },
    });
    taken
}

async fn note(fleet: &Fleet, asked: Asked, request: Request) -> Result<StatusCode, Problem> {
    let gateway = asked.gateway()?;
    let proxy = fleet.admission.proxy(request.headers(), &gateway).await?;
    let body = read_body(request, MAX_REPORT_BYTES).await?;
    let report = Report::read(&body).map_err(|error| Problem::bad_request(error.to_string()))?;
    fleet.reports.note(&gateway, &proxy, report);
    Ok(StatusCode::NO_CONTENT)
}
