//! The loop: takes what the watches say, and decides when it is quiet for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use sekisho_policy::{Envelope, Fleet};
use sekisho_runtime::{Clock, Metrics, Shutdown};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::decide::{Memory, Tools, Writes};
use crate::dirty::Dirty;
use crate::index::{Index, Label, Touched, Watched};
use crate::lease::Leadership;
use crate::watch::Change;
use crate::writer::Done;

/// So long the first lists may take before what cannot be read is complained of, again and again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A proxy that lost its replica tries another within 15 seconds.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);

/// Serves what is published: the other end is the HTTP server of this replica.
pub trait Publish: Send + Sync {
    /// Serves this envelope to its gateway's proxies from now on, in the JSON in which it was written.
    fn publish(&self, envelope: &Arc<Envelope>, written: &Arc<[u8]>);
    /// Serves nothing more for a gateway (`namespace/name`).
    fn withdraw(&self, gateway: &str);
    /// Everything that is there has been published: what is not there does not exist.
    fn complete(&self);
}

/// What the loop hears.
pub(crate) struct Ears {
    pub(crate) seen: mpsc::Receiver<(Label, Change)>,
    pub(crate) fleet: watch::Receiver<Arc<Fleet>>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) authorities: watch::Receiver<String>,
    pub(crate) cluster_keys: watch::Receiver<crate::cluster_keys::Known>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) findings: mpsc::UnboundedReceiver<crate::secrets::Finding>,
}

/// The loop and what it knows.
pub(crate) struct Operator {
    pub(crate) index: Index,
    pub(crate) ears: Ears,
    pub(crate) tools: Tools,
    pub(crate) memory: Memory,
    pub(crate) publisher: Arc<dyn Publish>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) dirty: Dirty,
    pub(crate) leads: bool,
    /// When every proxy will have been heard of since this replica leads.
    pub(crate) settled: Option<Instant>,
    pub(crate) said_complete: bool,
    /// When those namespaces that can be read are no longer kept waiting by those that cannot.
    pub(crate) impatient: Option<Instant>,
    /// How long the turns took that were given together.
    pub(crate) spent: Duration,
}

impl Operator {
    /// Runs until the process drains.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let due = self.dirty.due();
            tokio::select! {
                seen = self.ears.seen.recv() => match seen {
                    Some((label, change)) => self.take(&label, change),
                    None => return,
                },
                Ok(()) = self.ears.fleet.changed() => self.fleet_changed(),
                Ok(()) = self.ears.leadership.changed() => self.leadership_changed(),
                Ok(()) = self.ears.authorities.changed() => {
                    self.tools.authorities = self.ears.authorities.borrow_and_update().clone();
                    self.everything();
                }
                Ok(()) = self.ears.cluster_keys.changed() => self.everything(),
                Some(done) = self.ears.done.recv() => self.take_outcome(&done),
                Some(finding) = self.ears.findings.recv() => {
                    let namespace = finding.gateway.namespace.clone();
                    if self.memory.take_finding(finding) {
                        self.dirty.add_calmly([namespace]);
                    }
                }
                () = until(due) => self.dirty.give_turns(),
                () = ready(()), if self.dirty.has_turns() => self.decide_next(),
                () = until(self.impatient) => self.give_up_waiting(),
                () = until(self.settled) => {
                    self.settled = None;
                    self.everything();
                }
                () = shutdown.draining() => return,
            }
        }
    }

    fn take(&mut self, label: &Label, change: Change) {
        let Touched {
            namespaces,
            echoes,
            snapshots,
        } = self.index.take(label, change, self.clock.now_ms());
        for (namespace, gateway) in snapshots {
            self.serve(&namespace, &gateway);
        }
        if label.of == Watched::NetworkPolicies && !namespaces.is_empty() {
            // Their statuses say what reopens the way, in whatever namespace.
            self.dirty.add_calmly(self.index.blocking());
        }
        self.dirty.add(namespaces);
        self.dirty.add_calmly(echoes);
        if !self.said_complete && self.index.is_complete() {
            tracing::info!("everything that is in the cluster has been read");
            self.complete();
        } else if let Some(namespace) = &label.namespace
            && self.index.is_read(namespace)
        {
            self.dirty.add([namespace.clone()]);
        }
    }

    fn complete(&mut self) {
        self.said_complete = true;
        self.impatient = None;
        self.publisher.complete();
        self.everything();
        // Together, since after these turns every gateway is known.
        self.dirty.give_all_turns();
    }

    /// Goes on with the namespaces that could be read, if there are any.
    fn give_up_waiting(&mut self) {
        let awaited: Vec<String> = self
            .index
            .awaited()
            .map(|label| format!("{label:?}"))
            .collect();
        let any = self
            .index
            .namespaces
            .keys()
            .any(|namespace| self.index.is_read(namespace));
        tracing::error!(
            awaited = awaited.join(", "),
            "not everything can be read; what cannot is left as it is"
        );
        self.impatient = Some(Instant::now() + PATIENCE);
        if any && !self.said_complete {
            self.complete();
        }
    }

    /// Serves what lies in the snapshot object; what was deleted by mistake is served on.
    fn serve(&self, namespace: &str, gateway: &str) {
        let held = self.index.namespaces.get(namespace);
        let exists = held.is_some_and(|held| held.has_gateway(gateway));
        match held.and_then(|held| held.snapshots.of(gateway)) {
            Some(stored) if exists => self.publisher.publish(&stored.envelope, &stored.written),
            _ if exists => {}
            _ => self.publisher.withdraw(&format!("{namespace}/{gateway}")),
        }
    }

    fn fleet_changed(&mut self) {
        let fleet = self.ears.fleet.borrow_and_update().clone();
        let touched = changed_namespaces(&self.tools.fleet, &fleet);
        self.tools.fleet = fleet;
        self.dirty.add_calmly(touched);
    }

    fn leadership_changed(&mut self) {
        let leads = self.ears.leadership.borrow_and_update().may_write();
        if leads != self.leads {
            self.leads = leads;
            self.settled = leads.then(|| Instant::now() + SETTLES_WITHIN);
            self.metrics.leads(leads);
            // What was wished for as another holder's is decided anew, from what is there now.
            self.memory = Memory::default();
            self.everything();
            // Together, since what no gateway has any more is swept after these turns.
            self.dirty.give_all_turns();
        }
    }

    fn take_outcome(&mut self, done: &Done) {
        if let Some(namespace) = self.memory.take_outcome(done) {
            self.dirty.add_calmly([namespace]);
        }
    }

    fn everything(&mut self) {
        let all: Vec<String> = self.index.namespaces.keys().cloned().collect();
        self.dirty.add(all);
    }

    /// Looks at one namespace: what is heard meanwhile, snapshots above all, does not wait for the others.
    fn decide_next(&mut self) {
        let started = Instant::now();
        let now_ms = self.clock.now_ms();
        let writes = match self.settled {
            _ if !self.leads => Writes::No,
            Some(at) if Instant::now() < at => Writes::Settling,
            _ => Writes::Yes,
        };
        let next = self.dirty.next();
        if let Some(namespace) = next.filter(|namespace| self.index.is_read(namespace)) {
            tokio::task::block_in_place(|| {
                self.memory
                    .decide(&self.index, &namespace, &self.tools, writes, now_ms);
            });
        }
        self.spent += started.elapsed();
        if !self.dirty.has_turns() {
            self.all_decided();
        }
    }

    fn all_decided(&mut self) {
        if self.said_complete {
            self.tools.gateways.all_known();
        }
        if self.leads && self.index.is_complete() {
            self.memory.sweep(&self.index, &self.tools);
        }
        self.metrics.invalid_objects(self.memory.invalid());
        self.metrics.decided(std::mem::take(&mut self.spent));
    }
}

/// The namespaces of gateways whose proxies, or what they report, are others than before.
fn changed_namespaces(before: &Fleet, after: &Fleet) -> BTreeSet<String> {
    let differs = |gateway: &&String| !same(before.get(*gateway), after.get(*gateway));
    let gateways = before.keys().chain(after.keys()).filter(differs);
    gateways
        .filter_map(|gateway| gateway.split_once('/'))
        .map(|(namespace, _)| namespace.to_owned())
        .collect()
}

type Proxies = BTreeMap<String, Arc<sekisho_policy::Report>>;

/// Reports are shared: the same report is at the same place.
fn same(before: Option<&Proxies>, after: Option<&Proxies>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|((a, x), (b, y))| a == b && (Arc::ptr_eq(x, y) || x == y))
        }
        _ => false,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
