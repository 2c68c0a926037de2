//! What accounts have set, as this process knows it: all of it, packed, so that a lookup waits for nobody and goes on when the
//! control plane is away. Names are not kept, only keyed hashes of them (128 bits, so that nobody ever gets another's settings).

mod base;
mod kept;
mod shapes;
mod table;

use std::hash::Hasher as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use sekisho_policy::settings::{Settings, SettingsChanges};
use sekisho_policy::states::{Onto, Part, Rest};
use sekisho_policy::{Account, AccountSettings};
use sekisho_runtime::Metrics;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use tokio::sync::watch;

use kept::Journal;
use table::{Census, End, Key, Table};

/// The settings of the accounts of one namespace. Cloning shares them.
#[derive(Clone, Debug)]
pub struct KnownSettings(Arc<Inner>);

struct Inner {
    secret: RwLock<Secret>,
    table: RwLock<Table>,
    /// What of the table a lookup has to know first, so that most need no lock.
    glance: AtomicU8,
    /// What is to be written down.
    journal: Mutex<Journal>,
    /// Counts changes, for whoever writes them down.
    changes: watch::Sender<u64>,
    metrics: Metrics,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KnownSettings(..)")
    }
}

/// What names are hashed with. It is drawn once, and kept with the hashes.
type Secret = [u8; 16];

/// Nothing was ever heard, and nothing is known.
const UNHEARD: u8 = 0;
/// All was heard, and nobody has any.
const EMPTY: u8 = 1;
/// There is something to be looked up.
const SOME: u8 = 2;

impl KnownSettings {
    /// Nothing was heard yet.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(metrics: Metrics) -> Result<Self, getrandom::Error> {
        let mut secret = Secret::default();
        getrandom::fill(&mut secret)?;
        let table = Table::default();
        note(&metrics, Census::default(), table.census());
        metrics.settings_unheard(1);
        Ok(Self(Arc::new(Inner {
            secret: RwLock::new(secret),
            table: RwLock::new(table),
            glance: AtomicU8::new(UNHEARD),
            journal: Mutex::default(),
            changes: watch::Sender::new(0),
            metrics,
        })))
    }

    /// What the account has set. Never waits for anybody but a change that is being taken over.
    #[must_use]
    pub fn of(&self, account: &Account) -> Settings {
        match self.0.glance.load(Ordering::Relaxed) {
            UNHEARD => return Settings::Unheard,
            EMPTY => return Settings::None,
            _ => {}
        }
        let key = key(&self.secret(), account);
        let table = self.read();
        match table.find(&key) {
            Some(settings) => Settings::Own(settings),
            None if table.was_heard() => Settings::None,
            None => Settings::Unheard,
        }
    }

    /// Takes over what the control plane says.
    pub fn apply(&self, said: &SettingsChanges) {
        let is_last = said.rest == Rest::Nothing;
        let changed = !said.changes.is_empty() || said.onto == Onto::Nothing;
        let secret = self.secret();
        let keys = said
            .changes
            .iter()
            .map(|change| key(&secret, &change.account));
        let keys: Vec<Key> = keys.collect();
        let all = || keys.iter().zip(&said.changes);
        let was_whole = self.write(|table| {
            if !table.goes_on(said.onto, said.store.as_deref()) {
                return None;
            }
            let was_whole = table.begin(said.onto, said.store.as_deref());
            for (key, change) in all() {
                table.set(*key, change.settings.as_ref());
            }
            table.end(End {
                revision: said.revision,
                horizon: said.horizon,
                is_last,
            });
            Some(was_whole)
        });
        let Some(was_whole) = was_whole else { return };
        if !changed && !was_whole {
            return;
        }
        if was_whole {
            // Nothing is written of a whole that is on its way: it would be a mix of two.
            self.journal().is_stale = true;
        } else {
            let changes = all().map(|(key, change)| (key, change.settings.as_ref()));
            self.journal().add(said.revision, changes);
        }
        if is_last || !was_whole {
            self.0.changes.send_modify(|count| *count += 1);
        }
    }

    /// What to ask for next: what came after this revision, or the next part of an answer. Zero asks for the whole.
    #[must_use]
    pub fn question(&self) -> (u64, Part) {
        self.read().question()
    }

    /// Asks for the whole the next time: whatever was missed is mended then.
    pub fn ask_for_whole(&self) {
        self.write(Table::ask_for_whole);
    }

    /// How many accounts have settings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().census().accounts
    }

    /// Whether no account has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many accounts have settings here of which the control plane's store knows nothing, and does not say that they were reset.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.read().missing()
    }

    /// Whether all was heard, now or in an earlier run.
    #[must_use]
    pub fn were_heard(&self) -> bool {
        self.read().was_heard()
    }

    fn secret(&self) -> Secret {
        *self.0.secret.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.0
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, doing: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.0.table.write().unwrap_or_else(PoisonError::into_inner);
        let before = table.census();
        let done = doing(&mut table);
        let after = table.census();
        let glance = match after {
            Census {
                accounts: 0,
                heard: true,
            } => EMPTY,
            Census {
                accounts: 0,
                heard: false,
            } => UNHEARD,
            Census { .. } => SOME,
        };
        self.0.glance.store(glance, Ordering::Relaxed);
        drop(table);
        note(&self.0.metrics, before, after);
        done
    }
}

fn note(metrics: &Metrics, before: Census, after: Census) {
    let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
    metrics.settings_known(signed(after.accounts) - signed(before.accounts));
    metrics.settings_unheard(i64::from(before.heard) - i64::from(after.heard));
}

impl Drop for Inner {
    fn drop(&mut self) {
        let table = self.table.get_mut().unwrap_or_else(PoisonError::into_inner);
        let census = table.census();
        note(
            &self.metrics,
            census,
            Census {
                accounts: 0,
                heard: true,
            },
        );
    }
}

/// Under what an account's settings are found.
fn key(secret: &Secret, account: &Account) -> Key {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(account.as_str().as_bytes());
    hasher.finish128().as_bytes()
}

/// Settings of an account, absent where it has none.
type Maybe<'a> = Option<&'a AccountSettings>;

#[cfg(test)]
mod tests;
