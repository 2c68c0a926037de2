//! `Demo`, a kind of files alone: relays and accounts with which `sekisho up` shows itself. No cluster has it.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::objects::ObjectKey;

/// Relays that `sekisho up` starts within its own process, and accounts that it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// Its name.
    pub key: ObjectKey,
    /// The relays.
    pub relays: Vec<DemoRelay>,
    /// The accounts.
    pub accounts: Vec<DemoAccount>,
}

/// A relay that takes mail and shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DemoRelay {
    /// What it is called.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
}

/// An account whose password is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DemoAccount {
    /// Its login.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// The body of a [`Demo`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DemoSpec {
    pub(super) relays: Vec<DemoRelay>,
    pub(super) accounts: Vec<DemoAccount>,
}

/// The structure of `spec`.
pub(super) fn schema() -> Value {
    let text = |most: u32| json!({ "type": "string", "minLength": 1, "maxLength": most });
    let list = |properties: Value, required: Value| {
        json!({
            "type": "array",
            "maxItems": 16,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": { "type": "object", "properties": properties, "required": required },
        })
    };
    json!({
        "type": "object",
        "properties": {
            "relays": list(json!({ "name": text(63), "address": text(64) }), json!(["name", "address"])),
            "accounts": list(json!({ "name": text(320), "password": text(128) }), json!(["name", "password"])),
        },
    })
}
