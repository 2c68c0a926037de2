//! The API server's question about a pod, and the answer (admission.k8s.io/v1).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::object::{Labelled, MOST_VALUES, Size};
use super::{InjectError, inject};
use crate::gateways::{self, Injectable};
use crate::settings::{GatewayInput, Settings};

const API_VERSION: &str = "admission.k8s.io/v1";
/// The longest uid that is echoed; Kubernetes has 36 characters.
const MAX_UID: usize = 128;

/// What a look-up found.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// This gateway.
    Found(Arc<Injectable>),
    /// It exists, has errors, and was never without since this process began.
    Unusable,
    /// None of that name.
    Unknown,
    /// Nothing yet, because the gateways have not been read.
    NotReady,
}

/// Who knows the gateways.
pub trait FindGateway: Send + Sync + 'static {
    /// The gateway of a namespace and a name.
    fn find(&self, namespace: &str, name: &str) -> Lookup;
}

impl<F: Fn(&str, &str) -> Lookup + Send + Sync + 'static> FindGateway for F {
    fn find(&self, namespace: &str, name: &str) -> Lookup {
        self(namespace, name)
    }
}

impl FindGateway for gateways::Gateways {
    fn find(&self, namespace: &str, name: &str) -> Lookup {
        match self.find(namespace, name) {
            Some(gateway) => Lookup::Found(gateway),
            None if self.exists(namespace, name) => Lookup::Unusable,
            None if self.are_known() => Lookup::Unknown,
            None => Lookup::NotReady,
        }
    }
}

/// The question, with as much of the object as is looked at. Its text is read once for each: the label, then the size, then all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question<O> {
    api_version: String,
    kind: String,
    request: Request<O>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<O> {
    uid: String,
    #[serde(default)]
    namespace: String,
    operation: String,
    resource: Resource,
    #[serde(default)]
    sub_resource: String,
    #[serde(default = "Option::default")]
    object: Option<O>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    group: String,
    version: String,
    resource: String,
}

/// Answers an AdmissionReview. A pod that is made and asks for a sidecar gets it or is refused with the reason; everything else is
/// let through as it is.
///
/// # Errors
/// What makes the body no AdmissionReview of version 1, for the status 400.
pub fn review(
    body: &[u8],
    gateways: &dyn FindGateway,
    settings: &Settings,
) -> Result<Value, String> {
    let question: Question<Labelled> = read(body)?;
    if question.api_version != API_VERSION || question.kind != "AdmissionReview" {
        return Err(format!("no AdmissionReview of {API_VERSION}"));
    }
    let mut request = question.request;
    if request.uid.is_empty() || request.uid.len() > MAX_UID {
        return Err(format!("request.uid must have 1 to {MAX_UID} characters"));
    }
    let asked = request.object.take().and_then(Labelled::gateway);
    let judged = match asked.filter(|_| request.is_new_pod()) {
        Some(name) => judge(body, &request.namespace, &name, gateways, settings)?,
        None => Ok(None),
    };
    let answer = match judged {
        Ok(None) => json!({ "uid": request.uid, "allowed": true }),
        Ok(Some(patch)) => json!({
            "uid": request.uid,
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": STANDARD.encode(serde_json::to_vec(&patch).expect("a patch is plain data")),
        }),
        Err(error) => refusal(&request.uid, &error),
    };
    Ok(json!({ "apiVersion": API_VERSION, "kind": "AdmissionReview", "response": answer }))
}

fn read<O: DeserializeOwned>(body: &[u8]) -> Result<Question<O>, String> {
    serde_json::from_slice(body).map_err(|error| format!("no AdmissionReview: {error}"))
}

impl<O> Request<O> {
    fn is_new_pod(&self) -> bool {
        let resource = &self.resource;
        resource.group.is_empty()
            && resource.version == "v1"
            && resource.resource == "pods"
            && self.sub_resource.is_empty()
            && self.operation == "CREATE"
    }
}

/// The patch that puts the sidecar in; none where there is nothing to do.
fn judge(
    body: &[u8],
    namespace: &str,
    name: &str,
    gateways: &dyn FindGateway,
    settings: &Settings,
) -> Result<Result<Option<Patch>, InjectError>, String> {
    let key = || format!("{namespace}/{name}");
    let gateway = match gateways.find(namespace, name) {
        Lookup::Found(gateway) => gateway,
        Lookup::NotReady => return Ok(Err(InjectError::NotReady)),
        Lookup::Unusable => return Ok(Err(InjectError::Unusable(key()))),
        Lookup::Unknown => return Ok(Err(InjectError::UnknownGateway(key()))),
    };
    let size = read::<Size>(body)?.request.object.unwrap_or_default();
    if size.0 > MOST_VALUES {
        return Ok(Err(InjectError::TooLarge(MOST_VALUES)));
    }
    let before = read::<Value>(body)?.request.object.unwrap_or_default();
    let gateway = GatewayInput {
        namespace,
        name,
        uid: &gateway.uid,
        spec: &gateway.spec,
    };
    let mut pod = before.clone();
    let outcome = inject(&mut pod, &gateway, settings);
    Ok(outcome.map(|_| difference(&before, &pod)))
}

/// What of a pod injection changes, each part as a whole: that a member is added where one is replaces it (RFC 6902, 4.1).
fn difference(before: &Value, after: &Value) -> Option<Patch> {
    let parts = [
        ["metadata", "annotations"],
        ["spec", "securityContext"],
        ["spec", "initContainers"],
        ["spec", "volumes"],
    ];
    let changed = parts.into_iter().filter_map(|path| {
        let pointer = PointerBuf::from_tokens(path);
        let part = |pod: &Value| pod.pointer(pointer.as_str()).cloned();
        let value = part(after).filter(|value| part(before).as_ref() != Some(value))?;
        Some(PatchOperation::Add(AddOperation {
            path: pointer,
            value,
        }))
    });
    let operations: Vec<_> = changed.collect();
    (!operations.is_empty()).then_some(Patch(operations))
}

fn refusal(uid: &str, error: &InjectError) -> Value {
    let (code, reason) = match error {
        InjectError::NotReady => (503, "ServiceUnavailable"),
        _ => (422, "Invalid"),
    };
    json!({
        "uid": uid,
        "allowed": false,
        "status": { "code": code, "reason": reason, "message": error.to_string() },
    })
}
