//! The brake of a gateway: counts what rules do to known-good sessions and holds in shadow those that do too much.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sekisho_policy::brake::{Brake, Trip};
use sekisho_policy::event::{Event, Network};
use sekisho_policy::{Decision, ObjectRef, Ruleset};
use sekisho_runtime::metrics::GatewayMetrics;

/// What has tripped survives a new snapshot; only a reset ends it.
#[derive(Debug)]
pub(crate) struct Brakes {
    brake: Mutex<Brake>,
    /// A copy for events, so that judging takes no lock.
    tripped: ArcSwap<Vec<ObjectRef>>,
    metrics: GatewayMetrics,
}

impl Brakes {
    pub(crate) fn new(metrics: GatewayMetrics) -> Self {
        Self {
            brake: Mutex::default(),
            tripped: ArcSwap::default(),
            metrics,
        }
    }

    /// The rules to be judged as `Shadow`.
    pub(crate) fn tripped(&self) -> Arc<Vec<ObjectRef>> {
        self.tripped.load_full()
    }

    /// Counts one decision.
    pub(crate) fn observe(&self, rules: &Ruleset, event: &Event, decision: &Decision) {
        if decision.network != Network::KnownGood {
            // The brake would not count it; most sessions need not wait for its lock.
            return;
        }
        let trips = self.lock().observe(rules, event, decision);
        for trip in &trips {
            let Trip {
                object,
                refused,
                seen,
                ..
            } = trip;
            tracing::error!(
                rule = %object, refused, seen,
                "brake tripped: the rule refused too many known-good accounts and is held in shadow until it is reset"
            );
            self.metrics.brake_tripped(&object.to_string());
        }
        if !trips.is_empty() {
            self.publish();
        }
    }

    /// Puts a rule back in force; whether it had tripped.
    pub(crate) fn reset(&self, object: &ObjectRef) -> bool {
        let had_tripped = self.lock().reset(object);
        if had_tripped {
            self.publish();
            self.metrics.brake_reset(&object.to_string());
            tracing::info!(rule = %object, "brake reset: the rule is in force again");
        }
        had_tripped
    }

    /// Forgets rules that are no longer there.
    pub(crate) fn retain(&self, rules: &Ruleset) {
        let before = self.tripped();
        self.lock().retain(rules);
        self.publish();
        let after = self.tripped();
        for gone in before.iter().filter(|object| !after.contains(object)) {
            self.metrics.brake_reset(&gone.to_string());
        }
    }

    /// What has tripped, and when.
    pub(crate) fn trips(&self) -> Vec<Trip> {
        self.lock().tripped().to_vec()
    }

    fn publish(&self) {
        let tripped = self
            .lock()
            .tripped()
            .iter()
            .map(|trip| ObjectRef::clone(&trip.object))
            .collect();
        self.tripped.store(Arc::new(tripped));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Brake> {
        self.brake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
