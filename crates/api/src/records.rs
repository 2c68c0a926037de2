//! The ledger, read only: `GET /v1/records/{id}`, `GET /v1/records?account=`, and the snapshots that records refer to.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use sekisho_policy::{Account, DecisionId, Envelope, Record, Timestamp};
use sekisho_store::{Filter, Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::state::App;

const MOST_RECORDS: u32 = 100;

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    account: Option<String>,
    /// Milliseconds since 1970.
    since: Option<Timestamp>,
    /// The same: not after.
    until: Option<Timestamp>,
    limit: Option<u32>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Records {
    records: Vec<Record>,
}

/// One record, by its own id or by the id of any decision in it, as a client was given it.
pub(crate) async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<Json<Record>, Problem> {
    let id: DecisionId = id
        .parse()
        .map_err(|error| Problem::bad_request(format!("{error}")))?;
    let found = store(&app)?.record(id).await.map_err(unavailable)?;
    found.map(|found| Json(found.record)).ok_or_else(|| {
        Problem::not_found(format!(
            "no record {id}: it was never written, or its time in the ledger is over"
        ))
    })
}

/// The latest records of one account, newest first.
pub(crate) async fn list(
    State(app): State<App>,
    Query(asked): Query<Asked>,
) -> Result<Json<Records>, Problem> {
    let account = asked
        .account
        .ok_or_else(|| Problem::bad_request("say whose with ?account=name@domain"))?;
    let limit = asked.limit.unwrap_or(20).clamp(1, MOST_RECORDS);
    let filter = Filter {
        account: Some(Account::canonical(&account, None)),
        since: asked.since,
        until: asked.until,
        limit,
    };
    let records = store(&app)?.records(&filter).await.map_err(unavailable)?;
    Ok(Json(Records { records }))
}

/// The snapshot that a record was decided under, by its digest.
pub(crate) async fn snapshot(
    State(app): State<App>,
    Path(digest): Path<String>,
) -> Result<Json<Envelope>, Problem> {
    let snapshot = store(&app)?.snapshot(&digest).await.map_err(unavailable)?;
    snapshot
        .map(Json)
        .ok_or_else(|| Problem::not_found("no snapshot of this digest is kept"))
}

fn store(app: &App) -> Result<&Store, Problem> {
    app.store.as_ref().ok_or_else(|| {
        Problem::not_found("no records are kept: this control plane was started without --store")
    })
}

fn unavailable(error: StoreError) -> Problem {
    tracing::error!(%error, "the ledger cannot be read");
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the ledger cannot be read now; the log says why",
    )
}
