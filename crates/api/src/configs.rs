//! The configuration that is in force, by gateway, ready to be served; whoever waits for a change of one gateway is woken
//! by that gateway alone. `GET /v1/config` of the local server is here, the one for proxies in [`crate::fleet`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sekisho_policy::{Envelope, LoadError};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::problem::Problem;
use crate::state::App;

/// No long poll is held longer, so that middle boxes do not cut it.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(50);
/// zstd's own default: a snapshot shrinks to about a tenth, at hundreds of MB a second.
const COMPRESSION: i32 = 3;

type Slot = watch::Sender<Option<Arc<Published>>>;
type Slots = BTreeMap<String, Slot>;

/// What is published now. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Configs(Arc<Mutex<Slots>>);

/// One gateway's envelope, serialized and compressed once.
#[derive(Debug)]
pub struct Published {
    envelope: Arc<Envelope>,
    etag: HeaderValue,
    json: Bytes,
    zstd: Bytes,
}

impl Published {
    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    pub(crate) fn etag(&self) -> &HeaderValue {
        &self.etag
    }

    /// `None` if it cannot be brought into a form to be served, which is logged.
    fn new(envelope: Arc<Envelope>, json: Bytes) -> Option<Self> {
        let failed = |error: &dyn std::fmt::Display| {
            let gateway = &envelope.snapshot.gateway.object;
            tracing::error!(%gateway, %error, "a snapshot cannot be served; the one before still is");
        };
        let etag = HeaderValue::from_str(&format!("\"{}\"", envelope.digest))
            .inspect_err(|error| failed(error))
            .ok()?;
        let zstd = zstd::bulk::compress(&json, COMPRESSION)
            .inspect_err(|error| failed(error))
            .ok()?;
        Some(Self {
            envelope,
            etag,
            json,
            zstd: zstd.into(),
        })
    }
}

impl Configs {
    /// Serves this envelope for its gateway from now on.
    pub fn publish(&self, envelope: Arc<Envelope>) {
        match serde_json::to_vec(&*envelope) {
            Ok(json) => self.put(envelope, json.into()),
            // Maps with text keys, integers and text: serializing them into memory cannot fail.
            Err(error) => tracing::error!(%error, "an envelope cannot be serialized"),
        }
    }

    /// Serves an envelope as it was written: a newer control plane may have put descriptions into it that this one does not
    /// know, and its digest covers them.
    ///
    /// # Errors
    /// It is no envelope, or its digest is wrong; what was published before still is.
    pub fn publish_written(&self, json: impl Into<Bytes>) -> Result<Arc<Envelope>, LoadError> {
        let json = json.into();
        let envelope = Arc::new(Envelope::read(&json)?);
        self.put(envelope.clone(), json);
        Ok(envelope)
    }

    fn put(&self, envelope: Arc<Envelope>, json: Bytes) {
        let object = &envelope.snapshot.gateway.object;
        let name = format!("{}/{}", object.namespace, object.name);
        if let Some(published) = Published::new(envelope, json) {
            let mut slots = self.lock();
            slots
                .entry(name)
                .or_default()
                .send_replace(Some(Arc::new(published)));
        }
    }

    /// Stops serving a gateway (`namespace/name`).
    pub fn withdraw(&self, gateway: &str) {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(gateway) {
            slot.send_if_modified(|published| published.take().is_some());
        }
        forget_if_unused(&mut slots, gateway);
    }

    /// Everything that is published now, by gateway.
    pub fn all(&self) -> Vec<Arc<Published>> {
        let slots = self.lock();
        slots
            .values()
            .filter_map(|slot| slot.borrow().clone())
            .collect()
    }

    /// What is published now for the gateways of a namespace.
    pub(crate) fn of_namespace(&self, namespace: &str) -> Vec<Arc<Published>> {
        let first = format!("{namespace}/");
        let slots = self.lock();
        let own = slots.range::<str, _>((Bound::Included(&*first), Bound::Unbounded));
        own.take_while(|(gateway, _)| gateway.starts_with(&first))
            .filter_map(|(_, slot)| slot.borrow().clone())
            .collect()
    }

    /// Whether anything is published now for a gateway.
    pub(crate) fn has(&self, gateway: &str) -> bool {
        let slots = self.lock();
        slots
            .get(gateway)
            .is_some_and(|slot| slot.borrow().is_some())
    }

    /// Follows one gateway, whether or not anything is published for it yet.
    pub(crate) fn follow(&self, gateway: &str) -> Following {
        let receiver = self
            .lock()
            .entry(gateway.to_owned())
            .or_default()
            .subscribe();
        Following {
            configs: self.clone(),
            gateway: gateway.to_owned(),
            receiver: Some(receiver),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot without a snapshot is there for those who wait for one.
fn forget_if_unused(slots: &mut Slots, gateway: &str) {
    let unused = |slot: &Slot| slot.receiver_count() == 0 && slot.borrow().is_none();
    if slots.get(gateway).is_some_and(unused) {
        slots.remove(gateway);
    }
}

/// Somebody who waits for what one gateway publishes.
pub(crate) struct Following {
    configs: Configs,
    gateway: String,
    receiver: Option<watch::Receiver<Option<Arc<Published>>>>,
}

impl Following {
    /// What is published now.
    pub(crate) fn now(&mut self) -> Option<Arc<Published>> {
        self.receiver
            .as_mut()
            .and_then(|receiver| receiver.borrow_and_update().clone())
    }

    /// Waits for something else than what [`Following::now`] saw.
    pub(crate) async fn changed(&mut self) {
        let changed = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            // Withdrawn and forgotten: nothing will come through this slot any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut slots = self.configs.lock();
        self.receiver = None;
        forget_if_unused(&mut slots, &self.gateway);
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
    let name = choose(&app.configs, asked.gateway)?;
    let mut following = app.configs.follow(&name);
    let wait = preferred_wait(&headers);
    let deadline = Instant::now() + wait;
    loop {
        let current = following
            .now()
            .ok_or_else(|| Problem::not_found(format!("{name} is no longer configured")))?;
        if !is_known(&headers, &current.etag) {
            return Ok(full(&current, accepts_zstd(&headers), wait));
        }
        let changed = tokio::select! {
            changed = timeout_at(deadline, following.changed()) => changed.is_ok(),
            () = app.shutdown.draining() => false,
        };
        if !changed {
            return Ok(unchanged(&current, wait));
        }
    }
}

fn choose(configs: &Configs, wanted: Option<String>) -> Result<String, Problem> {
    let mut names: Vec<_> = configs
        .all()
        .iter()
        .map(|published| {
            let object = &published.envelope.snapshot.gateway.object;
            format!("{}/{}", object.namespace, object.name)
        })
        .collect();
    match wanted {
        Some(name) if names.contains(&name) => Ok(name),
        Some(_) => Err(Problem::not_found(format!(
            "no such gateway; there is: {}",
            names.join(", ")
        ))),
        None if names.len() > 1 => Err(Problem::bad_request(format!(
            "say which one with ?gateway=namespace/name: {}",
            names.join(", ")
        ))),
        None => names
            .pop()
            .ok_or_else(|| Problem::not_found("no gateway is configured")),
    }
}

/// The envelope, compressed for who takes that.
pub(crate) fn full(published: &Published, compressed: Accepted, wait: Duration) -> Response {
    let body = match compressed {
        Accepted::Zstd => published.zstd.clone(),
        Accepted::Plain => published.json.clone(),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if compressed == Accepted::Zstd {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    describe(response, published, wait)
}

pub(crate) fn unchanged(published: &Published, wait: Duration) -> Response {
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

/// What a client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    Plain,
    Zstd,
}

/// Whether `Accept-Encoding` names zstd (RFC 9110, 12.5.3) and does not rule it out.
pub(crate) fn accepts_zstd(headers: &HeaderMap) -> Accepted {
    let named = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let ruled_out = matches!(
                weight.trim(),
                "q=0" | "q=0." | "q=0.0" | "q=0.00" | "q=0.000"
            );
            name.trim().eq_ignore_ascii_case("zstd") && !ruled_out
        });
    if named {
        Accepted::Zstd
    } else {
        Accepted::Plain
    }
}

/// Whether `If-None-Match` holds this tag (RFC 9110, 13.1.2: weak comparison; `*` matches anything).
pub(crate) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
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
pub(crate) fn preferred_wait(headers: &HeaderMap) -> Duration {
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
    fn zstd_is_sent_to_who_takes_it() {
        let accepted = |value: &'static str| {
            accepts_zstd(
                &[(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]
                    .into_iter()
                    .collect(),
            )
        };
        assert_eq!(accepted("gzip, zstd;q=0.5"), Accepted::Zstd);
        assert_eq!(accepted("ZSTD"), Accepted::Zstd);
        assert_eq!(accepted("gzip, zstd;q=0"), Accepted::Plain);
        assert_eq!(accepted("*"), Accepted::Plain);
        assert_eq!(accepts_zstd(&HeaderMap::new()), Accepted::Plain);
    }

    fn envelope(gateway: &str, generation: u64) -> Arc<Envelope> {
        let snapshot = serde_json::json!({
            "schema": 1,
            "gateway": {
                "object": { "kind": "MailGateway", "namespace": "mail", "name": gateway },
                "listeners": [],
                "authentication": { "requirement": "Optional", "backends": ["upstream"], "mechanisms": ["PLAIN"] },
                "upstream": { "endpoints": [{ "host": "postfix", "port": generation }], "tls": "Off",
                    "clientIdentity": "None", "recipientCheck": "AtRcpt" },
                "afterData": 45_000,
                "onUnavailable": { "config": "Keep", "message": "RouteClean" },
                "privacy": { "recipients": "Plain", "clientAddressInReceived": "Include" },
            },
            "rules": [],
            "pools": {},
        });
        let snapshot = serde_json::from_value(snapshot).unwrap();
        Arc::new(Envelope::seal(generation, snapshot))
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_those_of_its_gateway_alone() {
        let woken = async |following: &mut Following| {
            timeout_at(Instant::now(), following.changed())
                .await
                .is_ok()
        };
        let configs = Configs::default();
        let (mut a, mut b) = (configs.follow("mail/a"), configs.follow("mail/b"));
        assert!(a.now().is_none() && b.now().is_none());
        configs.publish(envelope("a", 1));
        assert!(woken(&mut a).await && !woken(&mut b).await);
        assert_eq!(a.now().unwrap().envelope().generation, 1);
        configs.publish(envelope("b", 2));
        assert!(!woken(&mut a).await && woken(&mut b).await);
        configs.withdraw("mail/a");
        assert!(woken(&mut a).await && a.now().is_none());
        assert_eq!(configs.all().len(), 1);
    }

    #[test]
    fn what_was_written_is_served_with_what_is_not_known_of_it() {
        let sealed = envelope("a", 1);
        let mut body: serde_json::Value = serde_json::to_value(&sealed.snapshot).unwrap();
        body["later"] = "a description".into();
        let written = |digest: &str| {
            serde_json::to_vec(
                &serde_json::json!({ "generation": 1, "digest": digest, "snapshot": body }),
            )
            .unwrap()
        };
        let configs = Configs::default();
        let Err(LoadError::Digest { actual, .. }) = configs.publish_written(written("00")) else {
            panic!("a wrong digest was taken");
        };
        assert!(configs.all().is_empty());
        let json = written(&actual);
        configs.publish_written(json.clone()).unwrap();
        let published = configs.all().remove(0);
        assert_eq!(published.json, json);
        let unpacked = zstd::bulk::decompress(&published.zstd, json.len()).unwrap();
        assert_eq!(unpacked, json);
    }

    #[test]
    fn who_waits_for_nothing_leaves_nothing_behind() {
        let configs = Configs::default();
        let (first, second) = (configs.follow("a/b"), configs.follow("a/b"));
        configs.withdraw("a/b");
        drop(first);
        assert_eq!(configs.lock().len(), 1);
        drop(second);
        assert!(configs.lock().is_empty());
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
