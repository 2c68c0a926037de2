//! What is kept on disk: all that was known when the process ended, so that nobody is released by a restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sekisho_policy::{Account, Restriction, Timestamp};
use sekisho_runtime::{Clock, Shutdown};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Restrictions;
use super::table::Told;
use crate::state_folder::write_atomically;

/// The file is written this long after a change, so that a burst is written once.
const AFTER: Duration = Duration::from_millis(200);
/// What is over is forgotten so often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// The most octets of the file that are read.
const LARGEST: u64 = 512 << 20;

/// Restrictions as a file holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kept {
    /// The store's revision that they are of.
    pub(super) revision: u64,
    pub(super) restrictions: Vec<KeptEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptEntry {
    pub(super) account: Account,
    pub(super) restriction: Restriction,
    pub(super) told: KeptTold,
}

/// [`Told`] as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum KeptTold {
    Known,
    Waiting,
    At(u64),
}

impl From<Told> for KeptTold {
    fn from(told: Told) -> Self {
        match told {
            Told::Known => Self::Known,
            Told::Waiting => Self::Waiting,
            Told::At(revision) => Self::At(revision),
        }
    }
}

impl From<KeptTold> for Told {
    fn from(told: KeptTold) -> Self {
        match told {
            KeptTold::Known => Self::Known,
            KeptTold::Waiting => Self::Waiting,
            KeptTold::At(revision) => Self::At(revision),
        }
    }
}

impl Restrictions {
    /// Takes over what the file of `namespace` in the state folder holds, if there is one. One that is damaged is put aside, so
    /// that the process starts, and the store's word is waited for.
    pub fn recall(&self, state: &Path, namespace: &str) {
        let path = file_of(state, namespace);
        match read(&path) {
            Ok(Some(kept)) => {
                let count = kept.restrictions.len();
                tracing::info!(count, namespace, "restrictions of the last run hold");
                self.restore(kept);
            }
            Ok(None) => {}
            Err(error) => {
                let aside = path.with_extension("damaged");
                tracing::error!(
                    path = %path.display(), %error, aside = %aside.display(),
                    "the restrictions of the last run cannot be read and are put aside; until the control plane answers nobody is restricted"
                );
                if let Err(error) = fs::rename(&path, &aside) {
                    tracing::error!(%error, "a damaged file cannot be put aside");
                }
            }
        }
    }

    /// Keeps the file as new as the restrictions, and forgets what is over, until the process drains. What a disk does not take
    /// is tried again with the next change; nobody waits for it.
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
        let (kept, to) = (self.kept(), path.to_owned());
        let writing = spawn_blocking(move || write(&to, &kept)).await;
        let written = writing.unwrap_or_else(|error| Err(io::Error::other(error)));
        match written {
            Ok(()) => *is_failing = false,
            Err(error) if !std::mem::replace(is_failing, true) => {
                tracing::error!(path = %path.display(), %error, "restrictions cannot be kept: a restart would forget them until the control plane answers");
            }
            Err(_) => {}
        }
    }
}

fn file_of(state: &Path, namespace: &str) -> PathBuf {
    // Names of namespaces are DNS labels.
    state.join("restrictions").join(format!("{namespace}.json"))
}

fn read(path: &Path) -> io::Result<Option<Kept>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > LARGEST {
        return Err(io::Error::other(format!("it has {length} octets")));
    }
    Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    write_atomically(path, &serde_json::to_vec(kept)?)
}
