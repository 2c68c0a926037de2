//! One endpoint, as all lanes to it see it: whether it can be reached, how busy and how slow it is, and which of its addresses
//! did not serve.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::health::{Health, UNREACHABLE};
use super::outlier::Outlier;

/// How long an address that did not serve comes after the others.
const LAST_FOR: Duration = Duration::from_secs(60);
/// Addresses that are remembered for that.
const MOST_ADDRESSES: usize = 16;

/// The endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Whether it can be reached.
    pub(super) health: Health,
    /// Whether too many of its connections fail.
    pub(super) outlier: Outlier,
    in_flight: AtomicU32,
    /// A moving average of what connecting and greeting take, in microseconds; 0 is not known.
    latency: AtomicU64,
    avoided: Mutex<Vec<(IpAddr, Instant)>>,
}

/// A connection that is in use or being made.
#[derive(Debug)]
pub(super) struct Busy(Arc<Endpoint>);

impl Endpoint {
    pub(super) fn new() -> Self {
        Self {
            health: Health::new(UNREACHABLE),
            outlier: Outlier::default(),
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            avoided: Mutex::default(),
        }
    }

    pub(super) fn occupy(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// In microseconds.
    pub(super) fn latency(&self) -> u64 {
        self.latency.load(Ordering::Relaxed)
    }

    /// A connection was made and greeted in so much time. Two at once may lose one of them, which does no harm.
    pub(super) fn took(&self, time: Duration) {
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        let old = match self.latency() {
            0 => new,
            old => old,
        };
        let average = old - old / 4 + new / 4;
        self.latency.store(average.max(1), Ordering::Relaxed);
    }

    /// An address of its name did not serve.
    pub(super) fn avoid(&self, address: IpAddr, now: Instant) {
        let mut avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        avoided.retain(|(ip, until)| *ip != address && *until > now);
        if avoided.len() < MOST_ADDRESSES {
            avoided.push((address, now + LAST_FOR));
        }
    }

    /// Brings the addresses of its name into the order in which they are tried: those that did not serve come last, the
    /// family that the resolver prefers first, and within it each message begins with another.
    pub(super) fn order(&self, addresses: &mut [IpAddr], seed: u64, now: Instant) {
        let Some(first) = addresses.first().copied() else {
            return;
        };
        let turn = usize::try_from(seed % addresses.len() as u64).unwrap_or(0);
        addresses.rotate_left(turn);
        let avoided = self.avoided.lock().unwrap_or_else(PoisonError::into_inner);
        let is_avoided = |ip: &IpAddr| avoided.iter().any(|(a, until)| a == ip && *until > now);
        addresses.sort_by_key(|ip| (is_avoided(ip), ip.is_ipv4() != first.is_ipv4()));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(endpoint: &Endpoint, addresses: &[&str], seed: u64, now: Instant) -> Vec<String> {
        let mut addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        endpoint.order(&mut addresses, seed, now);
        addresses.iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_take_turns_and_one_that_did_not_serve_comes_last() {
        let endpoint = Endpoint::new();
        let now = Instant::now();
        let all = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
        assert_eq!(ordered(&endpoint, &all, 0, now), all);
        assert_eq!(
            ordered(&endpoint, &all, 1, now),
            ["192.0.2.2", "192.0.2.1", "2001:db8::1"]
        );
        endpoint.avoid("192.0.2.2".parse().unwrap(), now);
        for seed in 0..3 {
            assert_eq!(ordered(&endpoint, &all, seed, now)[2], "192.0.2.2");
        }
        assert_eq!(ordered(&endpoint, &all, 1, now + LAST_FOR)[0], "192.0.2.2");
        assert!(ordered(&endpoint, &[], 5, now).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_average_moves_with_what_is_measured() {
        let endpoint = Arc::new(Endpoint::new());
        let busy = [endpoint.occupy(), endpoint.occupy()];
        assert_eq!(endpoint.in_flight(), 2);
        drop(busy);
        assert_eq!((endpoint.in_flight(), endpoint.latency()), (0, 0));
        endpoint.took(Duration::from_millis(1));
        assert_eq!(endpoint.latency(), 1_000);
        endpoint.took(Duration::from_millis(5));
        assert_eq!(endpoint.latency(), 2_000);
    }
}
