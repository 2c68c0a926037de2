//! What all sessions of a gateway share, whatever snapshot is in force.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use sekisho_policy::Timestamp;
use sekisho_policy::event::{ConfigState, Country, Fact, Source, SourceTrust};
use sekisho_runtime::country::CountryLookup;
use sekisho_runtime::metrics::{GatewayMetrics, MemberState, PoolMembers};
use sekisho_runtime::{Clock, Shutdown};
use sekisho_smtp::command::ClientName;

use crate::auth::{FleetKey, Places};
use crate::classify::Classifier;
use crate::engine::Engine;
use crate::ids::Ids;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::listener::sources::Connections;
use crate::live::Live;
use crate::memory::MessageMemory;
use crate::restrictions::Restrictions;
use crate::session::Hellos;
use crate::settings::KnownSettings;
use crate::tarpit::Pit;
use crate::trust::SourceTally;

/// One for each gateway.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host_name: ClientName,
    pub(crate) limits: Limits,
    pub(crate) engine: Engine,
    /// What accounts may not do now. It is asked at each event, so that it bites in sessions that are open.
    pub(crate) restrictions: Restrictions,
    /// What accounts have set. It is asked at each login and each MAIL.
    pub(crate) settings: KnownSettings,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) ledger: Ledger,
    pub(crate) key: FleetKey,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) connections: Arc<Connections>,
    /// Sessions whose replies wait.
    pub(crate) pit: Pit,
    /// Logins that servers behind us hold open for clients.
    pub(crate) places: Arc<Places>,
    /// Beginnings of TLS handshakes that are worked on.
    pub(crate) hellos: Hellos,
    pub(crate) country: ArcSwap<CountryLookup>,
    pub(crate) live: ArcSwap<Live>,
    pub(crate) config_unavailable: AtomicBool,
    /// Whether the addresses of sessions are those of clients.
    pub(crate) sources: SourceTally,
    /// What clients may make the process keep; a snapshot may give its gateway an account of its own.
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
    pub(crate) fn source(&self, ip: IpAddr) -> Source {
        let ip = ip.to_canonical();
        let place = self.country.load().lookup(ip);
        Source {
            ip,
            country: place.country.and_then(Country::parse),
            asn: place.asn,
            reverse_names: Fact::Unasked,
            trust: self.trust_in(ip, self.sources.trust()),
        }
    }

    /// Counts a session from `ip` among those that show whether addresses are clients', and says whether this one's is.
    pub(crate) fn weigh(&self, ip: IpAddr) -> SourceTrust {
        let live = self.live.load();
        let rules = &live.rules;
        if !rules.knows_cluster() {
            return SourceTrust::Trusted;
        }
        let whole = self.sources.note(rules.is_of_cluster(ip));
        self.metrics.source_untrusted(!whole.is_trusted());
        self.trust_in(ip, whole)
    }

    /// Where addresses cannot be trusted, one from outside of the cluster still is what it says.
    fn trust_in(&self, ip: IpAddr, whole: SourceTrust) -> SourceTrust {
        if whole.is_trusted() || !self.live.load().rules.is_of_cluster(ip) {
            SourceTrust::Trusted
        } else {
            SourceTrust::Untrusted
        }
    }
}
