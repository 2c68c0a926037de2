//! The list of metrics, by what they are about: each family's name, labels and help. `docs/metrics.md` is made from it.

mod accounts;
mod classification;
mod cluster;
mod configuration;
mod counters;
mod fleet;
mod mail;
mod passwords;
mod policy;
mod process;
mod sessions;

use self::accounts::Accounts;
use self::classification::Classification;
use self::cluster::Cluster;
use self::configuration::Configuration;
use self::counters::Counting;
use self::fleet::Fleet;
use self::mail::Mail;
use self::passwords::Passwords;
use self::policy::Policy;
use self::process::Process;
use self::sessions::Sessions;
use super::family::Registrar;

/// From a relay on the same machine to the longest wait of RFC 5321 that we allow.
const UPSTREAM_BUCKETS: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

#[derive(Debug)]
pub(super) struct Families {
    pub(super) registrar: Registrar,
    pub(super) sessions: Sessions,
    pub(super) classification: Classification,
    pub(super) policy: Policy,
    pub(super) accounts: Accounts,
    pub(super) counters: Counting,
    pub(super) mail: Mail,
    pub(super) passwords: Passwords,
    pub(super) configuration: Configuration,
    pub(super) fleet: Fleet,
    pub(super) cluster: Cluster,
    pub(super) process: Process,
}

impl Families {
    pub(super) fn register() -> Self {
        let r = Registrar::default();
        #[cfg(target_os = "linux")]
        r.process();
        Self {
            sessions: Sessions::register(&r),
            classification: Classification::register(&r),
            policy: Policy::register(&r),
            accounts: Accounts::register(&r),
            counters: Counting::register(&r),
            mail: Mail::register(&r),
            passwords: Passwords::register(&r),
            configuration: Configuration::register(&r),
            fleet: Fleet::register(&r),
            cluster: Cluster::register(&r),
            process: Process::register(&r),
            registrar: r,
        }
    }
}
