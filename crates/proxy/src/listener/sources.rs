//! How many connections there may be at once, in all and from one source, and how the last of them are shared out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sekisho_policy::snapshot::GatewayLimits;

/// From this part of all connections on (four fifths), what one source may have shrinks.
const CROWDED_FROM: (u32, u32) = (4, 5);
/// When all but the last connection are taken, one source may have this part of them.
const LAST_SHARE: u32 = 50;

/// The connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: u32,
    by_source: HashMap<IpAddr, Held>,
}

/// What one source has.
#[derive(Debug, Default)]
struct Held {
    connections: u32,
    /// Those of them that are in a TLS handshake.
    handshakes: u32,
}

impl Open {
    fn leave(&mut self, source: IpAddr) {
        if let Some(held) = self.by_source.get_mut(&source) {
            held.connections -= 1;
            if held.connections == 0 {
                self.by_source.remove(&source);
            }
        }
    }
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    Gateway,
    Source,
    Handshakes,
}

impl Connections {
    /// A place for one more connection, whoever it is from.
    pub(crate) fn admit(self: &Arc<Self>, limits: &GatewayLimits) -> Result<Place, Crowded> {
        let mut open = self.lock();
        if open.total >= limits.connections {
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

/// How many connections one source may have while there are `total`: whoever takes many, fast, must leave the last fifth to
/// those who have few.
fn share(limits: &GatewayLimits, total: u32) -> u32 {
    let most = limits.connections;
    let from = u64::from(most) * u64::from(CROWDED_FROM.0) / u64::from(CROWDED_FROM.1);
    let from = u32::try_from(from).unwrap_or(most);
    let all = limits.connections_per_source;
    let last = (most / LAST_SHARE).clamp(1, all.max(1));
    if total <= from {
        return all;
    }
    let left = u64::from(most.saturating_sub(total));
    let span = u64::from(most - from).max(1);
    last + u32::try_from(u64::from(all.saturating_sub(last)) * left / span).unwrap_or(0)
}

/// One connection's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    source: Option<IpAddr>,
}

impl Place {
    /// Counts the connection for its source, which is known by now. Where it was counted for another one (that of a trusted peer,
    /// which has said for whom it speaks), it is no more; but one that is turned away stays where it was.
    pub(crate) fn attribute(&mut self, ip: IpAddr, limits: &GatewayLimits) -> Result<(), Crowded> {
        let source = source_of(ip, limits.source_ipv6_prefix);
        if self.source == Some(source) {
            return Ok(());
        }
        let mut open = self.connections.lock();
        let most = share(limits, open.total);
        let held = open.by_source.entry(source).or_default();
        if held.connections >= most {
            return Err(Crowded::Source);
        }
        held.connections += 1;
        if let Some(before) = self.source.replace(source) {
            open.leave(before);
        }
        Ok(())
    }

    /// Counts the TLS handshake that begins, until what is returned is dropped.
    pub(crate) fn shake(&self, limits: &GatewayLimits) -> Result<Shaking, Crowded> {
        let mut open = self.connections.lock();
        let held = self.source.and_then(|ip| open.by_source.get_mut(&ip));
        if let Some(held) = held {
            if held.handshakes >= limits.handshakes_per_source {
                return Err(Crowded::Handshakes);
            }
            held.handshakes += 1;
        }
        Ok(Shaking {
            connections: self.connections.clone(),
            source: self.source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.total -= 1;
        if let Some(source) = self.source {
            open.leave(source);
        }
    }
}

/// A TLS handshake under way. It does not outlive its [`Place`].
#[derive(Debug)]
pub(crate) struct Shaking {
    connections: Arc<Connections>,
    source: Option<IpAddr>,
}

impl Drop for Shaking {
    fn drop(&mut self) {
        let Some(source) = self.source else { return };
        if let Some(held) = self.connections.lock().by_source.get_mut(&source) {
            held.handshakes = held.handshakes.saturating_sub(1);
        }
    }
}

/// What counts as one source: a subscriber gets an IPv4 address or an IPv6 network.
pub(crate) fn source_of(ip: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => {
            let beyond = 128_u32.saturating_sub(u32::from(ipv6_prefix));
            let kept = u128::MAX.checked_shl(beyond).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & kept))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: u32, connections_per_source: u32) -> GatewayLimits {
        GatewayLimits {
            connections,
            connections_per_source,
            handshakes_per_source: 1,
            ..GatewayLimits::default()
        }
    }

    fn connect(
        connections: &Arc<Connections>,
        limits: &GatewayLimits,
        ip: &str,
    ) -> Result<Place, Crowded> {
        let mut place = connections.admit(limits)?;
        place.attribute(ip.parse().unwrap(), limits)?;
        Ok(place)
    }

    #[test]
    fn places_are_bounded_and_come_back() {
        let (connections, limits) = (Arc::<Connections>::default(), limits(30, 2));
        let a = connect(&connections, &limits, "2001:db8::1").unwrap();
        let b = connect(&connections, &limits, "2001:db8::ffff:2").unwrap();
        assert_eq!(
            connect(&connections, &limits, "2001:db8::3").unwrap_err(),
            Crowded::Source,
            "one /64"
        );
        let c = connect(&connections, &limits, "203.0.113.9").unwrap();
        let shaking = a.shake(&limits).unwrap();
        assert_eq!(b.shake(&limits).unwrap_err(), Crowded::Handshakes);
        assert!(c.shake(&limits).is_ok(), "another source");
        drop(shaking);
        assert!(b.shake(&limits).is_ok());
        drop((a, b, c));
        let open = connections.lock();
        assert_eq!((open.total, open.by_source.len()), (0, 0));
    }

    #[test]
    fn a_connection_counts_for_whom_it_is_for_now() {
        let (connections, limits) = (Arc::<Connections>::default(), limits(30, 1));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut first = connect(&connections, &limits, "192.0.2.40").unwrap();
        first.attribute(ip("198.51.100.7"), &limits).unwrap();
        let mut second = connect(&connections, &limits, "192.0.2.40").unwrap();
        let crowded = second.attribute(ip("198.51.100.7"), &limits).unwrap_err();
        assert_eq!(crowded, Crowded::Source);
        assert!(
            connect(&connections, &limits, "192.0.2.40").is_err(),
            "it stays"
        );
        first.attribute(ip("198.51.100.7"), &limits).unwrap();
        drop((first, second));
        let open = connections.lock();
        assert_eq!((open.total, open.by_source.len()), (0, 0));
    }

    #[test]
    fn who_takes_all_that_there_is_leaves_room_for_others() {
        let (connections, limits) = (Arc::<Connections>::default(), limits(1000, 1000));
        let mut greedy = Vec::new();
        while let Ok(place) = connect(&connections, &limits, "203.0.113.9") {
            greedy.push(place);
        }
        assert!(
            (800..850).contains(&greedy.len()),
            "{} of 1000",
            greedy.len()
        );
        let others: Vec<Place> = (0..100)
            .map(|n| connect(&connections, &limits, &format!("198.51.100.{n}")).unwrap())
            .collect();
        assert_eq!(
            connect(&connections, &limits, "203.0.113.9").unwrap_err(),
            Crowded::Source
        );
        drop(others);
        while connections.admit(&limits).is_ok_and(|place| {
            std::mem::forget(place);
            true
        }) {}
        assert_eq!(connections.admit(&limits).unwrap_err(), Crowded::Gateway);
    }

    #[test]
    fn what_a_source_may_have_shrinks_from_four_fifths_on() {
        let limits = limits(1000, 200);
        let shares = [0, 800, 900, 999, 1000].map(|total| share(&limits, total));
        assert_eq!(shares, [200, 200, 110, 20, 20]);
        let tiny = GatewayLimits {
            connections: 10,
            connections_per_source: 1,
            ..limits
        };
        assert_eq!(share(&tiny, 10), 1);
    }

    #[test]
    fn an_ipv6_source_is_as_wide_as_it_is_said_to_be() {
        let of = |ip: &str, prefix| source_of(ip.parse().unwrap(), prefix).to_string();
        assert_eq!(of("2001:db8:1:2:3::4", 64), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:2:3::4", 48), "2001:db8:1::");
        assert_eq!(of("2001:db8:1:2:3::4", 128), "2001:db8:1:2:3::4");
        assert_eq!(of("203.0.113.9", 16), "203.0.113.9");
    }
}
