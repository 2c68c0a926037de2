//! Which server, who we are there, and what keys are named with.

use std::fmt;
use std::time::Duration;

use sekisho_policy::Timestamp;
use zeroize::Zeroizing;

use super::names::Names;

/// The longest that a call waits for its answer.
pub(super) const DEADLINE: Duration = Duration::from_millis(250);
/// The most calls that wait at a time. What is beyond it fails at once.
pub(super) const IN_FLIGHT: usize = 4096;

/// A server or a Cluster, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// One server, or some servers of a Cluster: `redis://HOST:PORT/DATABASE`, or `rediss://` with TLS. They may name a user and a
    /// password, which `username` and `password` override.
    pub urls: Vec<Password>,
    /// One server or a Cluster.
    pub topology: Topology,
    /// The user of Redis's access control list.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Password>,
    /// The authorities that are trusted for `rediss://`, as PEM; Mozilla's list if there are none.
    pub authorities: Option<Vec<u8>>,
    /// What we show of ourselves where the server asks for a certificate.
    pub identity: Option<ClientIdentity>,
    /// Turns names of tallies into names of keys.
    pub key: NamingKey,
    /// The longest that a call waits for its answer.
    pub deadline: Duration,
    /// The most calls that wait at a time.
    pub in_flight: usize,
    /// Whose clock decides.
    pub clock: WhoseClock,
    /// Whether credit of busy limits is kept in this process.
    pub leases: Leases,
}

impl Setup {
    /// One server at `url`, without a password; keys are named with `key`.
    #[must_use]
    pub fn single(url: &str, key: NamingKey) -> Self {
        Self::new([url], Topology::Single, key)
    }

    /// The Cluster that the servers at `urls` are of.
    #[must_use]
    pub fn cluster(urls: impl IntoIterator<Item = String>, key: NamingKey) -> Self {
        let urls: Vec<String> = urls.into_iter().collect();
        Self::new(urls.iter().map(String::as_str), Topology::Cluster, key)
    }

    /// What is at `urls`, without a password.
    #[must_use]
    pub fn new<'a>(
        urls: impl IntoIterator<Item = &'a str>,
        topology: Topology,
        key: NamingKey,
    ) -> Self {
        Self {
            urls: urls.into_iter().map(Password::from).collect(),
            topology,
            username: None,
            password: None,
            authorities: None,
            identity: None,
            key,
            deadline: DEADLINE,
            in_flight: IN_FLIGHT,
            clock: WhoseClock::Server,
            leases: Leases::Off,
        }
    }
}

/// One server or a Cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// One server, which may be what a proxy or a Service puts in front of several, of which one is written to.
    #[default]
    Single,
    /// A Cluster of Redis: keys are spread over slots, slots over servers.
    Cluster,
}

/// Whether credit of busy limits is charged in Redis ahead of its use and spent in this process, without asking for each event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leases {
    /// Each event is asked.
    #[default]
    Off,
    /// Busy limits are charged ahead.
    On(Lending),
}

/// Which limits are charged ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lending {
    /// Those that this process asks about so often within a second.
    pub busy: u32,
    /// At most so many of them at a time. Each costs some 400 octets.
    pub most: usize,
}

impl Default for Lending {
    fn default() -> Self {
        Self {
            busy: 4,
            most: 4096,
        }
    }
}

/// Whose clock decides what has faded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhoseClock {
    /// The server's, whatever callers say.
    #[default]
    Server,
    /// The caller's: for tests, which travel through time. No configuration leads here.
    Caller,
}

impl WhoseClock {
    /// The time that the script is told, if it is told.
    pub(super) fn said(self, now: Timestamp) -> Option<Timestamp> {
        (self == Self::Caller).then_some(now)
    }
}

/// The key under which names of tallies are hashed: whoever reads Redis without it learns no account and no address, and proxies
/// with another key have other tallies.
#[derive(Clone, PartialEq, Eq)]
pub struct NamingKey(Zeroizing<[u8; 32]>);

impl NamingKey {
    /// Takes a key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// Eight digits that are the same wherever the key is, for people to compare. They do not lead back to it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Names::new(self).digest(b'f', b"");
        digest[..4]
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    pub(super) fn expose(&self) -> &[u8] {
        &*self.0
    }
}

impl fmt::Debug for NamingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NamingKey(..)")
    }
}

/// A password, or a URL that may hold one. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A certificate of ours and its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The certificate and what is between it and its authority.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(..)")
    }
}

/// What of a [`Setup`] cannot be used. Says nothing of what is secret in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// There is no server.
    #[error("names no server: give redis://HOST:PORT, or rediss:// for TLS")]
    NoServer,
    /// A single server with several URLs.
    #[error("names {0} servers; several are the nodes of a Cluster, and topology is Single")]
    Several(usize),
    /// What is no URL of Redis. Its text may hold a password.
    #[error("URL {0} is none of Redis: write redis://HOST:PORT/DATABASE, or rediss:// for TLS")]
    Url(usize),
    /// Certificates without TLS.
    #[error("has certificates, and URL {0} is without TLS: write rediss://")]
    NoTls(usize),
    /// PEM that cannot be read, or a key that does not fit.
    #[error("has certificates that cannot be used: {0}")]
    Certificates(String),
    /// A Cluster has database 0 alone.
    #[error("URL {0} names a database; a Cluster has no other than 0")]
    Database(usize),
}
