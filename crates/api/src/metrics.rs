//! `GET /metrics`, in Prometheus' text format.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use sekisho_runtime::metrics::CONTENT_TYPE;

use crate::state::App;

pub(crate) async fn show(State(app): State<App>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        app.metrics.encode(app.clock.now_ms()),
    )
}
