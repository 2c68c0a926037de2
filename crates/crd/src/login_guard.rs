//! `LoginGuard`: locks after password errors.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountName, Duration, Enforcement, Status, TargetRef};

/// Locks after password errors, by account, by source and by both.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sekisho.dev",
    version = "v1alpha1",
    kind = "LoginGuard",
    namespaced,
    shortname = "lguard",
    category = "sekisho",
    status = "Status",
    derive = "PartialEq",
    doc = "Locks after password errors, by account, by source and by both. One applies to a gateway: the oldest.",
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
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.perAccount) || has(self.perSource) || has(self.perAccountAndSource) || has(self.decoys)",
        "message": "guards nothing: give at least one of perAccount, perSource, perAccountAndSource and decoys",
    },
    {
        "rule": "!has(self.perAccount) || duration(self.perAccount.lock) <= duration(self.maxLock)",
        "message": "must be at most maxLock",
        "fieldPath": ".perAccount.lock",
    },
    {
        "rule": "!has(self.perSource) || duration(self.perSource.lock) <= duration(self.maxLock)",
        "message": "must be at most maxLock",
        "fieldPath": ".perSource.lock",
    },
    {
        "rule": "!has(self.perAccountAndSource) || duration(self.perAccountAndSource.lock) <= duration(self.maxLock)",
        "message": "must be at most maxLock",
        "fieldPath": ".perAccountAndSource.lock",
    },
    {
        "rule": "!has(self.decoys) || self.decoys.action != 'LockSource' || has(self.perSource)",
        "message": "LockSource locks for as long as perSource.lock says: give perSource",
        "fieldPath": ".decoys.action",
    },
]))]
pub struct LoginGuardSpec {
    /// The gateways that this object attaches to.
    #[schemars(
        length(min = 1, max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["group", "kind", "name"])
    )]
    pub target_refs: Vec<TargetRef>,

    /// What a verdict does. Enforce: it binds. Shadow: it is recorded, and the mail passes. Off: there is none.
    #[serde(default)]
    pub enforcement: Enforcement,

    /// Locks an account that is tried with many different passwords (a dictionary).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account: Option<PerAccount>,

    /// Locks a source that tries many accounts (a list of stolen or guessed passwords).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_source: Option<PerSource>,

    /// Locks an account for one source alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account_and_source: Option<PerAccountAndSource>,

    /// Each further lock of the same account or source lasts so many times longer, up to maxLock. 1: all are alike.
    #[serde(default = "LoginGuardSpec::default_lock_growth")]
    #[schemars(range(min = 1, max = 10))]
    pub lock_growth: u32,

    /// The longest lock. What was free for so long begins anew.
    #[serde(default = "LoginGuardSpec::default_max_lock")]
    pub max_lock: Duration,

    /// Which networks are known to be good for an account: locks let them through.
    #[serde(default)]
    pub known_good: KnownGood,

    /// Accounts that nobody honest uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoys: Option<Decoys>,
}

impl LoginGuardSpec {
    fn default_lock_growth() -> u32 {
        2
    }

    fn default_max_lock() -> Duration {
        "24h".parse().expect("24h is a duration")
    }
}

/// When an account is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerAccount {
    /// So many different wrong passwords lock; the same one again counts once.
    #[schemars(range(min = 1, max = 10000))]
    pub distinct_passwords: u32,

    /// Within this time.
    pub per: Duration,

    /// How long the first lock lasts.
    pub lock: Duration,
}

/// When a source is locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.distinctAccounts) || has(self.failedPairs)",
    "message": "counts nothing: give distinctAccounts, failedPairs or both",
}]))]
pub struct PerSource {
    /// So many different accounts with a wrong password lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub distinct_accounts: Option<u32>,

    /// So many different pairs of account and wrong password lock. A stale printer is one pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub failed_pairs: Option<u32>,

    /// Within this time.
    pub per: Duration,

    /// How long the first lock lasts.
    pub lock: Duration,

    /// How much of an address makes a source.
    #[serde(default)]
    pub prefixes: SourcePrefixes,
}

/// How much of an address makes a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourcePrefixes {
    /// Bits of an IPv4 address.
    #[serde(default = "SourcePrefixes::default_ipv4")]
    #[schemars(range(min = 8, max = 32))]
    pub ipv4: u8,

    /// Bits of an IPv6 address.
    #[serde(default = "SourcePrefixes::default_ipv6")]
    #[schemars(range(min = 16, max = 128))]
    pub ipv6: u8,
}

impl SourcePrefixes {
    fn default_ipv4() -> u8 {
        32
    }

    fn default_ipv6() -> u8 {
        64
    }
}

impl Default for SourcePrefixes {
    fn default() -> Self {
        Self {
            ipv4: Self::default_ipv4(),
            ipv6: Self::default_ipv6(),
        }
    }
}

/// When an account is locked for one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PerAccountAndSource {
    /// So many failures lock, whatever the passwords.
    #[schemars(range(min = 1, max = 10000))]
    pub failures: u32,

    /// Within this time.
    pub per: Duration,

    /// How long the first lock lasts.
    pub lock: Duration,
}

/// When a network is known to be good for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownGood {
    /// After logins on so many different days, while nothing restricted the account.
    #[serde(default = "KnownGood::default_after_days")]
    #[schemars(range(min = 1, max = 30))]
    pub after_days: u32,

    /// For how long such a day counts.
    #[serde(default = "KnownGood::default_keep")]
    pub keep: Duration,
}

impl KnownGood {
    fn default_after_days() -> u32 {
        3
    }

    fn default_keep() -> Duration {
        "720h".parse().expect("720h is a duration")
    }
}

impl Default for KnownGood {
    fn default() -> Self {
        Self {
            after_days: Self::default_after_days(),
            keep: Self::default_keep(),
        }
    }
}

/// Accounts that nobody honest uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decoys {
    /// Their names.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "set"))]
    pub accounts: Vec<AccountName>,

    /// What trying to log in to one does. Points: it is recorded as a signal. LockSource: it locks the source; note that
    /// many customers can share one address.
    #[serde(default)]
    pub action: DecoyAction,
}

/// What trying to log in to a decoy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum DecoyAction {
    /// It is recorded as a signal.
    #[default]
    Points,
    /// It locks the source.
    LockSource,
}
