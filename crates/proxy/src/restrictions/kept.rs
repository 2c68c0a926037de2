//! What is kept on disk: all that was known when the process ended, so that nobody is released by a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use sekisho_policy::Timestamp;
use sekisho_runtime::{Clock, Shutdown};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Restrictions;
use super::journal::{self, State};
use super::table::Table;

/// The file is written this long after a change, so that a burst is written once.
const AFTER: Duration = Duration::from_millis(200);
/// What is over is forgotten so often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

impl Restrictions {
    /// Takes over what the file of `namespace` in the state folder holds, if there is one. One that is damaged is put aside, and what
    /// can be read of it holds; the store's word is waited for.
    pub fn recall(&self, state: &Path, namespace: &str) {
        let path = file_of(state, namespace);
        let read = match journal::read(&path) {
            Ok(Some(read)) => read,
            Ok(None) => return,
            Err(error) => {
                put_aside(
                    &path,
                    "until the control plane answers nobody is restricted",
                );
                tracing::error!(path = %path.display(), %error, "the restrictions of the last run cannot be read");
                return;
            }
        };
        match read.state {
            State::Whole => {}
            State::Torn => {
                tracing::warn!(path = %path.display(), "the last restrictions before the process ended were not written to their end");
            }
            State::Damaged => put_aside(&path, "what can be read of them holds"),
        }
        let count = read.book.len();
        tracing::info!(count, namespace, "restrictions of the last run hold");
        self.change(|table| *table = Table::restored(read.head, read.book));
        self.0.queued.notify_one();
        if read.state == State::Damaged
            && let Err(error) = self.write_down(&path)
        {
            tracing::error!(path = %path.display(), %error, "what can be read of a damaged file cannot be written anew");
        }
    }

    /// Keeps the file as new as the restrictions, and forgets what is over, until the process drains. What a disk does not take
    /// is tried again with the next change, and a sweep is one; nobody waits for it.
    pub async fn keep(self, state: PathBuf, namespace: String, clock: Clock, shutdown: Shutdown) {
        let path = file_of(&state, &namespace);
        let mut changes = self.changes();
        let mut ticks = interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            let ends = tokio::select! {
                changed = changes.changed() => changed.is_err(),
                _ = ticks.tick() => {
                    self.sweep(Timestamp(clock.now_ms()));
                    continue;
                }
                () = shutdown.draining() => true,
            };
            if !ends {
                tokio::select! {
                    () = sleep_until(Instant::now() + AFTER) => {}
                    () = shutdown.draining() => {}
                }
            }
            changes.mark_unchanged();
            self.write_to(&path, &mut is_failing).await;
            if ends {
                return;
            }
        }
    }

    /// Writes the file a last time: sessions may impose while the process drains.
    pub async fn save(&self, state: &Path, namespace: &str) {
        self.write_to(&file_of(state, namespace), &mut false).await;
    }

    async fn write_to(&self, path: &Path, is_failing: &mut bool) {
        let (all, to) = (self.clone(), path.to_owned());
        let writing = spawn_blocking(move || all.write_down(&to)).await;
        let written = writing.unwrap_or_else(|error| Err(io::Error::other(error)));
        match written {
            Ok(()) => *is_failing = false,
            Err(error) if !std::mem::replace(is_failing, true) => {
                tracing::error!(path = %path.display(), %error, "restrictions cannot be kept: a restart would forget them until the control plane answers");
            }
            Err(_) => {}
        }
    }

    pub(super) fn write_down(&self, path: &Path) -> io::Result<()> {
        let mut journal = self
            .0
            .journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        journal.write(path, self)
    }
}

pub(super) fn file_of(state: &Path, namespace: &str) -> PathBuf {
    // Names of namespaces are DNS labels.
    state
        .join("restrictions")
        .join(format!("{namespace}.journal"))
}

/// Nothing is lost, and nothing is added to it.
fn put_aside(path: &Path, so: &str) {
    let aside = path.with_extension("damaged");
    tracing::error!(
        path = %path.display(), aside = %aside.display(), so,
        "the file of restrictions is damaged and put aside"
    );
    if let Err(error) = fs::rename(path, &aside) {
        tracing::error!(%error, "a damaged file cannot be put aside");
    }
}
