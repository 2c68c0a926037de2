//! Readiness by component, and liveness: what `/readyz` and `/healthz` say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Whether the process should be sent work. Cloning shares the registry.
#[derive(Clone, Debug, Default)]
pub struct Health {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    components: BTreeMap<String, Condition>,
    /// The name of the first vital task that ended without being asked to.
    dead: Option<String>,
}

#[derive(Clone, Debug)]
struct Condition {
    state: State,
    detail: String,
}

/// How well a component does. The worst of them is the state of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    /// Something is wrong, and the process still does its work.
    Degraded,
    /// Send no work here.
    NotReady,
}

/// What `/readyz` answers, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub status: State,
    pub components: Vec<ComponentReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentReport {
    pub name: String,
    pub status: State,
    /// What is wrong and where; empty when nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Report {
    /// Whether work may be sent to whoever reports this; a degraded process takes work.
    pub fn is_ready(&self) -> bool {
        self.status != State::NotReady
    }
}

impl Health {
    /// Registers a component (or takes it over); it is not ready until it says otherwise.
    pub fn component(&self, name: &str) -> Component {
        let component = Component {
            health: self.clone(),
            name: name.to_owned(),
        };
        component.set(State::NotReady, "starting");
        component
    }

    /// The state of every component and the worst of them. With no component at all nothing is ready.
    pub fn report(&self) -> Report {
        let inner = self.lock();
        let components: Vec<_> = inner
            .components
            .iter()
            .map(|(name, c)| ComponentReport {
                name: name.clone(),
                status: c.state,
                detail: c.detail.clone(),
            })
            .collect();
        let status = components
            .iter()
            .map(|c| c.status)
            .max()
            .unwrap_or(State::NotReady);
        Report { status, components }
    }

    /// Whether work may be sent here; a degraded process takes work.
    pub fn is_ready(&self) -> bool {
        self.report().is_ready()
    }

    /// What a readiness probe is told: [`Health::report`], and that a process that drains takes no more work.
    pub fn readiness(&self, draining: bool) -> Report {
        let mut report = self.report();
        if draining {
            report.status = State::NotReady;
        }
        report
    }

    /// What a liveness probe is told.
    ///
    /// # Errors
    /// Why the process must be started anew.
    pub fn liveness(&self) -> Result<&'static str, String> {
        match self.dead_task() {
            None => Ok("ok\n"),
            Some(task) => Err(format!(
                "the task {task} ended on its own; the process must be started anew"
            )),
        }
    }

    /// A task that must not end while the process runs. If it panics, or returns without
    /// [`Vital::finish`], the process is no longer live and should be started anew.
    pub fn vital(&self, task: &str) -> Vital {
        Vital {
            health: self.clone(),
            task: task.to_owned(),
            finished: false,
        }
    }

    /// The vital task that died, or `None` while the process is live.
    pub fn dead_task(&self) -> Option<String> {
        self.lock().dead.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One component's line in the report.
#[derive(Clone, Debug)]
pub struct Component {
    health: Health,
    name: String,
}

impl Component {
    pub fn ok(&self) {
        self.set(State::Ok, "");
    }

    pub fn degraded(&self, detail: impl Into<String>) {
        self.set(State::Degraded, detail);
    }

    pub fn not_ready(&self, detail: impl Into<String>) {
        self.set(State::NotReady, detail);
    }

    /// Takes the component out of the report.
    pub fn remove(&self) {
        self.health.lock().components.remove(&self.name);
    }

    fn set(&self, state: State, detail: impl Into<String>) {
        let condition = Condition {
            state,
            detail: detail.into(),
        };
        self.health
            .lock()
            .components
            .insert(self.name.clone(), condition);
    }
}

/// Held by a vital task while it runs.
#[derive(Debug)]
pub struct Vital {
    health: Health,
    task: String,
    finished: bool,
}

impl Vital {
    /// The task ends because it was asked to.
    pub fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.finished {
            self.health
                .lock()
                .dead
                .get_or_insert_with(|| self.task.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_component_decides() {
        let health = Health::default();
        assert!(!health.is_ready(), "nothing is registered yet");
        let store = health.component("store");
        let config = health.component("config");
        assert_eq!(health.report().components[1].detail, "starting");
        store.ok();
        assert!(!health.is_ready(), "config has not started");
        config
            .degraded("RateLimit/default/hourly keeps its last good rules: count must be positive");
        assert!(health.is_ready());
        assert_eq!(
            serde_json::to_value(health.report()).expect("plain data"),
            serde_json::json!({
                "status": "degraded",
                "components": [
                    { "name": "config", "status": "degraded",
                      "detail": "RateLimit/default/hourly keeps its last good rules: count must be positive" },
                    { "name": "store", "status": "ok" },
                ],
            })
        );
        store.not_ready("disk full");
        assert_eq!(health.report().status, State::NotReady);
        store.remove();
        config.ok();
        assert_eq!(health.report().status, State::Ok);
    }

    #[test]
    fn a_vital_task_that_panics_ends_liveness_and_one_that_finishes_does_not() {
        let health = Health::default();
        health.vital("listener").finish();
        assert_eq!(health.dead_task(), None);
        let vital = health.vital("ledger");
        let panicked = std::thread::spawn(move || {
            let _vital = vital;
            panic!("as a test");
        });
        assert!(panicked.join().is_err());
        assert_eq!(health.dead_task().as_deref(), Some("ledger"));
    }
}
