//! `GET /v1/config`: a proxy asks for its gateway's snapshot, and waits for the next one.

use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use sekisho_runtime::metrics::FleetConfig;

use super::name::Asked;
use super::poll::Patience;
use super::sources::Fleet;
use crate::configs::{Published, accepts_zstd, full, is_known, preferred_wait, unchanged};
use crate::problem::Problem;

/// The schema that a proxy reads if it does not say.
const FIRST_SCHEMA: u32 = 1;
/// A proxy that is too old is replaced by people; until then it need not ask often.
const RETRY_SCHEMA: u16 = 60;

pub(super) async fn show(
    State(fleet): State<Fleet>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let answer = answer(&fleet, asked, &headers).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(problem) => problem.status(),
    };
    fleet.metrics.fleet_config(match status {
        StatusCode::OK => FleetConfig::Sent,
        StatusCode::NOT_MODIFIED => FleetConfig::Unchanged,
        StatusCode::NOT_FOUND => FleetConfig::Missing,
        StatusCode::NOT_ACCEPTABLE => FleetConfig::Schema,
        status if status.is_server_error() => FleetConfig::Unavailable,
        _ => FleetConfig::Refused,
    });
    answer
}

async fn answer(fleet: &Fleet, asked: Asked, headers: &HeaderMap) -> Result<Response, Problem> {
    let gateway = asked.gateway()?;
    let reads = schema(headers)?;
    let proxy = fleet.admission.proxy(headers, &gateway).await?;
    fleet.ready.check()?;
    let _hold = fleet.reports.hold(&gateway, &proxy);
    wait(fleet, &gateway, reads, headers).await
}

/// Answers with what the proxy does not have, as soon as there is such a thing.
async fn wait(
    fleet: &Fleet,
    gateway: &str,
    reads: u32,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let wait = preferred_wait(headers);
    let patience = Patience::of(headers, &fleet.shutdown);
    let mut following = fleet.configs.follow(gateway);
    let (mut had, mut over) = (Had::Nothing, false);
    loop {
        match following.now() {
            Some(published) if !is_known(headers, published.etag()) => {
                return send(&published, reads, headers, wait);
            }
            Some(published) if over => return Ok(unchanged(&published, wait)),
            Some(_) => had = Had::Snapshot,
            // Withdrawn, or never there.
            None if over || had == Had::Snapshot => return Err(missing(fleet, gateway)),
            None => {}
        }
        over = patience.outlasts(following.changed()).await.is_none();
    }
}

/// What the gateway had when it was looked at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Had {
    Nothing,
    Snapshot,
}

fn send(
    published: &Published,
    reads: u32,
    headers: &HeaderMap,
    wait: Duration,
) -> Result<Response, Problem> {
    let schema = published.envelope().snapshot.schema;
    if schema > reads {
        let why = format!(
            "the snapshot has schema {schema} and this proxy reads {reads} at most: it needs the image of the control plane's version"
        );
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, why).retry_after(RETRY_SCHEMA));
    }
    Ok(full(published, accepts_zstd(headers), wait))
}

fn missing(fleet: &Fleet, gateway: &str) -> Problem {
    if fleet.shutdown.is_draining() {
        return Problem::unavailable("this replica is going away; ask another one", 1);
    }
    Problem::not_found(format!("there is no snapshot of {gateway}"))
}

/// The newest schema that the proxy reads.
fn schema(headers: &HeaderMap) -> Result<u32, Problem> {
    let Some(value) = headers.get("sekisho-schema") else {
        return Ok(FIRST_SCHEMA);
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Problem::bad_request("Sekisho-Schema is the number of the newest schema"))
}
