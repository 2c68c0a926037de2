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

    /// How many proxies of a gateway are connected, as [`Reports::fleet`] has it.
    pub(super) fn connected(&self, gateway: &str) -> usize {
        let fleet = self.0.fleet.borrow();
        fleet.get(gateway).map_or(0, BTreeMap::len)
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

#[cfg(test)]
mod tests {
    use sekisho_policy::report::Revision;
    use tokio::time::advance;

    use super::*;
    use crate::fleet::wire::Push;

    fn enforcing(generation: u64) -> Report {
        let digest = String::from("d");
        Report {
            in_force: Some(Revision { generation, digest }),
            ..Report::default()
        }
    }

    fn running() -> (Reports, Shutdown) {
        let (reports, shutdown) = (Reports::new(Metrics::new()), Shutdown::new());
        let (inside, until) = (reports.clone(), shutdown.clone());
        tokio::spawn(async move { inside.run(&until).await });
        (reports, shutdown)
    }

    /// Lets the register tell what it gathered.
    async fn told(reports: &Reports) -> Arc<Fleet> {
        sleep(GATHER * 3).await;
        reports.fleet().borrow().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_is_connected_while_it_holds_a_poll_and_75_seconds_after() {
        let (reports, _shutdown) = running();
        let (first, second) = (reports.hold("m/out", "a"), reports.hold("m/out", "a"));
        assert_eq!(*told(&reports).await["m/out"]["a"], Report::default());
        reports.note("m/out", "a", enforcing(3));
        assert_eq!(*told(&reports).await["m/out"]["a"], enforcing(3));
        drop(first);
        sleep(CONNECTED_FOR * 3).await;
        assert!(told(&reports).await.contains_key("m/out"), "it holds one");
        drop(second);
        sleep(CONNECTED_FOR - SWEEP_EVERY).await;
        assert!(
            told(&reports).await.contains_key("m/out"),
            "it may come back"
        );
        sleep(SWEEP_EVERY * 2).await;
        assert!(told(&reports).await.is_empty());
        let metrics = reports.0.metrics.encode(0);
        assert!(metrics.contains("sekisho_fleet_proxies_connected{gateway=\"m/out\"} 0"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_reports_are_told_at_once() {
        let (reports, _shutdown) = running();
        told(&reports).await;
        let mut fleet = reports.fleet();
        let mut changes = 0;
        for proxy in 0..1000 {
            reports.note("m/out", &format!("p{proxy}"), enforcing(1));
            advance(Duration::from_millis(1)).await;
            if fleet.has_changed().unwrap() {
                fleet.mark_unchanged();
                changes += 1;
            }
        }
        assert_eq!(told(&reports).await["m/out"].len(), 1000);
        assert!((5..=12).contains(&changes), "{changes} within a second");
    }

    #[tokio::test(start_paused = true)]
    async fn more_proxies_than_there_can_be_are_not_counted() {
        let (reports, _shutdown) = running();
        for proxy in 0..MOST_PROXIES + 5 {
            reports.note("m/out", &format!("p{proxy}"), Report::default());
        }
        let _hold = reports.hold("m/out", "one-more");
        assert_eq!(told(&reports).await["m/out"].len(), MOST_PROXIES);
    }

    fn push(json: &str) -> Push {
        Push::read(json.as_bytes()).unwrap()
    }

    fn line(proxy: &str, age: u64, generation: u64) -> String {
        format!(
            r#"{{"gateway":"m/out","proxy":"{proxy}","ageMs":{age},"report":{{"inForce":{{"generation":{generation},"digest":"d"}}}}}}"#
        )
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_proxy_said_last_counts_wherever_it_said_it() {
        let (reports, _shutdown) = running();
        reports.note("m/out", "a", enforcing(5));
        sleep(Duration::from_secs(10)).await;
        let table = |age| {
            push(&format!(
                r#"{{"epoch":1,"sequence":0,"part":"TableEnd","connected":[{}]}}"#,
                line("a", age, 6)
            ))
        };
        let tell = |push| reports.with_peers(|peers| peers.take("b".into(), push, Instant::now()));
        tell(table(20_000)).unwrap();
        assert_eq!(*told(&reports).await["m/out"]["a"], enforcing(5));
        tell(table(1_000)).unwrap();
        assert_eq!(*told(&reports).await["m/out"]["a"], enforcing(6));
        sleep(Duration::from_secs(52)).await;
        assert_eq!(
            *told(&reports).await["m/out"]["a"],
            enforcing(5),
            "the other fell silent"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_counts_when_it_is_whole_and_changes_follow_it() {
        let (reports, _shutdown) = running();
        let tell = |json: String| {
            reports.with_peers(|peers| peers.take("b".into(), push(&json), Instant::now()))
        };
        let part = |epoch, sequence, part, proxy| {
            let line = line(proxy, 0, 1);
            format!(
                r#"{{"epoch":{epoch},"sequence":{sequence},"part":"{part}","connected":[{line}]}}"#
            )
        };
        assert!(
            tell(part(1, 1, "Changes", "x")).is_err(),
            "nothing came before"
        );
        tell(part(1, 0, "Table", "a")).unwrap();
        assert!(told(&reports).await.is_empty(), "half a table");
        assert!(
            tell(part(1, 1, "Changes", "x")).is_err(),
            "the table is not over"
        );
        tell(part(1, 1, "TableEnd", "b")).unwrap();
        assert_eq!(told(&reports).await["m/out"].len(), 2);
        tell(part(1, 2, "Changes", "c")).unwrap();
        assert!(tell(part(1, 2, "Changes", "d")).is_err(), "again");
        assert!(tell(part(2, 3, "Changes", "d")).is_err(), "another epoch");
        tell(
            r#"{"epoch":1,"sequence":3,"part":"Changes","gone":[{"gateway":"m/out","proxy":"a"}]}"#
                .into(),
        )
        .unwrap();
        let names: Vec<_> = told(&reports).await["m/out"].keys().cloned().collect();
        assert_eq!(names, ["b", "c"]);
        tell(part(7, 0, "Table", "z")).unwrap();
        assert_eq!(
            told(&reports).await["m/out"].len(),
            2,
            "the old table stands in"
        );
    }
}
