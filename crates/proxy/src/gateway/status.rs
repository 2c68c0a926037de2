//! What runs, for start pages and acknowledgements.

use std::net::SocketAddr;
use std::sync::Arc;

use sekisho_policy::ObjectRef;
use sekisho_policy::brake::Trip;
use sekisho_policy::snapshot::ListenerTls;

use super::doors::Doors;
use crate::shared::Shared;

/// A gateway at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whose it is.
    pub gateway: Arc<ObjectRef>,
    /// The generation of the snapshot in force.
    pub generation: u64,
    /// Its digest.
    pub digest: Arc<str>,
    /// The listeners that take connections.
    pub listeners: Vec<ListenerStatus>,
    /// How many more are closed until they have a certificate.
    pub waiting: usize,
    /// The rules that their brake holds in shadow.
    pub tripped: Vec<Trip>,
    /// Whether it takes no new sessions because the process ends.
    pub draining: bool,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Where it can be reached.
    pub address: SocketAddr,
    /// How TLS begins.
    pub tls: ListenerTls,
    /// Sessions that are open.
    pub open_sessions: u64,
}

impl Status {
    pub(super) fn of(shared: &Shared, doors: &Doors) -> Self {
        let live = shared.live();
        let listeners = doors.all().iter().map(|opened| {
            let door = opened.door.load();
            ListenerStatus {
                name: door.spec.name.clone(),
                address: opened.address,
                tls: door.spec.tls,
                open_sessions: door.metrics.open_sessions(),
            }
        });
        Self {
            gateway: live.rules.gateway_ref().clone(),
            generation: live.rules.generation(),
            digest: live.rules.digest().clone(),
            listeners: listeners.collect(),
            waiting: doors.waiting(),
            tripped: shared.engine.brakes.trips(),
            draining: shared.shutdown.is_draining(),
        }
    }
}
