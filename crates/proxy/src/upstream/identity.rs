//! For whom we speak to the next hop: one client session, what is known of it, and the connection it has for itself.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sekisho_policy::Account;
use sekisho_policy::snapshot::ClientIdentity as Passing;
use sekisho_smtp::command::ClientName;
use sekisho_smtp::proxy_protocol::{self, ProxyHeader};
use sekisho_smtp::xclient::{Proto, Told, XclientAttributes};

use super::connection::Connection;
use super::lane::Lane;

/// What is known of a client.
#[derive(Clone, Debug)]
pub(crate) struct ClientIdentity {
    /// Where the client is.
    pub(crate) source: SocketAddr,
    /// Where it connected to.
    pub(crate) destination: SocketAddr,
    /// Its forward-confirmed reverse name.
    pub(crate) name: Told<String>,
    /// What it called itself.
    pub(crate) helo: Option<ClientName>,
    /// HELO or EHLO.
    pub(crate) proto: Proto,
    /// The account that it logged in to.
    pub(crate) login: Option<Account>,
}

impl ClientIdentity {
    /// As XCLIENT tells it. What is not known is said to be so, or the next hop would go on believing what it was told
    /// of the client before.
    pub(super) fn as_xclient(&self) -> XclientAttributes {
        XclientAttributes {
            name: Some(self.name.clone()),
            addr: Some(Told::Known(self.source.ip().to_canonical())),
            port: Some(Told::Known(self.source.port())),
            proto: Some(Told::Known(self.proto)),
            helo: Some(self.helo.clone().map_or(Told::Unavailable, Told::Known)),
            login: Some(
                self.login
                    .as_ref()
                    .map_or(Told::Unavailable, |a| Told::Known(a.as_str().to_owned())),
            ),
            destaddr: Some(Told::Known(self.destination.ip().to_canonical())),
            destport: Some(Told::Known(self.destination.port())),
        }
    }

    /// As a PROXY header of version 2 tells it.
    pub(super) fn as_proxy_header(&self) -> Vec<u8> {
        let header = ProxyHeader::Proxied {
            source: self.source,
            destination: self.destination,
        };
        let mut octets = Vec::with_capacity(64);
        proxy_protocol::write_v2(&header, &mut octets);
        octets
    }
}

/// One client session, as the upstream side sees it.
#[derive(Debug)]
pub(crate) struct Caller {
    identity: Mutex<Arc<ClientIdentity>>,
    own: Arc<Own>,
}

/// What serves one client session alone.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<OwnState>);

#[derive(Debug, Default)]
struct OwnState {
    connection: Option<Connection>,
    /// The account logged in over a connection of its own; without it the next hop does not know the account.
    needs_login: bool,
}

impl Caller {
    pub(crate) fn new(identity: ClientIdentity) -> Self {
        Self {
            identity: Mutex::new(Arc::new(identity)),
            own: Arc::default(),
        }
    }

    /// More is known now: after EHLO, AUTH or XCLIENT. Transactions that have begun keep what they told.
    pub(crate) fn identify(&self, identity: ClientIdentity) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
    }

    /// A login that the upstream accepted came to nothing: what was logged in over its connection serves nobody.
    pub(crate) fn forget_login(&self) {
        self.own.forget();
    }

    /// The client is another one now, or elsewhere: a connection whose next hop was told where it was serves nobody any more. What was
    /// logged in over it is lost.
    pub(crate) fn moved(&self) {
        self.own.forget_place();
    }

    /// Where the client is, and where it connected to.
    pub(crate) fn ends(&self) -> (SocketAddr, SocketAddr) {
        let identity = self.identity();
        (identity.source, identity.destination)
    }

    pub(crate) fn identity(&self) -> Arc<ClientIdentity> {
        Arc::clone(&self.identity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where there is no message yet, the client's own place decides between alike ways.
    pub(super) fn seed(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.identity().source.hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn own(&self) -> &Arc<Own> {
        &self.own
    }
}

impl Own {
    /// Keeps a connection for this session's next message. The one before it, if any, is dropped.
    pub(super) fn keep(&self, connection: Connection) {
        self.state().connection = Some(connection);
    }

    pub(super) fn take(&self) -> Option<Connection> {
        self.state().connection.take()
    }

    /// Takes the connection if it is of this lane.
    pub(super) fn take_on(&self, lane: &Arc<Lane>) -> Option<Connection> {
        let slot = &mut self.state().connection;
        slot.take_if(|connection| Arc::ptr_eq(&connection.lane, lane))
    }

    /// Keeps the connection that the account logged in over.
    pub(super) fn keep_login(&self, connection: Connection) {
        *self.state() = OwnState {
            connection: Some(connection),
            needs_login: true,
        };
    }

    pub(super) fn needs_login(&self) -> bool {
        self.state().needs_login
    }

    /// Drops the connection, and what was logged in over it.
    pub(super) fn forget(&self) {
        *self.state() = OwnState::default();
    }

    /// Drops the connection if its next hop knows where the client was.
    fn forget_place(&self) {
        let knows = |connection: &Connection| {
            matches!(
                connection.lane.key.passing,
                Passing::ProxyV2 | Passing::Xclient
            )
        };
        let _known = self
            .state()
            .connection
            .take_if(|connection| knows(connection));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, OwnState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
