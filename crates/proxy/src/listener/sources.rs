//! How many connections there may be at once, in all and from one source.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds on open connections of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionCaps {
    /// In all.
    pub total: usize,
    /// From one IPv4 address or IPv6 /64. The peer's own address counts, before any PROXY header, unless the peer
    /// is a load balancer that sends one: then the client's does.
    pub per_source: usize,
}

impl Default for ConnectionCaps {
    /// 50,000 in all, and 2,000 from one source: a carrier's translated address can hold a thousand customers.
    fn default() -> Self {
        Self {
            total: 50_000,
            per_source: 2_000,
        }
    }
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Connections {
    caps: ConnectionCaps,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    Gateway,
    Source,
}

impl Connections {
    pub(crate) fn new(caps: ConnectionCaps) -> Arc<Self> {
        Arc::new(Self {
            caps,
            open: Mutex::default(),
        })
    }

    /// A place for one more connection, whoever it is from.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Place, Crowded> {
        let mut open = self.lock();
        if open.total >= self.caps.total {
            return Err(Crowded::Gateway);
        }
        open.total += 1;
        Ok(Place {
            connections: self.clone(),
            source: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    source: Option<IpAddr>,
}

impl Place {
    /// Counts the connection for its source, which is known by now.
    pub(crate) fn attribute(&mut self, ip: IpAddr) -> Result<(), Crowded> {
        let source = source_of(ip);
        let mut open = self.connections.lock();
        let held = open.by_source.entry(source).or_default();
        if *held >= self.connections.caps.per_source {
            return Err(Crowded::Source);
        }
        *held += 1;
        drop(open);
        self.source = Some(source);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.total -= 1;
        let Some(source) = self.source else { return };
        if let Some(held) = open.by_source.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                open.by_source.remove(&source);
            }
        }
    }
}

/// What counts as one source: a subscriber gets an IPv4 address or an IPv6 /64.
fn source_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let connections = Connections::new(ConnectionCaps {
            total: 3,
            per_source: 2,
        });
        let mut a = connections.admit().unwrap();
        let mut b = connections.admit().unwrap();
        let mut c = connections.admit().unwrap();
        assert_eq!(connections.admit().unwrap_err(), Crowded::Gateway);
        assert_eq!(a.attribute("2001:db8::1".parse().unwrap()), Ok(()));
        assert_eq!(b.attribute("2001:db8::ffff:2".parse().unwrap()), Ok(()));
        assert_eq!(
            c.attribute("2001:db8::3".parse().unwrap()),
            Err(Crowded::Source),
            "one /64"
        );
        assert_eq!(c.attribute("203.0.113.9".parse().unwrap()), Ok(()));
        drop((a, b, c));
        let open = connections.lock();
        assert_eq!((open.total, open.by_source.len()), (0, 0));
    }
}
