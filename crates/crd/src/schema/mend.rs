//! What a derived schema gets wrong for the API server, put right.

use serde_json::{Map, Number, Value, json};

use crate::condition_type;

/// Mends a CustomResourceDefinition in place: see the functions below for what and why.
pub(super) fn mend(definition: &mut Value) {
    if let Some(schema) = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        mend_schema(schema);
        bound_names(schema);
        not_observed_yet(schema);
    }
    add_columns(definition);
}

/// An object that nobody has looked at yet has a status that says so, or kstatus, and with it `helm install --wait`, takes it
/// for done.
fn not_observed_yet(schema: &mut Value) {
    if let Some(status) = schema
        .pointer_mut("/properties/status")
        .and_then(Value::as_object_mut)
    {
        status.insert("default".to_owned(), json!({ "observedGeneration": -1 }));
    }
}

/// What `kubectl get` shows of every kind, after what the kind itself shows. The wide ones say why.
fn add_columns(definition: &mut Value) {
    let Some(version) = definition.pointer_mut("/spec/versions/0") else {
        return;
    };
    let reason = |name: &str, condition: &str, priority: u8| {
        let path = format!(".status.conditions[?(@.type=='{condition}')].reason");
        let mut column = json!({ "name": name, "type": "string", "jsonPath": path });
        if priority > 0 {
            column["priority"] = json!(priority);
        }
        column
    };
    let common = [
        json!({ "name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].status" }),
        json!({ "name": "Programmed", "type": "string", "jsonPath": ".status.programmed" }),
        reason("Reason", condition_type::ACCEPTED, 1),
        reason("State", condition_type::PROGRAMMED, 0),
        json!({ "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" }),
    ];
    if let Some(columns) = version["additionalPrinterColumns"].as_array_mut() {
        columns.extend(common);
    } else {
        version["additionalPrinterColumns"] = Value::from(common.to_vec());
    }
}

fn mend_schema(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            strip_title(map);
            strip_nullable(map);
            strip_union(map);
            strip_formats(map);
            unwrap_description(map);
            for (_, child) in map.iter_mut() {
                mend_schema(child);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mend_schema),
        Value::Number(number) => whole(number),
        _ => {}
    }
}

/// Titles repeat the names of Rust types, which mean nothing to whoever reads the schema.
fn strip_title(map: &mut Map<String, Value>) {
    if map.get("title").is_some_and(Value::is_string) {
        map.remove("title");
    }
}

/// `Option` derives `nullable: true`; then `null` passes the schema and breaks CEL rules that ask `has()`.
fn strip_nullable(map: &mut Map<String, Value>) {
    if map.get("nullable") == Some(&Value::Bool(true)) {
        map.remove("nullable");
    }
}

/// An enum derives a `oneOf` of `required` lists. Its CEL rule says the same with a message; one error is enough.
fn strip_union(map: &mut Map<String, Value>) {
    let only_required = |variant: &Value| {
        variant
            .as_object()
            .is_some_and(|v| v.keys().all(|key| key == "required" || key == "type"))
    };
    let is_union = map
        .get("oneOf")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().all(only_required));
    if is_union && map.contains_key("x-kubernetes-validations") {
        map.remove("oneOf");
    }
}

/// `uint32` and its like are no formats of OpenAPI, and `kubectl apply` warns of each.
fn strip_formats(map: &mut Map<String, Value>) {
    if map
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format.starts_with("uint"))
    {
        map.remove("format");
    }
}

/// Doc comments are wrapped for the editor; `kubectl explain` wraps for itself.
fn unwrap_description(map: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = map.get_mut("description") {
        *text = text
            .split("\n\n")
            .map(|part| part.replace('\n', " "))
            .collect::<Vec<_>>()
            .join("\n\n");
    }
}

/// Bounds come out as floats, and `65535.0` is no bound of an integer to every reader.
fn whole(number: &mut Number) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(float) = number.as_f64().filter(|_| number.is_f64())
        && float.fract() == 0.0
        && float.abs() <= EXACT
    {
        *number = Number::from(float as i64);
    }
}

/// Names of objects are used as names of Services, routes and label values, which are DNS labels.
fn bound_names(schema: &mut Value) {
    if let Some(map) = schema.as_object_mut() {
        map.insert(
            "x-kubernetes-validations".to_owned(),
            json!([{
                "rule": "self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
                "message": "metadata.name must be at most 63 characters without dots, because Services and routes use it",
            }]),
        );
    }
}
