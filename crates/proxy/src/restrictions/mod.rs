//! What accounts may not do now, as this process knows it. Whatever is imposed here bites here at once; the control plane's
//! store hears of it, and of what others imposed this process hears through [`Restrictions::apply`].

mod book;
mod journal;
mod kept;
mod table;
mod word;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use sekisho_policy::event::AccountFacts;
use sekisho_policy::states::{Imposition, Onto, Part, States};
use sekisho_policy::{Account, Level, Restriction, Standing, Timestamp};
use sekisho_runtime::Metrics;
use sekisho_runtime::metrics::{RestrictionLevel, RestrictionResult};
use tokio::sync::{Notify, broadcast, watch};

use journal::Journal;
pub(crate) use table::Released;
use table::{Census, Imposed, Table};

/// The restrictions of the accounts of one namespace. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Restrictions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many accounts are restricted. While it is none, no lookup takes the lock.
    accounts: AtomicUsize,
    table: RwLock<Table>,
    /// Something waits for the store.
    queued: Notify,
    /// Counts changes, for whoever keeps them on disk.
    changes: watch::Sender<u64>,
    /// The file; whoever writes it holds it.
    journal: Mutex<Journal>,
    /// Accounts that somebody released.
    released: broadcast::Sender<Released>,
    /// How many that were. Nobody whom one of them lets off is found unrestricted before it is counted.
    releases: AtomicU64,
    metrics: Metrics,
}

impl Restrictions {
    /// Nobody is restricted yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            accounts: AtomicUsize::new(0),
            table: RwLock::default(),
            queued: Notify::new(),
            changes: watch::Sender::new(0),
            journal: Mutex::default(),
            released: broadcast::Sender::new(RELEASED),
            releases: AtomicU64::new(0),
            metrics,
        }))
    }

    /// Restricts an account from now on, and queues that for the store. It takes the place of one of the same origin, unless that
    /// holds and is as bad or worse. Never waits.
    pub fn impose(&self, account: &Account, restriction: Restriction) {
        let imposed = self.change(|table| table.impose(account, restriction.bounded()));
        let result = match imposed {
            Imposed::Known => return,
            Imposed::Queued => RestrictionResult::Imposed,
            Imposed::Unshared => {
                tracing::error!(
                    "more restrictions wait for the control plane than can be kept: one holds in this proxy alone"
                );
                RestrictionResult::Unshared
            }
            Imposed::Full => {
                tracing::error!(
                    most = book::MOST + book::OWN,
                    "there are too many restrictions: one is not acted on"
                );
                RestrictionResult::Lost
            }
        };
        self.0.metrics.restrictions_imposed(result, 1);
        self.0.queued.notify_one();
    }

    /// What the account's restrictions come to at `now`; `None` if nothing restricts it.
    #[must_use]
    pub fn standing(&self, account: &Account, now: Timestamp) -> Option<Standing> {
        if self.0.accounts.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.read().standing(account, now)
    }

    /// The account with what restricts it at `now`.
    pub(crate) fn judge(&self, account: &Arc<AccountFacts>, now: Timestamp) -> Arc<AccountFacts> {
        match self.standing(&account.name, now) {
            None if account.standing.is_none() => account.clone(),
            standing => Arc::new(AccountFacts {
                standing: standing.map(Box::new),
                ..AccountFacts::clone(account)
            }),
        }
    }

    /// Takes over what the store says: what changed, or a part of the whole, which comes into force with its last part.
    pub fn apply(&self, states: &States) {
        let is_news = states.onto == Onto::Nothing || !states.changes.is_empty();
        let brought = if is_news {
            self.change(|table| table.apply(states))
        } else {
            self.write(|table| table.apply(states))
        };
        if brought > 0 {
            tracing::warn!(
                count = brought,
                "the control plane's store is another one, or has forgotten what it said: what rules imposed is told to it anew, and what people imposed holds in this proxy until they release it"
            );
            self.0.queued.notify_one();
        }
    }

    /// What to ask the store for: what came after this revision, or the next part of an answer. Zero asks for the whole.
    #[must_use]
    pub fn question(&self) -> (u64, Part) {
        self.read().question()
    }

    /// Asks for the whole the next time: whatever was missed is mended then.
    pub fn ask_for_whole(&self) {
        self.write(Table::ask_for_whole);
    }

    /// Waits until something is to be brought to the store.
    pub async fn queued(&self) {
        self.0.queued.notified().await;
    }

    /// Takes up to `most` impositions that the store has not heard of, the oldest first. Give each batch back through
    /// [`Self::stored`], [`Self::put_back`] or [`Self::refused`].
    #[must_use]
    pub fn next_batch(&self, most: usize) -> Vec<Imposition> {
        self.write(|table| table.next_batch(most))
    }

    /// The store took the batch, and this is what it makes of it: what people said since may stand above it.
    pub fn stored(&self, batch: &[Imposition], states: &States) {
        let unshared = self.change(|table| table.stored(batch, states));
        if unshared > 0 {
            tracing::error!(
                count = unshared,
                "the store has no room for restrictions: they hold in this proxy alone"
            );
        }
        let stored = (batch.len() as u64).saturating_sub(unshared);
        let metrics = &self.0.metrics;
        metrics.restrictions_imposed(RestrictionResult::Stored, stored);
        metrics.restrictions_imposed(RestrictionResult::Unshared, unshared);
    }

    /// The store could not be reached: the batch comes again.
    pub fn put_back(&self, batch: Vec<Imposition>) {
        self.write(|table| table.put_back(batch));
        self.0.queued.notify_one();
    }

    /// Queues again all that the store has not answered for: whoever was bringing it has been stopped.
    pub fn put_all_back(&self) {
        self.write(Table::put_all_back);
        self.0.queued.notify_one();
    }

    /// The store will never take the batch. It goes on to hold here until it is over, or the whole is heard of again.
    pub fn refused(&self, batch: &[Imposition]) {
        self.change(|table| table.refused(batch));
        let count = batch.len() as u64;
        let metrics = &self.0.metrics;
        metrics.restrictions_imposed(RestrictionResult::Unshared, count);
    }

    /// Forgets what is over.
    pub fn sweep(&self, now: Timestamp) {
        self.change(|table| table.sweep(now));
    }

    /// Tells of each change.
    fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Tells of each account that somebody released, once, whether or not anything restricted it here.
    #[must_use]
    pub fn released(&self) -> broadcast::Receiver<Released> {
        self.0.released.subscribe()
    }

    /// The same, and how many releases were told of before.
    pub(crate) fn released_from_here(&self) -> (broadcast::Receiver<Released>, u64) {
        let _none_meanwhile = self.read();
        (self.released(), self.releases())
    }

    /// How many releases [`Self::released`] has told of, to whoever listened.
    pub(crate) fn releases(&self) -> u64 {
        self.0.releases.load(Ordering::Acquire)
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, doing: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.0.table.write().unwrap_or_else(PoisonError::into_inner);
        let before = table.census();
        let done = doing(&mut table);
        let after = table.census();
        let released = table.take_released();
        let count = released.len() as u64;
        self.0.releases.fetch_add(count, Ordering::AcqRel);
        self.0.accounts.store(after.accounts, Ordering::Release);
        // Under the lock, as who begins to listen counts from there.
        for one in released {
            // Nobody listens before there is a gateway.
            let _ = self.0.released.send(one);
        }
        drop(table);
        self.note(before, after);
        done
    }

    /// The same, and whoever keeps them on disk hears of it.
    fn change<T>(&self, doing: impl FnOnce(&mut Table) -> T) -> T {
        let done = self.write(doing);
        self.0.changes.send_modify(|count| *count += 1);
        done
    }

    fn note(&self, before: Census, after: Census) {
        let metrics = &self.0.metrics;
        for (at, level) in LEVELS.into_iter().enumerate() {
            metrics.restrictions_known(level, difference(before.levels[at], after.levels[at]));
        }
        metrics.restrictions_waiting(difference(before.waiting, after.waiting));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let census = self
            .table
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .census();
        for (at, level) in LEVELS.into_iter().enumerate() {
            let known = difference(census.levels[at], 0);
            self.metrics.restrictions_known(level, known);
        }
        self.metrics
            .restrictions_waiting(difference(census.waiting, 0));
    }
}

/// Releases that may wait for whoever listens: more than are remembered there.
const RELEASED: usize = 16_384;

const LEVELS: [RestrictionLevel; 4] = [
    RestrictionLevel::Watch,
    RestrictionLevel::Limit,
    RestrictionLevel::Quarantine,
    RestrictionLevel::Suspend,
];

/// The place of a level in [`LEVELS`].
const fn place(level: Level) -> usize {
    match level {
        Level::Watch => 0,
        Level::Limit => 1,
        Level::Quarantine => 2,
        Level::Suspend => 3,
    }
}

fn difference(before: usize, after: usize) -> i64 {
    let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
    signed(after) - signed(before)
}

#[cfg(test)]
mod tests;
