//! `SubmissionPolicy` as the data plane sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AppliesTo, HostPort};
use crate::decision::Class;
use crate::time::Millis;

/// What every message must keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubmissionPolicy {
    /// Largest message in octets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// Most recipients of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_recipients: Option<u32>,
    /// Most addresses in To and Cc together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_visible_recipients: Option<u32>,
    /// What happens to a bare CR or LF in a message.
    pub bare_newlines: BareNewlines,
    /// What happens to a message without Message-ID or Date.
    #[serde(default, skip_serializing_if = "MissingHeaders::is_kept")]
    pub missing_headers: MissingHeaders,
    /// Whether the envelope sender must be the account's.
    pub envelope_sender: SenderCheck,
    /// Whether the header From must be the account's.
    pub header_sender: SenderCheck,
    /// Further addresses of accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// What DNS must say of recipients' domains.
    pub recipient_domains: RecipientDomains,
    /// Extensions of attachments that are refused, in lower case without the dot, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked_extensions: Vec<String>,
    /// How messages are classified; absent means `Unclassified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classify: Option<Classify>,
    /// Where each class goes; a class without an entry goes to the gateway's upstream.
    #[serde(default)]
    pub route: BTreeMap<Class, RouteTo>,
}

/// What happens to a bare CR or LF in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum BareNewlines {
    #[default]
    Normalize,
    Reject,
}

/// What happens to a message without Message-ID or Date (RFC 6409 section 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingHeaders {
    /// It goes on as it is.
    #[default]
    Keep,
    /// They are added.
    Add,
}

impl MissingHeaders {
    fn is_kept(&self) -> bool {
        *self == Self::Keep
    }
}

/// Whether a sender address must belong to the account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum SenderCheck {
    #[default]
    Any,
    MustMatchAccount,
}

/// Addresses that an account may use beside its own name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The account, or a glob over accounts.
    pub account: String,
    /// Addresses; `*@domain` is any local part there.
    pub addresses: Vec<String>,
}

/// What DNS must say of recipients' domains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the YAML")]
pub enum RecipientDomains {
    #[default]
    Any,
    MustResolve,
}

/// How messages are classified. The worst of all opinions counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Classify {
    /// Whose messages, by the account's setting `classification`.
    #[serde(default, skip_serializing_if = "AppliesTo::is_everyone")]
    pub applies_to: AppliesTo,
    /// Content engines, each with marks of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<Engine>,
    /// Patterns, whose scores add up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ContentRule>,
    /// The sum of the patterns' scores from which a message is `Suspect`, in thousandths.
    pub suspect_at: i64,
    /// The sum of the patterns' scores from which a message is `Spam`, in thousandths.
    pub spam_at: i64,
}

/// One content engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// How it is spoken to.
    pub protocol: EngineProtocol,
    /// Where it listens.
    pub address: HostPort,
    /// How long one message may take, the wait for its turn included.
    pub timeout: Millis,
    /// Messages that it is asked about at once, from this proxy.
    pub concurrency: u32,
    /// The score from which a message is `Suspect`, in thousandths.
    pub suspect_at: i64,
    /// The score from which a message is `Spam`, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spam_at: Option<i64>,
    /// The score from which a message is refused, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reject_at: Option<i64>,
}

/// How a content engine is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EngineProtocol {
    /// Rspamd's HTTP, `/checkv2`.
    Rspamd,
    /// SpamAssassin's spamd.
    Spamd,
}

/// One pattern over one header field or over the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentRule {
    /// Its name within the policy.
    pub name: String,
    /// The header field; absent means the text of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The regular expression.
    pub matches: String,
    /// What a match adds, in thousandths.
    pub score: i64,
}

/// Where a class goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteTo {
    /// A pool of this snapshot.
    Pool(String),
    /// Refused.
    Reject,
}
