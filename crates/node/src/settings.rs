//! What accounts have set, in this process: recalled at the start, heard of as long as there are sessions, kept on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sekisho_proxy::{Ids, KnownSettings};
use sekisho_runtime::{Health, Metrics, Shutdown};
use tokio::task::JoinHandle;

use crate::args::Args;
use crate::control::{self, Backoff, Control, Told};

/// Follows them until the last session has ended.
pub(crate) struct Following {
    known: KnownSettings,
    ending: Shutdown,
    asking: JoinHandle<()>,
    writing: JoinHandle<()>,
}

impl Following {
    /// Recalls what the last run kept, before any session begins, and asks the control plane.
    pub(crate) fn start(
        args: &Args,
        state: &Path,
        metrics: &Metrics,
        health: &Health,
    ) -> Result<Self> {
        let known = KnownSettings::new(metrics.clone()).context(NO_RANDOMNESS)?;
        let namespace = args.gateway.namespace.clone();
        known.recall(state, &namespace);
        let component = health.component("account settings");
        if known.were_heard() {
            component.ok();
        } else {
            component.degraded("not heard yet: the defaults of the rules hold for every account");
        }
        let backoff = Backoff::new(Ids::random().context(NO_RANDOMNESS)?);
        let asking = control::hear_settings(
            Control::of(args),
            known.clone(),
            Told::new("account settings", component),
            backoff,
        );
        let ending = Shutdown::new();
        let state: PathBuf = state.to_owned();
        let writing = known.clone().keep(state, namespace, ending.clone());
        Ok(Self {
            known,
            ending,
            asking: tokio::spawn(asking),
            writing: tokio::spawn(writing),
        })
    }

    pub(crate) fn known(&self) -> KnownSettings {
        self.known.clone()
    }

    /// Writes down what was heard last; the sessions have ended.
    pub(crate) async fn finish(self) {
        self.asking.abort();
        self.ending.begin();
        // What it could not write, the control plane knows.
        let _ = self.writing.await;
    }
}

const NO_RANDOMNESS: &str = "the system has no randomness to give";
