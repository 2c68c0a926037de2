//! What clients may make a process keep: in memory, and in files of messages. Everybody who keeps something has a [`Claim`]
//! to it; what cannot be claimed is not kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sekisho_policy::snapshot::GatewayLimits;

/// Octets in files where nothing else is said, so that held messages do not fill the disk of the node.
const IN_FILES: u64 = 16 << 30;

/// Of the memory, the part that is kept for transactions that run: new ones are told 452 before it is touched.
const KEPT_FREE: u64 = 8;

/// How much all messages of a process together may hold in memory, and in files what does not fit in there.
#[derive(Clone, Debug)]
pub struct MessageMemory {
    memory: Arc<Bound>,
    files: Arc<Bound>,
}

/// A bound, and what of it is used.
#[derive(Debug)]
pub(crate) struct Bound {
    used: AtomicU64,
    most: AtomicU64,
}

impl Bound {
    fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            most: AtomicU64::new(most),
        })
    }

    fn take(&self, octets: u64) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let add = |used: u64| used.checked_add(octets).filter(|used| *used <= most);
        octets == 0
            || self
                .used
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, add)
                .is_ok()
    }

    fn put_back(&self, octets: u64) {
        self.used.fetch_sub(octets, Ordering::AcqRel);
    }

    /// What is used already stays so: a bound that shrinks takes nothing away from those who have it.
    fn resize(&self, most: u64) {
        self.most.store(most, Ordering::Relaxed);
    }
}

impl MessageMemory {
    /// So many octets. What does not fit in is held in files, up to 16 GiB.
    #[must_use]
    pub fn new(octets: usize) -> Self {
        Self::with_files(octets, IN_FILES)
    }

    /// So many octets in memory, and in files.
    #[must_use]
    pub fn with_files(octets: usize, files: u64) -> Self {
        Self {
            memory: Bound::new(octets as u64),
            files: Bound::new(files),
        }
    }

    /// What a gateway may keep by its limits: memory of its own if they say how much, else the process's; files of its own.
    /// What it had by its last limits counts on.
    pub(crate) fn of_gateway(
        process: &Self,
        limits: &GatewayLimits,
        before: Option<&Self>,
    ) -> Self {
        let own = before.filter(|before| !Arc::ptr_eq(&before.memory, &process.memory));
        let memory = match (limits.max_buffered_bytes, own) {
            (None, _) => process.memory.clone(),
            (Some(most), Some(own)) => {
                own.memory.resize(most);
                own.memory.clone()
            }
            (Some(most), None) => Bound::new(most),
        };
        let files = match before {
            Some(before) => {
                before.files.resize(limits.max_spooled_bytes);
                before.files.clone()
            }
            None => Bound::new(limits.max_spooled_bytes),
        };
        Self { memory, files }
    }

    /// Whether one more transaction may begin that will need at least `octets`.
    pub(crate) fn has_room(&self, octets: u64) -> bool {
        let most = self.memory.most.load(Ordering::Relaxed);
        let used = self.memory.used.load(Ordering::Acquire);
        used.saturating_add(octets) <= most - most / KEPT_FREE
            && self.files.used.load(Ordering::Acquire) < self.files.most.load(Ordering::Relaxed)
    }

    /// Nothing yet of the memory.
    pub(crate) fn claim(&self) -> Claim {
        Claim {
            bound: self.memory.clone(),
            octets: 0,
        }
    }

    /// Nothing yet of the files.
    pub(crate) fn claim_files(&self) -> Claim {
        Claim {
            bound: self.files.clone(),
            octets: 0,
        }
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> (u64, u64) {
        let used = |bound: &Bound| bound.used.load(Ordering::Acquire);
        (used(&self.memory), used(&self.files))
    }
}

/// What one thing takes of a bound; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Claim {
    bound: Arc<Bound>,
    octets: u64,
}

impl Claim {
    /// What is claimed.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    /// Claims `octets` in all; `false`, and all as before, if there are not so many.
    #[must_use]
    pub(crate) fn set(&mut self, octets: u64) -> bool {
        if octets > self.octets && !self.bound.take(octets - self.octets) {
            return false;
        }
        if octets < self.octets {
            self.bound.put_back(self.octets - octets);
        }
        self.octets = octets;
        true
    }

    /// Claims at least `octets` in all.
    #[must_use]
    pub(crate) fn grow_to(&mut self, octets: u64) -> bool {
        octets <= self.octets || self.set(octets)
    }

    /// Gives all of it back.
    pub(crate) fn release(&mut self) {
        self.bound.put_back(std::mem::take(&mut self.octets));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: Option<u64>, files: u64) -> GatewayLimits {
        GatewayLimits {
            max_buffered_bytes: memory,
            max_spooled_bytes: files,
            ..GatewayLimits::default()
        }
    }

    #[test]
    fn what_is_claimed_comes_back_and_no_more_is_given_than_there_is() {
        let memory = MessageMemory::with_files(100, 0);
        let (mut a, mut b) = (memory.claim(), memory.claim());
        assert!(a.set(60) && b.grow_to(40));
        assert!(!b.set(41) && !a.grow_to(61));
        assert_eq!((a.octets(), b.octets(), memory.used()), (60, 40, (100, 0)));
        assert!(a.set(10) && b.set(90));
        drop(b);
        assert_eq!(memory.used(), (10, 0));
        a.release();
        assert_eq!(memory.used(), (0, 0));
        assert!(!memory.claim_files().set(1));
        assert!(!memory.claim().set(u64::MAX));
    }

    #[test]
    fn an_eighth_is_kept_for_what_runs() {
        let memory = MessageMemory::new(800);
        let mut claim = memory.claim();
        assert!(claim.set(600));
        assert!(memory.has_room(100) && !memory.has_room(101));
        assert!(claim.set(800), "what runs may have all of it");
        assert!(!memory.has_room(0));
        assert!(!MessageMemory::with_files(800, 0).has_room(0), "no files");
    }

    #[test]
    fn a_gateway_keeps_its_account_when_its_limits_change() {
        let process = MessageMemory::new(1000);
        let shared = MessageMemory::of_gateway(&process, &limits(None, 50), None);
        let mut claim = shared.claim();
        assert!(claim.set(400));
        assert_eq!(process.used(), (400, 0), "the process's");
        let own = MessageMemory::of_gateway(&process, &limits(Some(100), 60), Some(&shared));
        assert!(!own.claim().set(101));
        let mut kept = own.claim();
        assert!(kept.set(90));
        let smaller = MessageMemory::of_gateway(&process, &limits(Some(80), 60), Some(&own));
        assert_eq!(smaller.used(), (90, 0));
        assert!(!smaller.claim().set(1));
        drop(kept);
        assert!(smaller.claim().set(80));
    }
}
