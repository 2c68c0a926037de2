//! `NotificationChannel`: who hears of a restriction.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{SecretRef, Status};

/// Who hears of a restriction.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "NotificationChannel",
    namespaced,
    shortname = "nchan",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "Who hears of a restriction. The steps of an AbuseRule name channels.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct NotificationChannelSpec {
    /// How it is told. Webhook: by a POST to url, signed with the Secret.
    #[serde(rename = "type")]
    pub kind: ChannelType,

    /// Where it is told: http://host/path or https://host/path. With https the certificate must be valid for the host. Nowhere
    /// else is gone to: an answer that leads elsewhere is a failure.
    #[schemars(length(min = 10, max = 1024), regex(pattern = forms::WEB_URL))]
    pub url: String,

    /// The Secret whose key `secret` the messages are signed with (HMAC with SHA-256). While it is not there, messages wait.
    pub secret_ref: SecretRef,

    /// What a message looks like. Json: one object, as docs/abuse-rules.md describes it.
    #[serde(default)]
    pub format: ChannelFormat,
}

/// How a channel is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ChannelType {
    /// By a signed POST.
    Webhook,
}

/// What a message looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum ChannelFormat {
    /// One JSON object.
    #[default]
    Json,
}
