//! What the API server does to an object before it looks at it: nulls go, defaults come.

use serde_json::Value;

/// Drops fields that are null and fills in those that are missing and have a default, down the whole value.
pub(crate) fn apply(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, child| !child.is_null());
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    if let Some(default) = property.get("default")
                        && !map.contains_key(name)
                    {
                        map.insert(name.clone(), default.clone());
                    }
                    if let Some(child) = map.get_mut(name) {
                        apply(property, child);
                    }
                }
            } else if let Some(values) = schema.get("additionalProperties") {
                map.values_mut().for_each(|child| apply(values, child));
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| apply(schema, item));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use sekisho_crd::{Kind, schema};
    use serde_json::json;

    use super::*;

    #[test]
    fn nulls_go_and_defaults_come() {
        let mut spec = json!({
            "listeners": [{ "name": "submission", "port": 587, "tls": null }],
            "upstream": { "endpoints": [{ "address": "postfix:25" }] },
            "replicas": null,
            "deadlines": {},
        });
        apply(&schema(Kind::MailGateway)["properties"]["spec"], &mut spec);
        assert_eq!(spec["listeners"][0]["tls"], "StartTls");
        assert_eq!(
            spec["listeners"][0]["proxyProtocol"],
            json!({ "mode": "Off" })
        );
        assert_eq!(spec["deadlines"], json!({ "afterData": "45s" }));
        assert_eq!(
            spec["authentication"]["backends"],
            json!([{ "type": "Upstream" }])
        );
        assert_eq!(spec.get("replicas"), None);
        let once = spec.clone();
        apply(&schema(Kind::MailGateway)["properties"]["spec"], &mut spec);
        assert_eq!(spec, once);
    }
}
