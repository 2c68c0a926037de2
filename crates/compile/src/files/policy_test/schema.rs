//! The structure of a [`PolicyTest`](super::PolicyTest).

use serde_json::{Map, Value, json};

/// The structure of `spec`.
pub(in crate::files) fn schema() -> Value {
    let step = object(
        json!({
            "wait": text(32),
            "connect": object(joined(&[client(), times()]), json!([])),
            "login": object(joined(&[client(), times(), account(), login()]), json!([])),
            "send": object(joined(&[client(), times(), account(), message()]), json!(["to"])),
            "expect": expect(),
        }),
        json!([]),
    );
    let case = object(
        json!({
            "name": { "type": "string", "minLength": 1, "maxLength": 200, "description": "What the case shows." },
            "at": text(20),
            "steps": { "type": "array", "minItems": 1, "maxItems": 1000, "items": step, "description": "What happens." },
        }),
        json!(["name", "steps"]),
    );
    object(
        json!({
            "gateway": text(253),
            "defaults": object(joined(&[client(), account(), answers()]), json!([])),
            "cases": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": case,
                "description": "The cases, each with counters of its own.",
            },
        }),
        json!(["cases"]),
    )
}

/// What every client has.
fn client() -> Value {
    json!({
        "listener": text(63),
        "source": text(64),
        "country": text(7),
        "asn": { "type": "integer", "minimum": 1, "maximum": u32::MAX },
        "reverseNames": list(text(253), 16),
        "helo": text(255),
        "beforeGreeting": words(&["Silent", "Talked"]),
        "outages": {
            "type": "array",
            "maxItems": 4,
            "x-kubernetes-list-type": "set",
            "items": words(&["Config", "Counters", "Dns", "Engines"]),
        },
    })
}

fn times() -> Value {
    json!({
        "repeat": { "type": "integer", "minimum": 1, "maximum": 10_000 },
        "every": text(32),
    })
}

fn account() -> Value {
    json!({
        "account": text(320),
        "network": words(&["New", "KnownGood"]),
        "settings": settings(),
    })
}

/// What the account has set.
fn settings() -> Value {
    let limit = object(
        json!({
            "rule": text(253),
            "unit": words(&["Messages", "Recipients", "Bytes", "Connections", "Attempts"]),
            "count": { "type": "integer", "minimum": 1, "maximum": 1_000_000_000_000_u64 },
            "per": text(32),
        }),
        json!(["rule", "unit", "count", "per"]),
    );
    object(
        json!({
            "loginsFromAbroad": words(&["Refuse", "Allow"]),
            "classification": words(&["Wanted", "Unwanted"]),
            "limits": list(limit, 8),
        }),
        json!([]),
    )
}

fn login() -> Value {
    json!({ "password": words(&["Right", "Wrong", "Guessed"]) })
}

fn message() -> Value {
    let own = json!({
        "sender": { "type": "string", "maxLength": 320 },
        "to": { "type": "array", "minItems": 1, "maxItems": 1000, "items": text(320), "description": "The recipients." },
        "message": text(1024),
        "header": { "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 8192 } },
        "body": { "type": "string", "maxLength": 1 << 20 },
        "attachments": list(text(255), 100),
        "size": text(32),
    });
    joined(&[own, answers()])
}

/// What DNS and content engines say.
fn answers() -> Value {
    json!({
        "domains": {
            "type": "object",
            "maxProperties": 1000,
            "additionalProperties": words(&["Resolves", "Missing", "NullMx", "Unavailable"]),
        },
        "engines": list(
            object(
                json!({
                    "score": { "type": "number" },
                    "verdict": words(&["Pass", "Reject"]),
                    "symbols": { "type": "object", "maxProperties": 16, "additionalProperties": { "type": "number" } },
                    "fault": words(&["Timeout", "Busy", "Refused", "Broken", "BadAnswer", "Out"]),
                }),
                json!([]),
            ),
            4,
        ),
    })
}

fn expect() -> Value {
    object(
        json!({
            "verdict": words(&["Allow", "Defer", "Reject"]),
            "reply": text(512),
            "stage": words(&["Connect", "Auth", "Mail", "Rcpt", "Headers", "End", "Route"]),
            "rule": text(320),
            "part": text(255),
            "pool": text(253),
            "member": text(63),
            "class": words(&["Unclassified", "Clean", "Suspect", "Spam"]),
            "recipients": { "type": "integer", "minimum": 0, "maximum": 10_000 },
            "shadow": {
                "type": "array",
                "maxItems": 64,
                "x-kubernetes-list-type": "set",
                "items": text(320),
            },
        }),
        json!([]),
    )
}

fn object(properties: Value, required: Value) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}

fn text(most: u32) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": most })
}

fn list(items: Value, most: u32) -> Value {
    json!({ "type": "array", "maxItems": most, "items": items })
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

fn joined(parts: &[Value]) -> Value {
    let entries = parts.iter().filter_map(Value::as_object).flatten();
    let entries = entries.map(|(name, schema)| (name.clone(), schema.clone()));
    Value::Object(entries.collect::<Map<_, _>>())
}
