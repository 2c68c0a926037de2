//! The webhook: POST /inject.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::{FindGateway, review};
use crate::settings::Settings;

/// The path of the webhook.
pub const PATH: &str = "/inject";
/// The largest question. The API server takes objects of up to 3 MiB from its clients.
pub const MAX_REVIEW_BYTES: usize = 3 << 20;

#[derive(Clone)]
struct Webhook {
    settings: Arc<Settings>,
    gateways: Arc<dyn FindGateway>,
}

/// Serves [`PATH`].
pub fn router(settings: Arc<Settings>, gateways: Arc<dyn FindGateway>) -> Router {
    Router::new()
        .route(PATH, post(answer))
        .layer(DefaultBodyLimit::max(MAX_REVIEW_BYTES))
        .with_state(Webhook { settings, gateways })
}

async fn answer(State(webhook): State<Webhook>, headers: HeaderMap, body: Bytes) -> Response {
    let type_ = headers.get(header::CONTENT_TYPE);
    let is_json = type_
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        let why = "an AdmissionReview is sent as application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    match review(&body, webhook.gateways.as_ref(), &webhook.settings) {
        Ok(answer) => axum::Json(answer).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
    }
}
