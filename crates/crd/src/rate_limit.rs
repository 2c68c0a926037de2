//! `RateLimit`: never more than `count` in any `per`.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Brake, Duration, Enforcement, Limit, Match, Name, RestrictionLevel, Status, TargetRef,
};

/// Never more than `count` in any `per`.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "RateLimit",
    namespaced,
    shortname = "rlim",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "Never more than count in any per, for each value of key. Several limits accumulate.",
    printcolumn(
        name = "Enforcement",
        type_ = "string",
        json_path = ".spec.enforcement"
    ),
    printcolumn(name = "On exceed", type_ = "string", json_path = ".spec.onExceed"),
    printcolumn(
        name = "Gateway",
        type_ = "string",
        description = "The first of targetRefs.",
        json_path = ".spec.targetRefs[0].name",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!(self.limits.exists(l, l.unit == 'Connections') || (has(self.overrides) && self.overrides.exists(o, o.limits.exists(l, l.unit == 'Connections')))) || !self.key.exists(k, k in ['Account', 'SenderDomain', 'RecipientDomain'])",
        "message": "Connections are counted before there is an account, a sender or a recipient: use Source, SourcePrefix, Asn, Country or Gateway, or another object for the other limits",
        "fieldPath": ".key",
    },
    {
        "rule": "!(self.limits.exists(l, l.unit == 'Attempts') || (has(self.overrides) && self.overrides.exists(o, o.limits.exists(l, l.unit == 'Attempts')))) || !self.key.exists(k, k in ['SenderDomain', 'RecipientDomain'])",
        "message": "Attempts are logins, and those have no sender and no recipient: use Account, Source, SourcePrefix, Asn, Country or Gateway, or another object for the other limits",
        "fieldPath": ".key",
    },
    {
        "rule": "!('RecipientDomain' in self.key) || !(self.limits.exists(l, !(l.unit in ['Recipients', 'UnknownRecipients', 'FirstTimeRecipients'])) || (has(self.overrides) && self.overrides.exists(o, o.limits.exists(l, !(l.unit in ['Recipients', 'UnknownRecipients', 'FirstTimeRecipients'])))))",
        "message": "RecipientDomain tells recipients apart and nothing else: use it with the unit Recipients, and another object for the other limits",
        "fieldPath": ".key",
    },
    {
        "rule": "!('Gateway' in self.key) || self.key.size() == 1",
        "message": "Gateway is one tally for everything: it cannot be combined",
        "fieldPath": ".key",
    },
    {
        "rule": "self.ownLimits != 'Replace' || 'Account' in self.key",
        "message": "accounts have no counts of their own where they are not counted apart: put Account into key",
        "fieldPath": ".ownLimits",
    },
    {
        "rule": "self.onExceed != 'Restrict' || has(self.restrict)",
        "message": "say in restrict what the account may not do then",
        "fieldPath": ".onExceed",
    },
    {
        "rule": "!has(self.restrict) || self.onExceed == 'Restrict'",
        "message": "restrict is what onExceed: Restrict does: nothing restricts here",
        "fieldPath": ".restrict",
    },
    {
        "rule": "self.onExceed != 'Restrict' || 'Account' in self.key",
        "message": "onExceed: Restrict restricts an account: put Account into key",
        "fieldPath": ".key",
    },
    {
        "rule": "self.onExceed != 'Restrict' || !(self.limits.exists(l, l.unit == 'Attempts') || (has(self.overrides) && self.overrides.exists(o, o.limits.exists(l, l.unit == 'Attempts'))))",
        "message": "anybody can try to log in to an account, and would have it restricted: use another object, or a LoginGuard, for Attempts",
        "fieldPath": ".onExceed",
    },
]))]
pub struct RateLimitSpec {
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

    /// Narrows the limit to some accounts, sources or listeners.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,

    /// What is counted apart; several make a tuple. Account: the login. Source: the client's address. SourcePrefix: its
    /// /24 or /64. Asn: its autonomous system. Country: its country. SenderDomain: the domain of the envelope sender.
    /// RecipientDomain: the domain of each recipient. Gateway: everything together.
    #[schemars(length(min = 1, max = 4), extend("x-kubernetes-list-type" = "set"))]
    pub key: Vec<KeyPart>,

    /// The limits; all of them hold at once.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["unit", "per"])
    )]
    pub limits: Vec<Limit>,

    /// Other limits for some: the first that matches takes the place of `limits`, with the same tallies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overrides: Vec<LimitOverride>,

    /// What counts mean that accounts have of their own in their settings, for the same unit and window. Lower: one that is
    /// lower than the count here takes its place. Replace: one takes its place, lower or higher; another RateLimit can set
    /// a bound, as all of them hold. Ignore: none does. Where key has no Account, none does either.
    #[serde(default)]
    pub own_limits: OwnLimits,

    /// What becomes of what is over a limit. Defer: the client is told when to try again. Reject: it is refused for good.
    /// RouteSuspect, RouteSpam: it goes on, in that class at least. Restrict: it is refused, and the account restricted.
    #[serde(default)]
    pub on_exceed: OnExceed,

    /// With onExceed: Restrict, what an account that is over a limit may not do from then on. It is restricted once, and not again
    /// while that is in force. When somebody releases it, what it had used of these limits is forgotten; where key has more
    /// parts than Account it stays, and the account is not restricted again until it is out of every window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restrict: Option<RestrictOver>,

    /// When the counters do not answer. LocalOnly: this proxy counts alone. Defer: the client is told to try again.
    /// Allow: mail passes uncounted.
    #[serde(default)]
    pub on_unavailable: OnCountersUnavailable,
}

/// What a limit counts apart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum KeyPart {
    /// The login.
    Account,
    /// The client's address.
    Source,
    /// Its /24 or /64.
    SourcePrefix,
    /// Its autonomous system.
    Asn,
    /// Its country.
    Country,
    /// The domain of the envelope sender.
    SenderDomain,
    /// The domain of each recipient.
    RecipientDomain,
    /// Everything together.
    Gateway,
}

/// Other limits for some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitOverride {
    /// What records call it.
    pub name: Name,

    /// For whom.
    #[serde(rename = "match")]
    pub matching: Match,

    /// The limits that hold instead; all of them at once.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["unit", "per"])
    )]
    pub limits: Vec<Limit>,
}

/// What counts that accounts have of their own mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OwnLimits {
    /// One that is lower takes the place of the rule's.
    #[default]
    Lower,
    /// One takes the place of the rule's, lower or higher.
    Replace,
    /// None does.
    Ignore,
}

/// What becomes of what is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnExceed {
    /// The client is told when to try again.
    #[default]
    Defer,
    /// It is refused for good.
    Reject,
    /// It goes on, as suspect at least.
    RouteSuspect,
    /// It goes on, as spam.
    RouteSpam,
    /// It is refused, and the account restricted.
    Restrict,
}

/// What an account that is over a limit may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.recipientsPerHour) || self.level == 'Limit'",
        "message": "only the level Limit has a number of recipients",
        "fieldPath": ".recipientsPerHour",
    },
    {
        "rule": "!has(self.__for__) || duration(self.__for__) <= duration(self.maxFor)",
        "message": "for is at most maxFor",
        "fieldPath": ".maxFor",
    },
]))]
pub struct RestrictOver {
    /// How much. Watch: nothing more is refused, the desk sees it. Limit: it may send little. Quarantine: all that it sends is
    /// spam. Suspend: it may log in, and send nothing.
    pub level: RestrictionLevel,

    /// For how long the first time; until somebody releases it if not given.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub term: Option<Duration>,

    /// With Limit: how many recipients in any hour; 10 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub recipients_per_hour: Option<u32>,

    /// Each further restriction lasts so many times longer, up to maxFor. 1: all are alike.
    #[serde(default = "RestrictOver::default_growth")]
    #[schemars(range(min = 1, max = 10))]
    pub growth: u32,

    /// No restriction that lifts by itself lasts longer; after so long without one, the first length is back.
    #[serde(default = "RestrictOver::default_max_for")]
    pub max_for: Duration,
}

impl RestrictOver {
    fn default_growth() -> u32 {
        2
    }

    fn default_max_for() -> Duration {
        "720h".parse().expect("720h is a duration")
    }
}

/// What it means that counters do not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum OnCountersUnavailable {
    /// This proxy counts alone.
    #[default]
    LocalOnly,
    /// The client is told to try again.
    Defer,
    /// Mail passes uncounted.
    Allow,
}
