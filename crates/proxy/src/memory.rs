//! What clients may make a process keep: in memory, and in files of messages. Everybody who keeps something has a [`Claim`]
//! to it; what cannot be claimed is not kept.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sekisho_policy::snapshot::GatewayLimits;

/// Octets in files where nothing else is said, so that held messages do not fill the disk of the node.
const IN_FILES: u64 = 16 << 30;

/// Of the memory, the part that is kept for transactions that run: new ones are told 452 before it is touched.
const KEPT_FREE: u64 = 8;

/// Of the memory, the part that bodies may take: what is more is held in files, and the rest is there for header sections and for
/// transactions that begin. It is small because what bodies took stays with the allocator for a while when they move to files.
const FOR_BODIES: u64 = 4;

/// Of the files, the part that one account may have, or one source that has not logged in; but never less than this.
const FOR_ONE: u64 = 4;
const LEAST_FOR_ONE: u64 = 256 << 20;

/// How much all messages of a process together may hold in memory, and in files what does not fit in there.
#[derive(Clone, Debug)]
pub struct MessageMemory {
    memory: Arc<Bound>,
    files: Arc<Files>,
}

/// The files of all, and what each owner has of them.
#[derive(Debug)]
struct Files {
    bound: Arc<Bound>,
    hasher: RandomState,
    owned: Mutex<HashMap<Owner, u64>>,
}

/// Whose messages: an account's, or those of a source. A keyed hash, which does not say who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner(u64);

impl Files {
    fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            bound: Bound::new(most),
            hasher: RandomState::new(),
            owned: Mutex::default(),
        })
    }

    fn take(&self, owner: Owner, octets: u64) -> bool {
        let most = self.bound.most.load(Ordering::Relaxed);
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        let has = owned.entry(owner).or_default();
        let fits = has.saturating_add(octets) <= (most / FOR_ONE).max(LEAST_FOR_ONE);
        if fits && self.bound.take(octets) {
            *has += octets;
            return true;
        }
        if *has == 0 {
            owned.remove(&owner);
        }
        false
    }

    fn put_back(&self, owner: Owner, octets: u64) {
        self.bound.put_back(octets);
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(has) = owned.get_mut(&owner) {
            *has = has.saturating_sub(octets);
            if *has == 0 {
                owned.remove(&owner);
            }
        }
    }
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

    fn has_any(&self) -> bool {
        self.used.load(Ordering::Acquire) < self.most.load(Ordering::Relaxed)
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
            files: Files::new(files),
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
                before.files.bound.resize(limits.max_spooled_bytes);
                before.files.clone()
            }
            None => Files::new(limits.max_spooled_bytes),
        };
        Self { memory, files }
    }

    /// Whether one more transaction may begin that will need at least `octets`.
    pub(crate) fn has_room(&self, octets: u64) -> bool {
        let most = self.memory.most.load(Ordering::Relaxed);
        let used = self.memory.used.load(Ordering::Acquire);
        used.saturating_add(octets) <= most - most / KEPT_FREE && self.files.bound.has_any()
    }

    /// Nothing yet of the memory.
    pub(crate) fn claim(&self) -> Claim {
        Claim {
            bound: self.memory.clone(),
            octets: 0,
        }
    }

    /// Nothing yet of the files, for that owner.
    pub(crate) fn claim_files(&self, owner: Owner) -> FileClaim {
        FileClaim {
            files: self.files.clone(),
            owner,
            octets: 0,
        }
    }

    /// Whose messages, by what tells owners apart.
    pub(crate) fn owner(&self, of: &impl Hash) -> Owner {
        Owner(self.files.hasher.hash_one(of))
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> (u64, u64) {
        let used = |bound: &Bound| bound.used.load(Ordering::Acquire);
        (used(&self.memory), used(&self.files.bound))
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
    #[cfg(test)]
    fn octets(&self) -> u64 {
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

    /// Claims at least `octets` in all for a body, which may take no more than its part of the bound.
    #[must_use]
    pub(crate) fn grow_body_to(&mut self, octets: u64) -> bool {
        let used = self.bound.used.load(Ordering::Acquire);
        let most = self.bound.most.load(Ordering::Relaxed) / FOR_BODIES;
        let more = octets.saturating_sub(self.octets);
        used.saturating_add(more) <= most && self.grow_to(octets)
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

/// What one message takes of the files; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct FileClaim {
    files: Arc<Files>,
    owner: Owner,
    octets: u64,
}

impl FileClaim {
    /// Claims so many more; `false`, and all as before, if they are not there or not for this owner.
    #[must_use]
    pub(crate) fn grow_by(&mut self, octets: u64) -> bool {
        let taken = self.files.take(self.owner, octets);
        if taken {
            self.octets += octets;
        }
        taken
    }

    /// Gives all of it back.
    pub(crate) fn release(&mut self) {
        self.files
            .put_back(self.owner, std::mem::take(&mut self.octets));
    }
}

impl Drop for FileClaim {
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
        assert!(!memory.claim_files(memory.owner(&1)).grow_by(1));
        assert!(!memory.claim().set(u64::MAX));
    }

    #[test]
    fn bodies_leave_most_of_the_memory_to_others() {
        let memory = MessageMemory::new(120);
        let (mut body, mut header) = (memory.claim(), memory.claim());
        assert!(body.grow_body_to(30) && !body.grow_body_to(31));
        assert!(body.grow_body_to(20), "what it has is enough");
        assert!(header.grow_to(90));
    }

    #[test]
    fn no_owner_has_all_of_the_files() {
        const GIB: u64 = 1 << 30;
        let memory = MessageMemory::with_files(0, 4 * GIB);
        let (one, other) = (memory.owner(&"one"), memory.owner(&"other"));
        let (mut first, mut second) = (memory.claim_files(one), memory.claim_files(one));
        assert!(first.grow_by(GIB / 2) && second.grow_by(GIB / 2));
        assert!(!first.grow_by(1) && !memory.claim_files(one).grow_by(1));
        let mut others = memory.claim_files(other);
        assert!(others.grow_by(GIB));
        drop(second);
        assert!(first.grow_by(GIB / 2));
        first.release();
        drop((first, others));
        assert_eq!(memory.used(), (0, 0));
        assert!(memory.files.owned.lock().unwrap().is_empty());
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
