//! How messages are classified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::forms;
use crate::{AppliesTo, Duration, HostPort, Name};

/// How messages are classified as clean, suspect or spam. The worst of all opinions counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.engines) || has(self.rules)",
        "message": "classifies by nothing: give engines or rules, or leave classify out",
    },
    {
        "rule": "self.suspectAt <= self.spamAt",
        "message": "must be at least suspectAt",
        "fieldPath": ".spamAt",
    },
]))]
pub struct Classify {
    /// Whose messages are classified, by the account's own setting classification. Everyone: all. OptedIn: of accounts
    /// whose setting is Wanted. NotOptedOut: of all but accounts whose setting is Unwanted. The others' are unclassified,
    /// and go where route.unclassified says.
    #[serde(default)]
    pub applies_to: AppliesTo,

    /// Content engines that are asked about each message; each has its own marks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 4))]
    pub engines: Vec<Engine>,

    /// The policy's own patterns; the scores of those that match add up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<ContentRule>,

    /// From this sum on, of the scores of `rules`, a message is suspect.
    #[serde(default = "Classify::default_suspect_at")]
    #[schemars(range(min = 1, max = 1000))]
    pub suspect_at: i32,

    /// From this sum on, of the scores of `rules`, a message is spam.
    #[serde(default = "Classify::default_spam_at")]
    #[schemars(range(min = 1, max = 1000))]
    pub spam_at: i32,
}

impl Classify {
    fn default_suspect_at() -> i32 {
        5
    }

    fn default_spam_at() -> i32 {
        10
    }
}

/// One content engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.spamAt) || self.suspectAt <= self.spamAt",
        "message": "must be at least suspectAt",
        "fieldPath": ".spamAt",
    },
    {
        "rule": "!has(self.rejectAt) || self.rejectAt >= (has(self.spamAt) ? self.spamAt : self.suspectAt)",
        "message": "must be at least suspectAt and spamAt",
        "fieldPath": ".rejectAt",
    },
    {
        "rule": "self.url.startsWith(self.type == 'Rspamd' ? 'http://' : 'tcp://')",
        "message": "must be http://host:port for Rspamd and tcp://host:port for Spamd",
        "fieldPath": ".url",
    },
    {
        "rule": "duration(self.timeout) > duration('0s')",
        "message": "must be more than nothing",
        "fieldPath": ".timeout",
    },
    {
        "rule": "duration(self.timeout) <= duration('60s')",
        "message": "must be at most 60s",
        "fieldPath": ".timeout",
    },
]))]
pub struct Engine {
    /// The engine's protocol: Rspamd (HTTP) or Spamd (SpamAssassin).
    #[serde(rename = "type")]
    pub type_: EngineType,

    /// Where it listens: http://host:port for Rspamd, tcp://host:port for Spamd.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = forms::ENGINE_URL)
    )]
    pub url: String,

    /// How long one message may take, the wait for its turn included. Then the engine has failed on that message.
    #[serde(default = "Engine::default_timeout")]
    pub timeout: Duration,

    /// The most messages that it is asked about at once, from each proxy.
    #[serde(default = "Engine::default_concurrency")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: u32,

    /// From this score on, a message is suspect.
    #[schemars(range(min = 1, max = 1000))]
    pub suspect_at: i32,

    /// From this score on, a message is spam.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub spam_at: Option<i32>,

    /// From this score on, a message is refused and leaves by no pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub reject_at: Option<i32>,
}

impl Engine {
    /// The host and port of `url`, if they are such.
    #[must_use]
    pub fn address(&self) -> Option<HostPort> {
        let (_, address) = self.url.split_once("://")?;
        address.strip_suffix('/').unwrap_or(address).parse().ok()
    }

    fn default_timeout() -> Duration {
        "2s".parse().expect("2s is a duration")
    }

    fn default_concurrency() -> u32 {
        20
    }
}

/// The protocols of content engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EngineType {
    /// Rspamd over HTTP.
    Rspamd,
    /// SpamAssassin's spamd.
    Spamd,
}

/// One pattern over one header field, or over the text of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.header) != has(self.body)",
    "message": "needs exactly one of header and body",
}]))]
pub struct ContentRule {
    /// What records call it.
    pub name: Name,

    /// The name of the header field that is looked at, like Subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = forms::HEADER_NAME))]
    pub header: Option<String>,

    /// What of the body is looked at. Text: the parts of type text, decoded, the first 256 KiB of each message. Messages are
    /// then held until their end before they go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyPart>,

    /// A regular expression (RE2 syntax) that is looked for in the decoded field or text: `(?i)casino`.
    #[schemars(length(min = 1, max = 1024))]
    pub matches: String,

    /// What a match adds to the sum; negative speaks for the message.
    #[schemars(range(min = -1000, max = 1000))]
    pub score: i32,
}

/// What of a body is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BodyPart {
    /// The parts of type text, decoded.
    Text,
}
