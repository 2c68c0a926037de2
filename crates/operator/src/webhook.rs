//! Tells the API server by which authorities it knows our webhook: the `caBundle` of its configuration.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use sekisho_runtime::Shutdown;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::Error;
use crate::labels;
use crate::lease::Leadership;

/// How often it is looked at: `helm upgrade` and other hands change it too.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked at whether we hold the lease by now.
const FIRST_LOOK: Duration = Duration::from_millis(500);

/// Keeps the bundle as it should be until the process drains.
pub(crate) async fn keep(
    client: Client,
    name: String,
    mut bundle: watch::Receiver<String>,
    leadership: watch::Receiver<Leadership>,
    shutdown: Shutdown,
) {
    let api: Api<MutatingWebhookConfiguration> = Api::all(client);
    loop {
        let mut pause = FIRST_LOOK;
        if leadership.borrow().may_write() {
            pause = LOOK_EVERY;
            let wanted = bundle.borrow_and_update().clone();
            if let Err(error) = look(&api, &name, &wanted).await {
                tracing::warn!(%error, name, "the webhook's authorities could not be written; pods that ask for a sidecar may be refused");
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            Ok(()) = bundle.changed() => {}
            () = shutdown.draining() => return,
        }
    }
}

async fn look(
    api: &Api<MutatingWebhookConfiguration>,
    name: &str,
    bundle: &str,
) -> Result<(), Error> {
    let Some(found) = api
        .get_opt(name)
        .await
        .map_err(Error::api("reading the webhook's configuration"))?
    else {
        return Ok(());
    };
    let webhooks = found.webhooks.unwrap_or_default();
    let is_told = |bundle_there: Option<&[u8]>| bundle_there == Some(bundle.as_bytes());
    if webhooks.iter().all(|webhook| {
        is_told(
            webhook
                .client_config
                .ca_bundle
                .as_ref()
                .map(|told| told.0.as_slice()),
        )
    }) {
        return Ok(());
    }
    // By position, checked by name: a list without one would be replaced as a whole.
    let encoded = BASE64.encode(bundle);
    let steps: Vec<Value> = webhooks
        .iter()
        .enumerate()
        .flat_map(|(index, webhook)| {
            [
                json!({ "op": "test", "path": format!("/webhooks/{index}/name"), "value": webhook.name }),
                json!({ "op": "add", "path": format!("/webhooks/{index}/clientConfig/caBundle"), "value": encoded }),
            ]
        })
        .collect();
    let patch: json_patch::Patch = serde_json::from_value(Value::Array(steps))
        .map_err(|error| Error::Unwritable(error.to_string()))?;
    let params = PatchParams {
        field_manager: Some(labels::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    api.patch(name, &params, &Patch::Json::<()>(patch))
        .await
        .map(drop)
        .map_err(Error::api("writing the webhook's configuration"))
}
