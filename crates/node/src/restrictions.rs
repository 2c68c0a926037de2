//! The restrictions of accounts in this process: recalled at the start, kept on disk, heard of and told as long as there are
//! sessions.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sekisho_proxy::{Ids, Restrictions};
use sekisho_runtime::health::Component;
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::args::Args;
use crate::control::{self, Backoff, Control, Told};

/// Keeps them until the last session has ended.
pub(crate) struct Keeping {
    restrictions: Restrictions,
    control: Control,
    state: PathBuf,
    namespace: String,
    ending: Shutdown,
    asking: JoinSet<()>,
    writing: JoinHandle<()>,
}

impl Keeping {
    /// Recalls what the last run kept, before any session begins, and asks the control plane.
    pub(crate) fn start(
        args: &Args,
        state: &Path,
        clock: &Clock,
        metrics: &Metrics,
        health: &Health,
    ) -> Result<Self> {
        let restrictions = Restrictions::new(metrics.clone());
        let namespace = args.gateway.namespace.clone();
        restrictions.recall(state, &namespace);
        let (control, ending) = (Control::of(args), Shutdown::new());
        let mut asking = JoinSet::new();
        asking.spawn(control::hear(
            control.clone(),
            restrictions.clone(),
            Told::new("account states", well(health, "account states")),
            backoff()?,
        ));
        asking.spawn(control::tell(
            control.clone(),
            restrictions.clone(),
            Told::new("restrictions", well(health, "restrictions")),
            backoff()?,
        ));
        let (state, ends) = (state.to_owned(), ending.clone());
        let keeping = restrictions.clone();
        let keeping = keeping.keep(state.clone(), namespace.clone(), clock.clone(), ends);
        let writing = tokio::spawn(keeping);
        Ok(Self {
            restrictions,
            control,
            state,
            namespace,
            ending,
            asking,
            writing,
        })
    }

    pub(crate) fn restrictions(&self) -> Restrictions {
        self.restrictions.clone()
    }

    /// Tells the last ones, until `deadline`, and writes them down; the sessions have ended.
    pub(crate) async fn finish(mut self, deadline: Instant) {
        self.ending.begin();
        self.asking.shutdown().await;
        // Two must not write the file at once. What this one could not write, the last attempt below may.
        let _ = self.writing.await;
        let restrictions = &self.restrictions;
        restrictions.put_all_back();
        control::tell_last(&self.control, restrictions, deadline).await;
        restrictions.save(&self.state, &self.namespace).await;
    }
}

fn backoff() -> Result<Backoff> {
    let random = Ids::random().context("the system has no randomness to give")?;
    Ok(Backoff::new(random))
}

/// A component that has nothing to say yet.
fn well(health: &Health, name: &str) -> Component {
    let component = health.component(name);
    component.ok();
    component
}
