//! `LoginGuard` as the data plane sees it.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// Password errors by account, by source and by both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoginGuard {
    /// Distinct wrong passwords of one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account: Option<PerAccount>,
    /// Distinct accounts and pairs of one source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_source: Option<PerSource>,
    /// Failures of one account from one source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account_and_source: Option<PerPair>,
    /// Each further lock of an account or of a source lasts so many times longer; those of a pair are all alike.
    pub lock_growth: u32,
    /// No lock is longer.
    pub max_lock: Millis,
    /// When a network becomes known good, and for how long.
    pub known_good: KnownGood,
    /// Accounts that nobody honest uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoys: Option<Decoys>,
}

/// Distinct wrong passwords of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerAccount {
    /// So many distinct passwords lock.
    pub distinct_passwords: u64,
    /// Within this time.
    pub per: Millis,
    /// For so long.
    pub lock: Millis,
}

/// Distinct accounts and (account, password) pairs of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PerSource {
    /// So many distinct accounts with a wrong password lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct_accounts: Option<u64>,
    /// So many distinct (account, wrong password) pairs lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_pairs: Option<u64>,
    /// Within this time.
    pub per: Millis,
    /// For so long.
    pub lock: Millis,
    /// How much of an IPv4 address makes a source, in bits.
    pub ipv4_prefix: u8,
    /// How much of an IPv6 address makes a source, in bits.
    pub ipv6_prefix: u8,
}

/// Failures of one account from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerPair {
    /// So many failures lock.
    pub failures: u64,
    /// Within this time.
    pub per: Millis,
    /// For so long.
    pub lock: Millis,
}

/// When a network becomes known good for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownGood {
    /// Good logins on so many different days.
    pub after_days: u64,
    /// A day counts for so long.
    pub keep: Millis,
}

impl Default for KnownGood {
    /// Three days, kept for thirty; what the brake uses where no `LoginGuard` applies.
    fn default() -> Self {
        Self {
            after_days: 3,
            keep: Millis(30 * Millis::DAY.0),
        }
    }
}

/// Accounts that nobody honest uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoys {
    /// Canonical names.
    pub accounts: Vec<String>,
    /// What touching one does.
    pub action: DecoyAction,
}

/// What touching a decoy does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DecoyAction {
    /// It is recorded as a signal.
    #[default]
    Points,
    /// It locks the source, as `perSource.lock` says.
    LockSource,
}
