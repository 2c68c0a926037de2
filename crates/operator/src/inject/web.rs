//! The webhook: POST /inject.
//!
//! The API server shows nothing by which it could be known, so that anybody who reaches the port may ask: what all of them
//! together can cost is bounded, and each is answered what the author of a pod needs to know, and no more.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{FindGateway, review};
use crate::settings::Settings;

/// The path of the webhook.
pub const PATH: &str = "/inject";
/// The largest question. The API server takes objects of up to 3 MiB from its clients.
pub const MAX_REVIEW_BYTES: usize = 3 << 20;

/// Questions that are read at once, so that they take 48 MiB at most.
const READ_AT_ONCE: usize = 16;
/// A question is there within this time. The API server does not wait longer for the answer by default, and whoever is slow on
/// purpose does not hold a place for long.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// Questions that are taken apart at once. One takes a millisecond, and as a tree of JSON many times its length.
const JUDGED_AT_ONCE: usize = 2;
/// A question waits no longer for either.
const TURN_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Webhook(Arc<Inner>);

struct Inner {
    settings: Arc<Settings>,
    gateways: Arc<dyn FindGateway>,
    reading: Arc<Semaphore>,
    judging: Arc<Semaphore>,
}

/// Serves [`PATH`].
pub fn router(settings: Arc<Settings>, gateways: Arc<dyn FindGateway>) -> Router {
    let webhook = Webhook(Arc::new(Inner {
        settings,
        gateways,
        reading: Arc::new(Semaphore::new(READ_AT_ONCE)),
        judging: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
    }));
    Router::new().route(PATH, post(answer)).with_state(webhook)
}

async fn answer(State(Webhook(webhook)): State<Webhook>, request: Request) -> Response {
    if !is_json(request.headers()) {
        let why = "an AdmissionReview is sent as application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    let busy = || {
        let retry = [(header::RETRY_AFTER, "1")];
        let why = "too many questions at once";
        (StatusCode::SERVICE_UNAVAILABLE, retry, why).into_response()
    };
    let place = timeout(TURN_WITHIN, webhook.reading.clone().acquire_owned()).await;
    // The semaphores are never closed.
    let Ok(Ok(place)) = place else {
        return busy();
    };
    let body = Limited::new(request.into_body(), MAX_REVIEW_BYTES).collect();
    let body = match timeout(READ_WITHIN, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        }
        Ok(Err(_)) => return StatusCode::BAD_REQUEST.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let turn = timeout(TURN_WITHIN, webhook.judging.clone().acquire_owned()).await;
    let Ok(Ok(turn)) = turn else {
        return busy();
    };
    // It holds its places to its end, even if nobody waits for it any more.
    let judged = tokio::task::spawn_blocking(move || {
        let _held = (place, turn);
        review(&body, webhook.gateways.as_ref(), &webhook.settings)
    });
    match judged.await {
        Ok(Ok(answer)) => axum::Json(answer).into_response(),
        Ok(Err(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
}
