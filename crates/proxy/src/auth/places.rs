//! Logins that a server behind us is busy with: how many at once, in all and from one source.
//!
//! Each costs that server a connection or one of its requests, and a client that waits for nothing costs itself nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listener::sources::source_of;

/// Of each kind, in all.
pub(super) const MOST: usize = 256;

/// What a place is for. Neither kind takes those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An exchange that is held open while the client thinks.
    Contest,
    /// A connection to the upstream to ask about what was shown.
    Check,
}

impl Purpose {
    /// From one source.
    const fn of_one_source(self) -> usize {
        match self {
            // Honest clients hold one each for as long as two round trips take.
            Self::Contest => 4,
            // An office logs in at nine o'clock, and nobody waits for its clients meanwhile.
            Self::Check => 16,
        }
    }
}

/// A subscriber has so much of IPv6.
const IPV6_PREFIX: u8 = 64;

/// Those of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Places([Mutex<Taken>; 2]);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One of them; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    purpose: Purpose,
    source: Option<IpAddr>,
}

impl Places {
    /// A place for a client from `source`, where that is known; `None` if too many are taken.
    pub(super) fn take(
        self: &Arc<Self>,
        purpose: Purpose,
        source: Option<IpAddr>,
    ) -> Option<Place> {
        let source = source.map(|ip| source_of(ip.to_canonical(), IPV6_PREFIX));
        let mut taken = self.lock(purpose);
        if taken.all >= MOST {
            return None;
        }
        if let Some(source) = source {
            let of_source = taken.by_source.entry(source).or_default();
            if *of_source >= purpose.of_one_source() {
                return None;
            }
            *of_source += 1;
        }
        taken.all += 1;
        Some(Place {
            places: Arc::clone(self),
            purpose,
            source,
        })
    }

    fn lock(&self, purpose: Purpose) -> MutexGuard<'_, Taken> {
        let taken = &self.0[purpose as usize];
        taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock(self.purpose);
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
        for purpose in [Purpose::Contest, Purpose::Check] {
            let places = Arc::new(Places::default());
            let few = purpose.of_one_source();
            let take = |ip: &str| places.take(purpose, Some(ip.parse().unwrap()));
            let own: Vec<_> = (0..few)
                .map(|at| take(&format!("2001:db8::{at}")).unwrap())
                .collect();
            assert!(take("2001:db8::ffff").is_none());
            let other = take("2001:db8:0:1::1");
            assert!(other.is_some());
            drop(own);
            assert!(take("2001:db8::ffff").is_some());
            let own: Vec<_> = (0..few).map(|_| take("::ffff:192.0.2.1")).collect();
            assert!(own.iter().all(Option::is_some));
            assert!(take("192.0.2.1").is_none());
            drop((own, other));
            let all: Vec<_> = (0..MOST).map(|_| places.take(purpose, None)).collect();
            assert!(all.iter().all(Option::is_some));
            assert!(places.take(purpose, None).is_none() && take("192.0.2.9").is_none());
            drop(all);
            let taken = places.lock(purpose);
            assert!(taken.by_source.is_empty() && taken.all == 0);
        }
    }

    #[test]
    fn exchanges_that_are_held_open_do_not_keep_passwords_out() {
        let places = Arc::new(Places::default());
        let held: Vec<_> = (0..MOST)
            .map(|_| places.take(Purpose::Contest, None))
            .collect();
        assert!(places.take(Purpose::Check, None).is_some());
        drop(held);
    }
}
