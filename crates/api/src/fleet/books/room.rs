//! The room for what waits for the store, of which no gateway has more than its share: one proxy that sends without end must not
//! keep the records of all others out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches that wait for the store.
pub(super) const MOST_BATCHES: usize = 1024;
/// What waits for the store takes no more octets, as they were sent unpacked; in memory it is a few times that.
const MOST_OCTETS: usize = 64 << 20;
/// One gateway has one part in so many of both.
const SHARES: usize = 4;

/// Cloning shares the room.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: Amount,
    /// Of gateways that have something waiting.
    gateways: BTreeMap<String, Amount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    batches: usize,
    octets: usize,
}

impl Amount {
    fn has_room(self, octets: usize, shares: usize) -> bool {
        self.batches < MOST_BATCHES / shares && self.octets + octets <= MOST_OCTETS / shares
    }

    fn add(&mut self, octets: usize) {
        self.batches += 1;
        self.octets += octets;
    }

    fn subtract(&mut self, octets: usize) {
        self.batches -= 1;
        self.octets -= octets;
    }
}

/// The place of a batch, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Room,
    gateway: String,
    octets: usize,
}

impl Room {
    /// A place for a batch, if there is one for this gateway.
    pub(super) fn take(&self, gateway: &str, octets: usize) -> Option<Place> {
        let mut taken = self.taken();
        let own = taken.gateways.get(gateway).copied().unwrap_or_default();
        if !taken.all.has_room(octets, 1) || !own.has_room(octets, SHARES) {
            return None;
        }
        taken.all.add(octets);
        let own = taken.gateways.entry(gateway.to_owned()).or_default();
        own.add(octets);
        Some(Place {
            room: self.clone(),
            gateway: gateway.to_owned(),
            octets,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken();
        taken.all.subtract(self.octets);
        if let Some(own) = taken.gateways.get_mut(&self.gateway) {
            own.subtract(self.octets);
            if own.batches == 0 {
                taken.gateways.remove(&self.gateway);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(room: &Room, gateway: &str, octets: usize) -> Vec<Place> {
        std::iter::from_fn(|| room.take(gateway, octets)).collect()
    }

    #[test]
    fn one_gateway_leaves_room_for_others() {
        let room = Room::default();
        let many = fill(&room, "mail/a", 1);
        assert_eq!(many.len(), 256);
        let large = fill(&room, "mail/b", 8 << 20);
        assert_eq!(large.len(), 2);
        assert!(room.take("mail/b", 1).is_none());
        assert!(room.take("mail/c", 8 << 20).is_some());
        drop(many);
        assert_eq!(fill(&room, "mail/a", 1).len(), 256);
        drop(large);
        assert!(room.taken().gateways.is_empty());
    }

    #[test]
    fn all_together_have_what_there_is() {
        let room = Room::default();
        let all: Vec<_> = (0..9)
            .map(|n| fill(&room, &format!("mail/{n}"), 1))
            .collect();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), MOST_BATCHES);
        drop(all);
        let all: Vec<_> = (0..9)
            .map(|n| fill(&room, &format!("mail/{n}"), 8 << 20))
            .collect();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 8);
    }
}
