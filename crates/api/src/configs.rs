//! The configuration that is in force, by gateway, ready to be served: `GET /v1/config`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sekisho_policy::Envelope;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::problem::Problem;
use crate::state::App;

/// No long poll is held longer, so that middle boxes do not cut it.
const LONGEST_WAIT: Duration = Duration::from_secs(50);

type ByGateway = BTreeMap<String, Arc<Published>>;

/// What is published now. Cloning shares it; whoever waits for a change is woken by it.
#[derive(Clone, Debug)]
pub struct Configs(Arc<watch::Sender<ByGateway>>);

/// One gateway's envelope, serialized once.
#[derive(Debug)]
pub struct Published {
    envelope: Arc<Envelope>,
    etag: HeaderValue,
    body: Arc<[u8]>,
}

impl Published {
    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

impl Default for Configs {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(ByGateway::new())))
    }
}

impl Configs {
    /// Serves this envelope for its gateway from now on.
    pub fn publish(&self, envelope: Arc<Envelope>) {
        let object = &envelope.snapshot.gateway.object;
        let name = format!("{}/{}", object.namespace, object.name);
        // An envelope is made of maps with text keys, integers and text; serializing it into memory cannot fail,
        // and a digest is hex. If either did, nothing new would be published.
        let (Ok(body), Ok(etag)) = (
            serde_json::to_vec(&*envelope),
            HeaderValue::from_str(&format!("\"{}\"", envelope.digest)),
        ) else {
            tracing::error!(
                gateway = name,
                "an envelope cannot be serialized; the one before is still served"
            );
            return;
        };
        let published = Arc::new(Published {
            envelope,
            etag,
            body: body.into(),
        });
        self.0.send_modify(|all| {
            all.insert(name, published);
        });
    }

    /// Stops serving a gateway (`namespace/name`).
    pub fn withdraw(&self, gateway: &str) {
        self.0.send_if_modified(|all| all.remove(gateway).is_some());
    }

    /// Everything that is published now, by gateway.
    pub fn all(&self) -> Vec<Arc<Published>> {
        self.0.borrow().values().cloned().collect()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    gateway: Option<String>,
}

/// `GET /v1/config?gateway=namespace/name`: the envelope, or 304 when the digest in `If-None-Match` is still the right one.
/// With `Prefer: wait=N` the 304 waits for a change, N seconds and 50 at most.
pub(crate) async fn show(
    State(app): State<App>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut changes = app.configs.0.subscribe();
    let wait = preferred_wait(&headers);
    let deadline = Instant::now() + wait;
    loop {
        let current = choose(&changes.borrow_and_update(), asked.gateway.as_deref())?;
        if !is_known(&headers, &current.etag) {
            return Ok(full(&current, wait));
        }
        let changed = tokio::select! {
            changed = timeout_at(deadline, changes.changed()) => matches!(changed, Ok(Ok(()))),
            () = app.shutdown.draining() => false,
        };
        if !changed {
            return Ok(unchanged(&current, wait));
        }
    }
}

fn choose(all: &ByGateway, gateway: Option<&str>) -> Result<Arc<Published>, Problem> {
    let names = || {
        all.keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match gateway {
        Some(name) => all
            .get(name)
            .cloned()
            .ok_or_else(|| Problem::not_found(format!("no such gateway; there is: {}", names()))),
        None if all.len() == 1 => all
            .values()
            .next()
            .cloned()
            .ok_or_else(|| Problem::not_found("no gateway is configured")),
        None if all.is_empty() => Err(Problem::not_found("no gateway is configured")),
        None => Err(Problem::bad_request(format!(
            "say which one with ?gateway=namespace/name: {}",
            names()
        ))),
    }
}

fn full(published: &Published, wait: Duration) -> Response {
    let mut response = published.body.to_vec().into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    describe(response, published, wait)
}

fn unchanged(published: &Published, wait: Duration) -> Response {
    describe(StatusCode::NOT_MODIFIED.into_response(), published, wait)
}

fn describe(mut response: Response, published: &Published, wait: Duration) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ETAG, published.etag.clone());
    if !wait.is_zero()
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.insert(HeaderName::from_static("preference-applied"), applied);
    }
    response
}

/// Whether `If-None-Match` holds this tag (RFC 9110, 13.1.2: weak comparison; `*` matches anything).
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
        })
}

/// The seconds of `Prefer: wait=N` (RFC 7240, 4.3), and 50 at most.
fn preferred_wait(headers: &HeaderMap) -> Duration {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.trim().strip_prefix("wait="))
        .find_map(|seconds| seconds.trim_matches('"').parse().ok())
        .map_or(Duration::ZERO, |seconds| {
            Duration::from_secs(seconds).min(LONGEST_WAIT)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_read_from_prefer_and_bounded() {
        let wait = |value: &'static str| {
            preferred_wait(
                &[("prefer".parse().unwrap(), HeaderValue::from_static(value))]
                    .into_iter()
                    .collect(),
            )
        };
        assert_eq!(wait("wait=5"), Duration::from_secs(5));
        assert_eq!(wait("respond-async, wait=\"7\""), Duration::from_secs(7));
        assert_eq!(wait("wait=18446744073709551615"), LONGEST_WAIT);
        assert_eq!(wait("wait=18446744073709551616"), Duration::ZERO);
        assert_eq!(wait("wait=-1"), Duration::ZERO);
    }

    #[test]
    fn known_tags_compare_weakly() {
        let etag = HeaderValue::from_static("\"abc\"");
        let known = |value: &'static str| {
            is_known(
                &[(header::IF_NONE_MATCH, HeaderValue::from_static(value))]
                    .into_iter()
                    .collect(),
                &etag,
            )
        };
        assert!(known("\"abc\""));
        assert!(known("\"x\", W/\"abc\""));
        assert!(known("*"));
        assert!(!known("\"ab\""));
        assert!(!known("abc"));
    }
}
