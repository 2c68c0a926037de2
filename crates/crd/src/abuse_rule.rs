//! `AbuseRule`: signals that add up to a restriction.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Enforcement, Exempt, Match, Name, Status, TargetRef};

/// Signals that add up to a restriction.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "AbuseRule",
    namespaced,
    shortname = "arule",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "Signals of one account that add up to points, and points that restrict it. Several accumulate.",
    printcolumn(
        name = "Enforcement",
        type_ = "string",
        json_path = ".spec.enforcement"
    ),
    printcolumn(name = "Decay", type_ = "string", json_path = ".spec.decay"),
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
        "rule": "self.signals.all(s, duration(s.per) <= duration(self.decay))",
        "message": "a window (per) is at most as long as decay, or points would be gone before they can be awarded again",
        "fieldPath": ".signals",
    },
    {
        "rule": "self.ladder.all(a, self.ladder.all(b, a.at >= b.at || (a.restrict.level == 'Watch' ? 0 : a.restrict.level == 'Limit' ? 1 : a.restrict.level == 'Quarantine' ? 2 : 3) < (b.restrict.level == 'Watch' ? 0 : b.restrict.level == 'Limit' ? 1 : b.restrict.level == 'Quarantine' ? 2 : 3)))",
        "message": "more points restrict more: each step needs another level, in the order Watch, Limit, Quarantine, Suspend",
        "fieldPath": ".ladder",
    },
    {
        "rule": "self.ladder.all(l, !has(l.requires) || l.requires.all(r, self.signals.exists(s, s.signal == r)))",
        "message": "requires names a signal that is not among signals, so that the step is never reached",
        "fieldPath": ".ladder",
    },
    {
        "rule": "self.ladder.all(l, !has(l.restrict.__for__) || duration(l.restrict.__for__) <= duration(self.maxFor))",
        "message": "restrict.for is at most maxFor",
        "fieldPath": ".ladder",
    },
]))]
pub struct AbuseRuleSpec {
    /// The gateways that this object attaches to.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["group", "kind", "name"])
    )]
    pub target_refs: Vec<TargetRef>,

    /// What the rule does. Enforce: it restricts accounts. Shadow: it counts, and records what it would do. Off: nothing.
    #[serde(default)]
    pub enforcement: Enforcement,

    /// Narrows the rule to some accounts, sources or listeners.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<Match>,

    /// Whom the rule leaves alone. Of accounts nothing is counted. Of networks, asns and reverseNames only where a login
    /// comes from is not counted (DistinctCountries, DistinctSources, DistinctAsns, DecoyTouched): a service that logs in for
    /// its users comes from many places, and what is sent through it counts as everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Exempt>,

    /// What is counted for each account, and what it is worth.
    #[schemars(
        length(min = 1, max = 9),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["signal"])
    )]
    pub signals: Vec<SignalMark>,

    /// Points fade in a straight line, and are gone so long after they were awarded.
    #[serde(default = "AbuseRuleSpec::default_decay")]
    pub decay: Duration,

    /// Each further restriction by the same step lasts so many times longer, up to maxFor. 1: all are alike.
    #[serde(default = "AbuseRuleSpec::default_growth")]
    #[schemars(range(min = 1, max = 10))]
    pub growth: u32,

    /// No restriction that lifts by itself lasts longer; after so long without one, the first length is back.
    #[serde(default = "AbuseRuleSpec::default_max_for")]
    pub max_for: Duration,

    /// What points lead to. Whenever a signal is at its count, the highest step that the account's points reach is imposed,
    /// unless that or a worse one of this rule is in force: an account that is on it is not restricted anew.
    #[schemars(
        length(min = 1, max = 4),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["at"])
    )]
    pub ladder: Vec<LadderStep>,
}

impl AbuseRuleSpec {
    fn default_decay() -> Duration {
        "24h".parse().expect("24h is a duration")
    }

    fn default_growth() -> u32 {
        2
    }

    fn default_max_for() -> Duration {
        "720h".parse().expect("720h is a duration")
    }
}

/// From where on a signal is worth points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.count <= 1000 || !(self.signal in ['FirstTimeRecipients', 'DistinctCountries', 'DistinctSources', 'DistinctAsns', 'AuthFailures'])",
    "message": "of this signal at most 1000 are told apart",
    "fieldPath": ".count",
}]))]
pub struct SignalMark {
    /// What is counted of an account. UnknownRecipients: recipients that the next hop does not know (550 5.1.x to RCPT), and
    /// bounces that are reported. FirstTimeRecipients: recipients that it never wrote to, after its first 14 days.
    /// DistinctCountries, DistinctSources, DistinctAsns: where it logs in from (a source is a /24 or /64). SpamVerdicts:
    /// messages that content makes spam. AuthFailures: different wrong passwords
    /// before it logs in, which anybody can try. SenderMismatch:
    /// envelope or header senders that are not its own, where a policy checks them. DecoyTouched: attempts on decoys of the
    /// LoginGuard from an address that it then logs in from, where that is no known-good network of its own.
    pub signal: SignalName,

    /// So many in any stretch of time as long as per.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u64,

    /// The length of the window, which slides.
    pub per: Duration,

    /// What that is worth, once in each per.
    #[schemars(range(min = 1, max = 1000))]
    pub points: u32,
}

/// A signal of abuse.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SignalName {
    /// Recipients that the next hop does not know.
    UnknownRecipients,
    /// Recipients that the account never wrote to before.
    FirstTimeRecipients,
    /// Countries of its logins.
    DistinctCountries,
    /// Source networks of its logins.
    DistinctSources,
    /// Autonomous systems of its logins.
    DistinctAsns,
    /// Messages that content makes spam.
    SpamVerdicts,
    /// Different wrong passwords.
    AuthFailures,
    /// Senders that are not its own.
    SenderMismatch,
    /// Attempts on decoys from where it logs in.
    DecoyTouched,
}

impl SignalName {
    /// The name as written in `signal:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownRecipients => "UnknownRecipients",
            Self::FirstTimeRecipients => "FirstTimeRecipients",
            Self::DistinctCountries => "DistinctCountries",
            Self::DistinctSources => "DistinctSources",
            Self::DistinctAsns => "DistinctAsns",
            Self::SpamVerdicts => "SpamVerdicts",
            Self::AuthFailures => "AuthFailures",
            Self::SenderMismatch => "SenderMismatch",
            Self::DecoyTouched => "DecoyTouched",
        }
    }
}

/// A step of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LadderStep {
    /// From so many points on.
    #[schemars(range(min = 1, max = 10000))]
    pub at: u32,

    /// Only while points for each of these signals have not faded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 9), extend("x-kubernetes-list-type" = "set"))]
    pub requires: Vec<SignalName>,

    /// What the account may not do then.
    pub restrict: Restrict,

    /// The NotificationChannels, of the namespace of this object, that hear of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 8),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub notify: Vec<ChannelRef>,
}

/// A NotificationChannel of the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChannelRef {
    /// Its name.
    pub name: Name,
}

/// What an account may not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.recipientsPerHour) || self.level == 'Limit'",
    "message": "only the level Limit has a number of recipients",
    "fieldPath": ".recipientsPerHour",
}]))]
pub struct Restrict {
    /// How much. Watch: nothing is refused, the desk sees it. Limit: it may send little. Quarantine: all that it sends is
    /// spam. Suspend: it may log in, and send nothing.
    pub level: RestrictionLevel,

    /// For how long the first time; until somebody releases it if not given.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub term: Option<Duration>,

    /// With Limit: how many recipients in any hour; 10 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub recipients_per_hour: Option<u32>,
}

/// How much an account is restricted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum RestrictionLevel {
    /// Nothing is refused.
    Watch,
    /// It may send little.
    Limit,
    /// All that it sends is spam.
    Quarantine,
    /// It sends nothing.
    Suspend,
}
