//! Exchanges that a server behind us holds open while a client of ours thinks: how many at once, in all and from one source.
//!
//! Each costs that server a connection or one of its requests, and a client that says nothing costs itself nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listener::sources::source_of;

/// In all.
pub(super) const MOST: usize = 256;
/// From one source. Honest clients hold one each for as long as two round trips take.
const OF_ONE_SOURCE: usize = 4;
/// A subscriber has so much of IPv6.
const IPV6_PREFIX: u8 = 64;

/// Those of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One of them; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: Option<IpAddr>,
}

impl Places {
    /// A place for a client from `source`, where that is known; `None` if too many are taken.
    pub(super) fn take(self: &Arc<Self>, source: Option<IpAddr>) -> Option<Place> {
        let source = source.map(|ip| source_of(ip.to_canonical(), IPV6_PREFIX));
        let mut taken = self.lock();
        if taken.all >= MOST {
            return None;
        }
        if let Some(source) = source {
            let of_source = taken.by_source.entry(source).or_default();
            if *of_source >= OF_ONE_SOURCE {
                return None;
            }
            *of_source += 1;
        }
        taken.all += 1;
        Some(Place {
            places: Arc::clone(self),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        let Some(source) = self.source else { return };
        if let Some(of_source) = taken.by_source.get_mut(&source) {
            *of_source -= 1;
            if *of_source == 0 {
                taken.by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_has_few_and_all_together_have_many() {
        let places = Arc::new(Places::default());
        let ip = |text: &str| Some(text.parse().unwrap());
        let own: Vec<_> = (0..OF_ONE_SOURCE)
            .map(|at| places.take(ip(&format!("2001:db8::{at}"))).unwrap())
            .collect();
        assert!(places.take(ip("2001:db8::ffff")).is_none());
        let other = places.take(ip("2001:db8:0:1::1"));
        assert!(other.is_some());
        drop(own);
        assert!(places.take(ip("2001:db8::ffff")).is_some());
        let mapped = ip("::ffff:192.0.2.1");
        let own: Vec<_> = (0..OF_ONE_SOURCE).map(|_| places.take(mapped)).collect();
        assert!(own.iter().all(Option::is_some));
        assert!(places.take(ip("192.0.2.1")).is_none());
        drop((own, other));
        let all: Vec<_> = (0..MOST).map(|_| places.take(None)).collect();
        assert!(all.iter().all(Option::is_some));
        assert!(places.take(None).is_none() && places.take(ip("192.0.2.9")).is_none());
        drop(all);
        assert!(places.lock().by_source.is_empty() && places.lock().all == 0);
    }
}
