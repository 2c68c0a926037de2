//! `SubmissionPolicy`: what every message must keep to.

mod classify;
mod route;

pub use classify::*;
pub use route::*;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{AccountName, AliasAddress, Brake, ByteSize, Enforcement, Match, Status, TargetRef};

/// What every message must keep to, how messages are classified and where each class goes.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "SubmissionPolicy",
    namespaced,
    shortname = "spol",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "What every message must keep to, how messages are classified, and where each class goes. One applies to a gateway: the oldest.",
    printcolumn(
        name = "Enforcement",
        type_ = "string",
        json_path = ".spec.enforcement"
    ),
    printcolumn(
        name = "Gateway",
        type_ = "string",
        description = "The first of targetRefs.",
        json_path = ".spec.targetRefs[0].name"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionPolicySpec {
    /// The gateways that this object attaches to.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["group", "kind", "name"])
    )]
    pub target_refs: Vec<TargetRef>,

    /// What a verdict does. Enforce: it binds. Shadow: it is recorded, and the mail passes. Off: there is none.
    #[serde(default)]
    pub enforcement: Enforcement,

    /// Whether this falls back to Shadow by itself when, in 5 minutes, it refuses more than 1 % (and at least 20) of the
    /// accounts that come from networks known to be good for them, each counted once, and only when it is logged in.
    /// Default: it does. Off: it does not.
    #[serde(default)]
    pub brake: Brake,

    /// Narrows the policy to some accounts, sources or listeners; what it does not match goes on unexamined.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,

    /// Bounds of one message.
    #[serde(default)]
    pub message: MessageBounds,

    /// To whom sender addresses must belong.
    #[serde(default)]
    pub sender: Sender,

    /// What is asked of recipients.
    #[serde(default)]
    pub recipients: Recipients,

    /// What is asked of attachments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Attachments>,

    /// How messages are classified as clean, suspect or spam. Without it they are unclassified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classify: Option<Classify>,

    /// Where each class goes. A class that is not given goes to the gateway's upstream.
    #[serde(default)]
    pub route: Route,
}

/// Bounds of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageBounds {
    /// The largest message, as it would go on to the next hop: bytes, or a number with k, M, G, Ki, Mi or Gi.
    #[serde(default = "MessageBounds::default_max_size")]
    pub max_size: ByteSize,

    /// The most recipients of one message. Above it the client is told to send the rest in another message (RFC 5321
    /// asks for at least 100).
    #[serde(default = "MessageBounds::default_max_recipients")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_recipients: u32,

    /// The most addresses in To and Cc together; no bound if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_visible_recipients: Option<u32>,

    /// What happens to a CR or LF that stands alone in a message. Normalize: it becomes CRLF. Reject: the message is
    /// refused.
    #[serde(default)]
    pub bare_newlines: BareNewlines,

    /// What happens to a message without Message-ID or Date (RFC 6409, section 8). Keep: it goes on as it is. Add: what is
    /// missing is added above it, unless a DKIM signature covers that it is not there.
    #[serde(default)]
    pub missing_headers: MissingHeaders,
}

impl MessageBounds {
    fn default_max_size() -> ByteSize {
        "25Mi".parse().expect("25Mi is a size")
    }

    fn default_max_recipients() -> u32 {
        100
    }
}

impl Default for MessageBounds {
    fn default() -> Self {
        Self {
            max_size: Self::default_max_size(),
            max_recipients: Self::default_max_recipients(),
            max_visible_recipients: None,
            bare_newlines: BareNewlines::default(),
            missing_headers: MissingHeaders::default(),
        }
    }
}

/// What happens to a CR or LF that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum BareNewlines {
    /// It becomes CRLF.
    #[default]
    Normalize,
    /// The message is refused.
    Reject,
}

/// What happens to a message without Message-ID or Date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum MissingHeaders {
    /// It goes on as it is.
    #[default]
    Keep,
    /// They are added.
    Add,
}

/// To whom sender addresses must belong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The envelope sender. MustMatchAccount: it is the account's name or one of its aliases. Any: it is not looked at.
    #[serde(default)]
    pub envelope: SenderCheck,

    /// The header From. MustMatchAccount: it is one address, the account's name or one of its aliases. Any: it is not
    /// looked at.
    #[serde(default)]
    pub header: SenderCheck,

    /// Further addresses of accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4096), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["account"]))]
    pub aliases: Vec<Alias>,
}

/// Whether a sender address must belong to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SenderCheck {
    /// It must.
    #[default]
    MustMatchAccount,
    /// It is not looked at.
    Any,
}

/// Further addresses of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// The account's name.
    pub account: AccountName,

    /// The addresses that it may also send from. `*@shop.example.jp` is every address of that domain.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Vec<AliasAddress>,
}

/// What is asked of recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recipients {
    /// What DNS must say of a recipient's domain. Any: nothing is asked. MustResolve: it exists and takes mail.
    #[serde(default)]
    pub domains: RecipientDomains,
}

/// What DNS must say of a recipient's domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum RecipientDomains {
    /// Nothing is asked.
    #[default]
    Any,
    /// It exists and takes mail.
    MustResolve,
}

/// What is asked of attachments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachments {
    /// Endings of file names, without the dot and in lower case, like exe.
    #[schemars(
        length(min = 1, max = 256),
        inner(length(min = 1, max = 16), regex(pattern = forms::EXTENSION)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub blocked_extensions: Vec<String>,

    /// What becomes of a message with such an attachment. Reject: it is refused.
    #[serde(default)]
    pub action: AttachmentAction,
}

/// What becomes of a message with a blocked attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum AttachmentAction {
    /// It is refused.
    #[default]
    Reject,
}
