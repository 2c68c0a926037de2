//! `GET /healthz` and `GET /readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sekisho_runtime::health::Report;

use crate::problem::Problem;
use crate::state::App;

/// 200 while every task that must run does.
pub(crate) async fn live(State(app): State<App>) -> Result<&'static str, Problem> {
    app.health
        .liveness()
        .map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
}

/// 200 while mail may be sent here, with what each component says; an object that is invalid and keeps its last good rules
/// makes it degraded, and names it.
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Report>) {
    let report = app.health.readiness(app.shutdown.is_draining());
    let status = if report.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}
