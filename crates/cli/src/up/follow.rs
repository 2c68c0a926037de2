//! Follows the files: reads and compiles them when they change, puts in force what is good, and says what is not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sekisho_compile::Diagnostic;
use sekisho_compile::files::Demo;
use sekisho_policy::event::ConfigState;
use sekisho_policy::{Envelope, ObjectRef, Snapshot};
use sekisho_proxy::StateFolder;
use sekisho_runtime::health::Component;
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::gateways::Gateways;
use super::secrets::Secrets;
use super::watch::Watch;
use crate::objects::{Compiled, probe};

/// So often is tried again what could not be put in force although its objects are good, such as a port that is taken.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// So many findings stand in `/readyz`; the log has them all.
const SHOWN: usize = 10;

/// What the files say, and what they said when they were good.
pub(super) struct Follower {
    path: PathBuf,
    watch: Watch,
    clock: Clock,
    metrics: Metrics,
    component: Component,
    secrets: Secrets,
    demos: Vec<Demo>,
    /// Each gateway's newest good snapshot.
    wanted: BTreeMap<ObjectRef, Arc<Envelope>>,
    /// What was wrong when the files were last read.
    diagnostics: Vec<Diagnostic>,
}

/// What could not be put in force, and why.
type Failures = Vec<String>;

impl Follower {
    /// Reads the files for the first time; what is wrong with an object may be made good by the last snapshot on disk.
    ///
    /// # Errors
    /// Files that cannot be read, a gateway that is not valid and never was, or none at all. The findings are in the log.
    pub(super) fn read(
        path: PathBuf,
        state: &StateFolder,
        clock: &Clock,
        metrics: &Metrics,
        health: &Health,
    ) -> Result<Self> {
        probe(&path)
            .with_context(|| format!("the objects in {} cannot be read", path.display()))?;
        let kept = state.all_last_good();
        let names: Vec<ObjectRef> = kept
            .iter()
            .map(|kept| kept.snapshot.gateway.object.clone())
            .collect();
        let mut follower = Self {
            watch: Watch::start(&path, state.path()),
            path,
            clock: clock.clone(),
            metrics: metrics.clone(),
            component: health.component("config"),
            secrets: Secrets::default(),
            demos: Vec::new(),
            wanted: names
                .iter()
                .cloned()
                .zip(kept.into_iter().map(Arc::new))
                .collect(),
            diagnostics: Vec::new(),
        };
        let compiled = follower.compile();
        follower.take(&compiled);
        // A gateway that was deleted while nothing ran.
        for object in names
            .iter()
            .filter(|object| !follower.wanted.contains_key(object))
        {
            state.forget(object);
        }
        if let Some(lost) = compiled
            .gateways
            .keys()
            .find(|object| !follower.wanted.contains_key(object))
        {
            bail!(
                "{lost} has errors, and there are no earlier rules to go on with; mend what is named above"
            );
        }
        follower.secrets.replace(compiled.secrets);
        follower.demos = compiled.demos;
        ensure!(
            !follower.wanted.is_empty(),
            "{} has no MailGateway to run",
            follower.path.display()
        );
        Ok(follower)
    }

    pub(super) fn secrets(&self) -> Secrets {
        self.secrets.clone()
    }

    pub(super) fn demos(&self) -> &[Demo] {
        &self.demos
    }

    /// The snapshots that are in force, or are to be.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.wanted.values().map(|envelope| &envelope.snapshot)
    }

    /// Puts what was read in force.
    ///
    /// # Errors
    /// Why one of the gateways cannot start.
    pub(super) async fn begin(&self, gateways: &Gateways) -> Result<()> {
        for envelope in self.wanted.values() {
            gateways.put_in_force(envelope).await?;
        }
        self.report(&Failures::new());
        Ok(())
    }

    /// Follows the files until the process drains.
    pub(super) async fn follow(
        mut self,
        gateways: Arc<Gateways>,
        shutdown: Shutdown,
        drain: Duration,
    ) {
        let mut failures = Failures::new();
        loop {
            tokio::select! {
                () = self.watch.changed() => {}
                () = sleep(TRY_AGAIN), if !failures.is_empty() => {}
                () = shutdown.draining() => return,
            }
            failures = self.reload(&gateways, drain).await;
            self.report(&failures);
        }
    }

    async fn reload(&mut self, gateways: &Gateways, drain: Duration) -> Failures {
        let readable = probe(&self.path).is_ok();
        gateways
            .set_config_state(if readable {
                ConfigState::Current
            } else {
                ConfigState::Unavailable
            })
            .await;
        let compiled = block_in_place(|| self.compile());
        self.take(&compiled);
        if self.secrets.replace(compiled.secrets) {
            gateways.reload_certificates().await;
        }
        if compiled.demos != self.demos {
            tracing::warn!("the Demo objects changed; that takes effect at the next start");
            self.demos = compiled.demos;
        }
        gateways
            .end_others(|object| self.wanted.contains_key(object), drain)
            .await;
        let mut failures = Failures::new();
        for envelope in self.wanted.values() {
            if let Err(error) = gateways.put_in_force(envelope).await {
                let object = &envelope.snapshot.gateway.object;
                tracing::error!(gateway = %object, error = format!("{error:#}"), "new rules cannot be put in force; the old ones stay");
                failures.push(format!(
                    "{object}: {error:#}; the rules before stay in force"
                ));
            }
        }
        failures
    }

    fn compile(&self) -> Compiled {
        let last = self
            .wanted
            .iter()
            .map(|(object, envelope)| (object.clone(), envelope.snapshot.clone()))
            .collect();
        Compiled::after(&self.path, &last)
    }

    /// Names what is new, and forgets the gateways that were deleted.
    fn take(&mut self, compiled: &Compiled) {
        self.log_news(&compiled.diagnostics);
        self.diagnostics.clone_from(&compiled.diagnostics);
        self.metrics.invalid_objects(compiled.invalid());
        self.wanted
            .retain(|object, _| compiled.gateways.contains_key(object));
        for (object, snapshot) in &compiled.gateways {
            let Some(snapshot) = snapshot else { continue };
            let last = self.wanted.get(object);
            if last.is_some_and(|last| last.snapshot == *snapshot) {
                continue;
            }
            let after = last.map_or(0, |last| last.generation.saturating_add(1));
            let envelope = Envelope::seal(after.max(self.clock.now_ms()), snapshot.clone());
            self.wanted.insert(object.clone(), Arc::new(envelope));
        }
    }

    /// Each finding is logged once for as long as it stands.
    fn log_news(&self, diagnostics: &[Diagnostic]) {
        for diagnostic in diagnostics
            .iter()
            .filter(|diagnostic| !self.diagnostics.contains(diagnostic))
        {
            if diagnostic.is_error() {
                tracing::error!("{diagnostic}");
            } else {
                tracing::warn!("{diagnostic}");
            }
        }
        if diagnostics.is_empty() && !self.diagnostics.is_empty() {
            tracing::info!("the objects are in order again");
        }
    }

    /// Tells `/readyz` what is wrong.
    fn report(&self, failures: &Failures) {
        let errors = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .map(ToString::to_string);
        let wrong: Vec<String> = failures.iter().cloned().chain(errors).collect();
        if wrong.is_empty() {
            self.component.ok();
            return;
        }
        let mut detail = wrong
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        if wrong.len() > SHOWN {
            detail.push_str(&format!("\nand {} more", wrong.len() - SHOWN));
        }
        self.component.degraded(format!(
            "objects with errors keep the rules that they had:\n{detail}"
        ));
    }
}
