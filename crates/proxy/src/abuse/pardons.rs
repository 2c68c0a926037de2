//! Releases of which counters have not heard. Each proxy hears of a release at its own time, and says when it was: what came since stays,
//! points, locks and days alike, however late or often it is said. Where counters do not answer it is owed, and tried again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_policy::event::Event;
use sekisho_policy::restriction::Origin;
use sekisho_policy::states::disowned_by_both;
use sekisho_policy::{Account, ObjectRef, Span, Timestamp, Unavailable};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use crate::engine::Engine;
use crate::live::Live;
use crate::restrictions::Released;
use crate::shared::Shared;

/// The most that are owed at once: some 2 MB.
const MOST: usize = 10_000;
/// The pause after counters did not answer; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is owed: to whom, and under which rule (`None` is all of them).
#[derive(Debug, Default)]
pub(crate) struct Pardons {
    /// How many there are. While it is none, nobody takes the lock.
    count: AtomicUsize,
    owed: Mutex<Owed>,
    /// Of how many releases what they forgive is forgotten, or owed.
    heard: AtomicU64,
}

type Owed = BTreeMap<Account, BTreeMap<Option<ObjectRef>, Pardon>>;

/// What is owed to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pardon {
    /// Up to when what it did is forgotten.
    before: Timestamp,
    /// Of when it is forgotten where it came from.
    disowned: Option<Span>,
}

impl Pardon {
    fn and(self, later: Self) -> Self {
        Self {
            before: self.before.max(later.before),
            disowned: disowned_by_both(self.disowned, later.disowned),
        }
    }
}

impl Pardons {
    /// Whether something that an account did is still to be forgotten.
    pub(super) fn owes(&self, account: &Account) -> bool {
        self.count.load(Ordering::Relaxed) > 0 && self.lock().contains_key(account)
    }

    /// Begins to listen after so many releases.
    pub(crate) fn begin(&self, releases: u64) {
        self.heard.store(releases, Ordering::Release);
    }

    fn hear(&self, releases: u64) {
        self.heard.fetch_add(releases, Ordering::AcqRel);
    }

    /// Whether there is room for it.
    fn owe(&self, account: Account, rule: Option<ObjectRef>, pardon: Pardon) -> bool {
        let mut owed = self.lock();
        let room = owed.len() < MOST || owed.contains_key(&account);
        if room {
            let of = owed.entry(account).or_default();
            let both = of.get(&rule).map_or(pardon, |earlier| earlier.and(pardon));
            of.insert(rule, both);
        }
        self.count.store(owed.len(), Ordering::Relaxed);
        room
    }

    fn of(&self, account: &Account) -> Vec<(Option<ObjectRef>, Pardon)> {
        let owed = self.lock();
        let of = owed.get(account).into_iter().flatten();
        of.map(|(rule, pardon)| (rule.clone(), *pardon)).collect()
    }

    fn accounts(&self) -> Vec<Account> {
        self.lock().keys().cloned().collect()
    }

    /// That much of it was done; what was owed meanwhile is owed still.
    fn done(&self, account: &Account, done: &[(Option<ObjectRef>, Pardon)]) {
        let mut owed = self.lock();
        if let Some(of) = owed.get_mut(account) {
            for (rule, pardon) in done {
                if of.get(rule) == Some(pardon) {
                    of.remove(rule);
                }
            }
            if of.is_empty() {
                owed.remove(account);
            }
        }
        self.count.store(owed.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Owed> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Whether what counters say of an account may be what somebody forgave it a moment ago.
    pub(super) fn is_in_doubt(&self, event: &Event) -> bool {
        let is_unheard = self.restrictions.releases() > self.pardons.heard.load(Ordering::Acquire);
        is_unheard || super::account_of(event).is_some_and(|account| self.pardons.owes(account))
    }

    /// Forgets what an account is owed to be forgotten, where counters answer.
    pub(super) async fn pardon(&self, live: &Live, account: &Account, now: Timestamp) {
        // Who waits for it is told by the next try.
        let _ = self.try_to_pardon(live, account, now).await;
    }

    async fn try_to_pardon(
        &self,
        live: &Live,
        account: &Account,
        now: Timestamp,
    ) -> Result<(), Unavailable> {
        let owed = self.pardons.of(account);
        let pardon = |(rule, pardon): &(Option<ObjectRef>, Pardon)| {
            let mut ops = live
                .rules
                .pardon(account, rule.as_ref(), pardon.before, now);
            let days = pardon.disowned.map(|span| live.rules.disown(account, span));
            ops.extend(days);
            ops
        };
        let ops: Vec<_> = owed.iter().flat_map(pardon).collect();
        if !ops.is_empty() {
            let counters = self.tallies.now();
            // What was counted alone while they were out is forgotten too.
            counters.apply_alone(now, &ops);
            counters.apply(now, &ops).await?;
        }
        self.pardons.done(account, &owed);
        Ok(())
    }

    /// Pays all that is owed, as long as counters answer.
    async fn pay(&self, live: &Live, now: Timestamp) -> Result<(), Unavailable> {
        for account in self.pardons.accounts() {
            self.try_to_pardon(live, &account, now).await?;
        }
        Ok(())
    }

    fn owe(&self, released: Released) {
        let Released {
            account,
            origin,
            at,
            disowned,
        } = released;
        let rule = match origin {
            None => None,
            Some(Origin::Rule(rule)) => Some(rule),
            // What the desk had said is taken back, and nothing that a rule counted.
            Some(Origin::Desk) => return,
        };
        let pardon = Pardon {
            before: at,
            disowned,
        };
        let room = self.pardons.owe(account.clone(), rule, pardon);
        if !room {
            tracing::error!(
                account = account.as_str(),
                most = MOST,
                "too many accounts were released while counters do not answer: old points of one are not forgotten, and its lock stays"
            );
        }
    }
}

/// Forgets what counters hold against accounts that somebody releases, until the process drains.
pub(crate) async fn pardon_released(shared: Arc<Shared>, mut released: Receiver<Released>) {
    let engine = &shared.engine;
    let mut trouble: Option<(Instant, Duration)> = None;
    loop {
        let again = trouble.map_or_else(Instant::now, |(at, _)| at);
        tokio::select! {
            () = shared.shutdown.draining() => return,
            heard = released.recv() => match heard {
                Ok(one) => {
                    engine.owe(one);
                    engine.pardons.hear(1);
                }
                Err(RecvError::Lagged(missed)) => {
                    engine.pardons.hear(missed);
                    tracing::error!(missed, "accounts were released faster than their points and locks could be forgotten");
                    continue;
                }
                Err(RecvError::Closed) => return,
            },
            () = sleep_until(again), if trouble.is_some() => trouble = trouble.map(|(_, pause)| (Instant::now(), pause)),
        }
        if trouble.is_some_and(|(at, _)| at > Instant::now()) {
            continue;
        }
        match engine.pay(&shared.live(), shared.now()).await {
            Ok(()) => trouble = None,
            Err(unavailable) => {
                let pause = trouble.map_or(FIRST_PAUSE, |(_, pause)| pause * 2);
                let pause = pause.min(LONGEST_PAUSE);
                if trouble.is_none() {
                    tracing::warn!(%unavailable, "accounts were released, and their old points and locks cannot be forgotten yet; it is tried again");
                }
                trouble = Some((Instant::now() + pause, pause));
            }
        }
    }
}
