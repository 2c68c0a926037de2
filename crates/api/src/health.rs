//! `GET /healthz` and `GET /readyz`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use sekisho_runtime::health::{Report, State as Readiness};

use crate::problem::Problem;
use crate::state::App;

/// 200 while every task that must run does.
pub(crate) async fn live(State(app): State<App>) -> Result<&'static str, Problem> {
    match app.health.dead_task() {
        None => Ok("ok\n"),
        Some(task) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the task {task} ended on its own; the process must be started anew"),
        )),
    }
}

/// 200 while mail may be sent here, with what each component says; an object that is invalid and keeps its last good rules
/// makes it degraded, and names it.
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Report>) {
    let mut report = app.health.report();
    if app.shutdown.is_draining() {
        report.status = Readiness::NotReady;
    }
    let status = if report.status == Readiness::NotReady {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (status, Json(report))
}
