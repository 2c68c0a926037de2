//! Which proxies are connected, and what each said last: to this replica, and to the others as they tell it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sekisho_policy::{Fleet, Report};
use sekisho_runtime::{Metrics, Shutdown};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::merge;
use super::peers::Peers;

/// A proxy that holds no long poll counts as connected for so long after it asked last.
const CONNECTED_FOR: Duration = Duration::from_secs(75);
/// How often those who left are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// What changes within this time is told at once: a thousand proxies acknowledge within a second.
const GATHER: Duration = Duration::from_millis(100);
/// Proxies of one replica that are told apart; more are served and not counted.
pub(super) const MOST_PROXIES: usize = 10_000;

/// A gateway (`namespace/name`) and a proxy of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) gateway: Arc<str>,
    pub(super) proxy: Arc<str>,
}

impl Name {
    pub(super) fn new(gateway: &str, proxy: &str) -> Self {
        Self {
            gateway: gateway.into(),
            proxy: proxy.into(),
        }
    }
}

/// The register of the fleet. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Reports(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// Grows with each change of the table.
    version: watch::Sender<u64>,
    fleet: watch::Sender<Arc<Fleet>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Table {
    own: BTreeMap<Name, Own>,
    peers: Peers,
    revisions: u64,
}

/// A proxy that is connected here.
#[derive(Debug)]
struct Own {
    said: Said,
    /// Grows each time that it says something.
    revision: u64,
    /// Long polls that it holds.
    holds: u32,
    asked: Instant,
}

/// What a proxy said last, and when.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) report: Arc<Report>,
    pub(super) at: Instant,
}

/// One line of the table that other replicas are told of.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) said: Said,
    pub(super) revision: u64,
}

impl Reports {
    /// An empty register.
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            version: watch::Sender::new(0),
            fleet: watch::Sender::default(),
            metrics,
        }))
    }

    /// What is connected, to this replica and to those that report to it. It changes at most every 100 ms, and only while
    /// [`Reports::run`] runs.
    pub fn fleet(&self) -> watch::Receiver<Arc<Fleet>> {
        self.0.fleet.subscribe()
    }

    /// Keeps [`Reports::fleet`] true until the process drains.
    pub async fn run(&self, shutdown: &Shutdown) {
        let mut changes = self.0.version.subscribe();
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // The sender is in `self`.
                _ = changes.changed() => {}
                _ = sweep.tick() => self.sweep(),
                () = shutdown.draining() => return,
            }
            changes.mark_unchanged();
            self.publish();
            sleep(GATHER).await;
        }
    }

    /// A proxy holds a long poll until the guard is dropped.
    pub fn hold(&self, gateway: &str, proxy: &str) -> Hold {
        let name = Name::new(gateway, proxy);
        let noted = self.change(|table| {
            let (own, change) = table.own(&name)?;
            own.holds += 1;
            own.asked = Instant::now();
            Some(((), change))
        });
        Hold {
            reports: self.clone(),
            name: noted.map(|()| name),
        }
    }

    /// A proxy says how it is.
    pub fn note(&self, gateway: &str, proxy: &str, report: Report) {
        self.change(|table| {
            table.revisions += 1;
            let revision = table.revisions;
            let (own, _) = table.own(&Name::new(gateway, proxy))?;
            own.asked = Instant::now();
            own.revision = revision;
            own.said = Said {
                report: Arc::new(report),
                at: own.asked,
            };
            Some(((), Change::Yes))
        });
    }

    /// The proxies that are connected here, by name.
    pub(super) fn own(&self) -> BTreeMap<Name, Told> {
        let table = self.lock();
        let told = table.own.iter().map(|(name, own)| {
            let told = Told {
                said: own.said.clone(),
                revision: own.revision,
            };
            (name.clone(), told)
        });
        told.collect()
    }

    /// Wakes when anything changes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// What other replicas told, to be changed.
    pub(super) fn with_peers<T>(&self, change: impl FnOnce(&mut Peers) -> T) -> T {
        let answer = change(&mut self.lock().peers);
        self.0.version.send_modify(|version| *version += 1);
        answer
    }

    fn change<T>(&self, change: impl FnOnce(&mut Table) -> Option<(T, Change)>) -> Option<T> {
        let (answer, changed) = change(&mut self.lock())?;
        if changed == Change::Yes {
            self.0.version.send_modify(|version| *version += 1);
        }
        Some(answer)
    }

    fn sweep(&self) {
        let now = Instant::now();
        let mut table = self.lock();
        table
            .own
            .retain(|_, own| own.holds > 0 || now.duration_since(own.asked) < CONNECTED_FOR);
        table.peers.forget_silent(now);
        drop(table);
        // Relays compare the table themselves; a sweep that found nothing costs them a look.
        self.0.version.send_modify(|version| *version += 1);
    }

    fn publish(&self) {
        let table = self.lock();
        let own = table.own.iter().map(|(name, own)| (name, &own.said));
        let fleet = merge::newest(own.chain(table.peers.connected()));
        let mut connected = BTreeMap::<Arc<str>, usize>::new();
        for name in table.own.keys() {
            *connected.entry(name.gateway.clone()).or_default() += 1;
        }
        drop(table);
        self.0.metrics.fleet_connected(&connected);
        self.0.fleet.send_if_modified(|last| {
            let differs = **last != fleet;
            if differs {
                *last = Arc::new(fleet);
            }
            differs
        });
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Yes,
    No,
}

impl Table {
    /// The proxy's line, which is made if there is room.
    fn own(&mut self, name: &Name) -> Option<(&mut Own, Change)> {
        let change = if self.own.contains_key(name) {
            Change::No
        } else if self.own.len() < MOST_PROXIES {
            let now = Instant::now();
            self.revisions += 1;
            let own = Own {
                said: Said {
                    report: Arc::default(),
                    at: now,
                },
                revision: self.revisions,
                holds: 0,
                asked: now,
            };
            self.own.insert(name.clone(), own);
            Change::Yes
        } else {
            tracing::warn!(gateway = %name.gateway, most = MOST_PROXIES, "more proxies are connected than are counted");
            return None;
        };
        self.own.get_mut(name).map(|own| (own, change))
    }
}

/// A long poll that a proxy holds.
#[derive(Debug)]
pub struct Hold {
    reports: Reports,
    /// Absent if there was no room to count it.
    name: Option<Name>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Some(name) = self.name.take() else {
            return;
        };
        if let Some(own) = self.reports.lock().own.get_mut(&name) {
            own.holds = own.holds.saturating_sub(1);
            own.asked = Instant::now();
        }
    }
}
