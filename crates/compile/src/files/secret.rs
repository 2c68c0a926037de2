//! `v1` Secret, as files can hold them. Values never show in messages or in `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::diagnostic::{Code, Diagnostic};
use crate::objects::SecretKeys;
use crate::path::FieldPath;

/// A Secret: its type and its values by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// `type`, like `kubernetes.io/tls`.
    pub type_: String,
    /// The values, decoded.
    pub data: BTreeMap<String, SecretValue>,
}

impl Secret {
    /// What it has, without its values.
    pub(super) fn keys(&self) -> SecretKeys {
        let given = self.data.iter().filter(|(_, value)| !value.0.is_empty());
        SecretKeys::These(given.map(|(key, _)| key.clone()).collect())
    }
}

/// A value that does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Vec<u8>);

impl SecretValue {
    /// The value itself; whoever asks keeps it out of logs.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValue({} bytes)", self.0.len())
    }
}

/// The structure of a Secret below `metadata`.
pub(super) fn schema() -> Value {
    let values = json!({
        "type": "object",
        "maxProperties": 256,
        "additionalProperties": { "type": "string", "maxLength": 1_048_576 },
    });
    json!({
        "type": "object",
        "properties": {
            "type": { "type": "string", "maxLength": 253, "default": "Opaque" },
            "immutable": { "type": "boolean" },
            "data": values,
            "stringData": values,
        },
    })
}

/// Decodes a Secret of the right structure. As at the API server, `stringData` wins over `data`.
pub(super) fn decode(value: &Value) -> Result<Secret, Vec<Diagnostic>> {
    let (mut data, mut problems) = (BTreeMap::new(), Vec::new());
    let entries = |field: &str| {
        value
            .get(field)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    };
    for (name, encoded) in entries("data") {
        let path = FieldPath::root().field("data").field(name);
        let text: String = encoded
            .as_str()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect();
        match STANDARD.decode(text) {
            Ok(bytes) => drop(data.insert(name.clone(), SecretValue(bytes))),
            Err(_) => problems.push(
                Diagnostic::error(Code::InvalidValue, "is not base64")
                    .at(path)
                    .mend("encode it, or write it as it is under stringData"),
            ),
        }
    }
    for (name, text) in entries("stringData") {
        let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
        data.insert(name.clone(), SecretValue(bytes));
    }
    let type_ = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("Opaque")
        .to_owned();
    if problems.is_empty() {
        Ok(Secret { type_, data })
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_do_not_show() {
        let secret = decode(&json!({
            "type": "kubernetes.io/tls",
            "data": { "tls.crt": "aGVs\nbG8=", "tls.key": "eA==" },
            "stringData": { "tls.key": "hunter2" },
        }))
        .unwrap();
        assert_eq!(secret.data["tls.crt"].expose(), b"hello");
        assert_eq!(secret.data["tls.key"].expose(), b"hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_base64_is_named_and_not_shown() {
        let problems = decode(&json!({ "data": { "password": "hunter2!" } })).unwrap_err();
        assert_eq!(problems[0].field.to_string(), "data.password");
        assert!(!problems[0].to_string().contains("hunter2"));
    }
}
