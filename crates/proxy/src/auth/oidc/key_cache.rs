//! The keys of an identity provider: fetched one request at a time, kept while it is away, and not fetched more often because
//! somebody shows tokens with invented keys.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use super::super::remote::{RemoteFault, Service};
use super::super::token::keys::Keys;
use super::discovery::Source;
use crate::outbound::NoAnswer;

/// What two requests of one fetch may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// When keys are fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Keys that are older are fetched anew.
    pub(super) refresh: Duration,
    /// For so long after a fetch a token with an unknown key is no reason for another one.
    pub(super) unknown: Duration,
    /// For so long after a fetch that failed there is no other.
    pub(super) rest: Duration,
    /// Keys that are older are not trusted: who withdrew one must be sure that it is.
    pub(super) stale: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(300),
            unknown: Duration::from_secs(30),
            rest: Duration::from_secs(10),
            stale: Duration::from_secs(24 * 3600),
        }
    }
}

#[derive(Debug)]
pub(super) struct KeyCache {
    source: Source,
    service: Arc<Service>,
    pace: Pace,
    state: Mutex<State>,
    /// Held by the one that fetches.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Option<(Arc<Keys>, Instant)>,
    /// When the last fetch ended.
    tried: Option<Instant>,
    /// Why it failed, if it did.
    trouble: Option<String>,
}

impl KeyCache {
    pub(super) fn new(source: Source, service: Arc<Service>, pace: Pace) -> Self {
        Self {
            source,
            service,
            pace,
            state: Mutex::default(),
            flight: Arc::default(),
        }
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// The keys, which are fetched first if there are none that can be trusted.
    pub(super) async fn now(self: &Arc<Self>, deadline: Instant) -> Result<Arc<Keys>, RemoteFault> {
        if let Some(keys) = self.trusted() {
            return Ok(keys);
        }
        self.fetch_unless(deadline, || self.trusted().is_some())
            .await?;
        self.trusted().ok_or(RemoteFault::Resting)
    }

    /// Keys that are newer than `known`, among which a token's is not, if there are.
    pub(super) async fn newer(
        self: &Arc<Self>,
        known: &Arc<Keys>,
        deadline: Instant,
    ) -> Result<Option<Arc<Keys>>, RemoteFault> {
        let newer = || self.trusted().filter(|keys| !Arc::ptr_eq(keys, known));
        let settled = || newer().is_some() || self.tried_within(self.pace.unknown);
        self.fetch_unless(deadline, settled).await?;
        match newer() {
            Some(keys) => Ok(Some(keys)),
            // It may have the key and could not be asked.
            None if self.state().trouble.is_some() => Err(RemoteFault::Resting),
            None => Ok(None),
        }
    }

    /// Begins to fetch where that is due and nobody does.
    pub(super) fn tend(this: &Arc<Self>) {
        if this.is_due()
            && let Ok(flight) = Arc::clone(&this.flight).try_lock_owned()
        {
            drop(this.take_off(flight));
        }
    }

    fn is_due(&self) -> bool {
        let state = self.state();
        let pause = match state.trouble {
            Some(_) => self.pace.rest,
            None => self.pace.refresh,
        };
        state.tried.is_none_or(|at| at.elapsed() >= pause)
    }

    /// Fetches, one at a time, unless it is `settled` or the last fetch has just failed. A fetch goes on though whoever began it
    /// gives up: others wait for it.
    async fn fetch_unless(
        self: &Arc<Self>,
        deadline: Instant,
        settled: impl Fn() -> bool,
    ) -> Result<(), RemoteFault> {
        if settled() {
            return Ok(());
        }
        let late = |_| RemoteFault::from(NoAnswer::Timeout);
        let flight = timeout_at(deadline, Arc::clone(&self.flight).lock_owned());
        let flight = flight.await.map_err(late)?;
        if settled() {
            return Ok(());
        }
        if self.state().trouble.is_some() && self.tried_within(self.pace.rest) {
            return Err(RemoteFault::Resting);
        }
        let landed = timeout_at(deadline, self.take_off(flight)).await;
        // What became of it is in the state.
        landed.map(drop).map_err(late)
    }

    fn take_off(self: &Arc<Self>, flight: OwnedMutexGuard<()>) -> tokio::task::JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let deadline = Instant::now() + PATIENCE;
            let fetched = this.source.fetch(&this.service, deadline).await;
            this.land(fetched);
            drop(flight);
        })
    }

    fn land(&self, fetched: Result<Keys, RemoteFault>) {
        let now = Instant::now();
        let mut state = self.state();
        state.tried = Some(now);
        match fetched {
            Ok(keys) => {
                // The same keys stay the same to those that look whether there are newer ones.
                let keys = match state.keys.take() {
                    Some((known, _)) if *known == keys => known,
                    _ => Arc::new(keys),
                };
                state.keys = Some((keys, now));
                state.trouble = None;
            }
            Err(fault) => {
                tracing::warn!(%fault, source = ?self.source, "the keys of an identity provider cannot be fetched");
                state.trouble = Some(fault.to_string());
            }
        }
    }

    fn trusted(&self) -> Option<Arc<Keys>> {
        let state = self.state();
        let (keys, fetched) = state.keys.as_ref()?;
        (fetched.elapsed() < self.pace.stale).then(|| Arc::clone(keys))
    }

    fn tried_within(&self, pause: Duration) -> bool {
        self.state().tried.is_some_and(|at| at.elapsed() < pause)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
