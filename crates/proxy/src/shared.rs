//! What all sessions of a gateway share, whatever snapshot is in force.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use sekisho_policy::Timestamp;
use sekisho_policy::event::{ConfigState, Country, Fact, Source};
use sekisho_runtime::country::CountryLookup;
use sekisho_runtime::metrics::{GatewayMetrics, MemberState, PoolMembers};
use sekisho_runtime::{Clock, Shutdown};
use sekisho_smtp::command::ClientName;

use crate::auth::FleetKey;
use crate::classify::Classifier;
use crate::engine::Engine;
use crate::held::MessageMemory;
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::listener::sources::Connections;
use crate::live::Live;

/// One for each gateway.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host_name: ClientName,
    pub(crate) limits: Limits,
    pub(crate) engine: Engine,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) ledger: Ledger,
    pub(crate) key: FleetKey,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) connections: Arc<Connections>,
    pub(crate) country: ArcSwap<CountryLookup>,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) config_unavailable: AtomicBool,
    /// Octets of messages that may still be held in memory.
    pub(crate) message_memory: MessageMemory,
    /// Asks content engines.
    pub(crate) classifier: Classifier,
    /// Where messages that do not fit in memory are held, in files without a name.
    pub(crate) spool: PathBuf,
}

impl PoolMembers for Shared {
    fn each(&self, note: &mut dyn FnMut(&str, MemberState)) {
        self.live.load().hops.members(note);
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// The snapshot in force now.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    pub(crate) fn config_state(&self) -> ConfigState {
        if self.config_unavailable.load(Ordering::Relaxed) {
            ConfigState::Unavailable
        } else {
            ConfigState::Current
        }
    }

    /// What is known of an address without asking anybody.
    pub(crate) fn source(&self, ip: std::net::IpAddr) -> Source {
        let ip = ip.to_canonical();
        let place = self.country.load().lookup(ip);
        Source {
            ip,
            country: place.country.and_then(Country::parse),
            asn: place.asn,
            reverse_names: Fact::Unasked,
        }
    }
}
