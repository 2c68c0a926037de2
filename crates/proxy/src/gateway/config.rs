//! What a gateway is made with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sekisho_counters::Counters;
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};

use super::certificates::Certificates;
use super::credentials::Credentials;
use crate::auth::{FleetKey, HashPool};
use crate::dns::Dns;
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::memory::MessageMemory;
use crate::restrictions::Restrictions;
use crate::settings::KnownSettings;

/// What a gateway is told by its process, beside the snapshot.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// The address that listeners bind; their ports come from the snapshot (0 is any free one).
    pub listen: IpAddr,
    /// The name in greetings, in EHLO and in Received fields.
    pub host_name: String,
    /// An existing folder for messages too large to be held in memory, and for copies of country databases. The files have no
    /// names and vanish with the process.
    pub scratch: PathBuf,
    /// Authorities trusted for next hops with `tls: Required`, as PEM with where it is from; `None` is Mozilla's list.
    pub upstream_roots: Option<(String, Vec<u8>)>,
    /// What a session may cost.
    pub limits: Limits,
    /// What a listener does whose certificate was never there.
    pub missing_certificate: MissingCertificate,
}

/// What a listener does whose certificate was never there. One that has shown a certificate goes on with it either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingCertificate {
    /// The snapshot cannot be put in force: whoever wrote it is there to mend it.
    #[default]
    Refuse,
    /// It stays closed until [`super::Gateway::reload_certificates`] finds one, and the others serve: in a cluster a Secret comes
    /// when it comes.
    Wait,
}

impl GatewayConfig {
    /// The defaults, for listeners on `listen` that call themselves `host_name`.
    #[must_use]
    pub fn new(listen: IpAddr, host_name: impl Into<String>, scratch: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            host_name: host_name.into(),
            scratch: scratch.into(),
            upstream_roots: None,
            limits: Limits::default(),
            missing_certificate: MissingCertificate::default(),
        }
    }
}

/// What a gateway works with; most of it is shared by the process.
#[derive(Debug)]
pub struct Services {
    /// Where limits are counted.
    pub counters: Arc<Counters>,
    /// What accounts of the gateway's namespace may not do now.
    pub restrictions: Restrictions,
    /// What accounts of the gateway's namespace have set.
    pub settings: KnownSettings,
    /// What DNS says.
    pub dns: Dns,
    /// Where passwords are hashed.
    pub hashing: HashPool,
    /// Keys the hashes of what must not be stored.
    pub key: FleetKey,
    /// Where certificates come from.
    pub certificates: Arc<dyn Certificates>,
    /// What relays are logged in to with.
    pub credentials: Arc<dyn Credentials>,
    /// What clients make the process keep in memory, for gateways whose `limits` do not say how much.
    pub message_memory: MessageMemory,
    /// Where records go.
    pub ledger: Ledger,
    /// Where decision ids come from.
    pub ids: Ids,
    /// The time.
    pub clock: Clock,
    /// What is counted for operators.
    pub metrics: Metrics,
    /// What `/readyz` says.
    pub health: Health,
    /// The end of the process: the gateway's tasks are spawned on it and drain with it.
    pub shutdown: Shutdown,
}
