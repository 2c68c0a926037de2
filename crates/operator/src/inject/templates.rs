//! Where pods are in objects: the pod itself, or the template of a workload.

use serde_json::Value;

use crate::labels::GATEWAY;

/// The pod or the pod template of an object; none in kinds that have none.
pub fn template_of(object: &mut Value) -> Option<&mut Value> {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let path = match (text("apiVersion")?, text("kind")?) {
        ("v1", "Pod") => "",
        ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch/v1", "Job") => "/spec/template",
        ("batch/v1", "CronJob") => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    object.pointer_mut(path)
}

/// The gateway whose sidecar a pod or a template asks for.
pub fn gateway_of(template: &Value) -> Option<&str> {
    let labels = template.get("metadata")?.get("labels")?;
    labels.get(GATEWAY)?.as_str()
}
