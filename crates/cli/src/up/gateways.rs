//! The gateways of this process: started, changed and ended as the compiled objects say.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_api::{
    Answer, Configs, NotHere, Points, Running, RunningGateway, RunningListener, Tallied, Unanswered,
};
use sekisho_counters::Counters;
use sekisho_policy::errand::Bounced;
use sekisho_policy::event::ConfigState;
use sekisho_policy::{Account, Envelope, ObjectRef, Timestamp};
use sekisho_proxy::ledger::Ledger;
use sekisho_proxy::{
    Applied, Dns, Error, FleetKey, Gateway, GatewayConfig, HashPool, Ids, MessageMemory, Services,
    StateFolder,
};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use sekisho_store::{AccountStates, Store};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::certificates::FileCertificates;
use super::credentials::FileCredentials;
use super::restrictions::Desks;
use super::secrets::Secrets;
use super::settings::SettingsBooks;

/// What every gateway is started with.
pub(super) struct Shared {
    pub(super) listen: IpAddr,
    pub(super) host_name: String,
    /// Authorities for next hops with `tls: Required`: PEM, and the file it is from.
    pub(super) upstream_ca: Option<(String, Vec<u8>)>,
    pub(super) state: StateFolder,
    pub(super) secrets: Secrets,
    pub(super) counters: Arc<Counters>,
    pub(super) dns: Dns,
    pub(super) hashing: HashPool,
    pub(super) key: FleetKey,
    pub(super) message_memory: MessageMemory,
    pub(super) ledger: Ledger,
    pub(super) store: Store,
    pub(super) accounts: AccountStates,
    pub(super) desks: Desks,
    pub(super) settings: SettingsBooks,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    pub(super) shutdown: Shutdown,
    pub(super) configs: Configs,
}

/// The gateways that run.
pub(super) struct Gateways {
    shared: Shared,
    running: Mutex<BTreeMap<ObjectRef, Arc<One>>>,
}

struct One {
    gateway: Gateway,
    /// Its own, so that a gateway can end while the process goes on.
    shutdown: Shutdown,
}

impl Gateways {
    pub(super) fn new(shared: Shared) -> Self {
        Self {
            shared,
            running: Mutex::default(),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Puts a snapshot in force, and keeps it as the last good one.
    ///
    /// # Errors
    /// Why it cannot be put in force; a gateway that ran goes on as before.
    pub(super) async fn put_in_force(&self, envelope: &Arc<Envelope>) -> Result<()> {
        let object = &envelope.snapshot.gateway.object;
        let running = self.running.lock().await.get(object).cloned();
        match running {
            Some(one) => match one.gateway.apply(envelope).await.map_err(explained)? {
                Applied::Unchanged => return Ok(()),
                Applied::InForce => {
                    tracing::info!(gateway = %object, generation = envelope.generation, "new rules are in force");
                }
            },
            None => {
                let one = self.start(envelope).await?;
                self.running
                    .lock()
                    .await
                    .insert(object.clone(), Arc::new(one));
            }
        }
        self.shared.configs.publish(envelope.clone());
        self.keep(envelope).await;
        Ok(())
    }

    /// The rules are in force; a disk that does not keep them is no reason to refuse mail.
    async fn keep(&self, envelope: &Envelope) {
        if let Err(error) = self.shared.state.keep(envelope) {
            tracing::error!(
                error = format!("{error:#}"),
                "the last good snapshot cannot be kept; a restart would begin with an older one"
            );
        }
        let now = Timestamp(self.shared.clock.now_ms());
        if let Err(error) = self.shared.store.put_snapshot(envelope, now).await {
            tracing::error!(%error, "the ledger does not keep the snapshot; records made under it cannot be replayed");
        }
    }

    async fn start(&self, envelope: &Envelope) -> Result<One> {
        let shared = &self.shared;
        let shutdown = shared.shutdown.child();
        let object = &envelope.snapshot.gateway.object;
        let names = vec![
            shared.host_name.clone(),
            "localhost".to_owned(),
            shared.listen.to_string(),
        ];
        let certificates = FileCertificates {
            namespace: object.namespace.clone(),
            secrets: shared.secrets.clone(),
            own: shared.state.path().join("self-signed.pem"),
            names,
            clock: shared.clock.clone(),
        };
        let credentials = FileCredentials {
            namespace: object.namespace.clone(),
            secrets: shared.secrets.clone(),
        };
        let services = Services {
            counters: shared.counters.clone(),
            restrictions: shared.desks.of(&object.namespace).await,
            settings: shared.settings.of(&object.namespace).await?,
            dns: shared.dns.clone(),
            hashing: shared.hashing.clone(),
            key: shared.key.clone(),
            certificates: Arc::new(certificates),
            credentials: Arc::new(credentials),
            message_memory: shared.message_memory.clone(),
            ledger: shared.ledger.clone(),
            ids: Ids::random().context("the system has no randomness to give")?,
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
            health: shared.health.clone(),
            shutdown: shutdown.clone(),
        };
        let mut config = GatewayConfig::new(shared.listen, &*shared.host_name, shared.state.path());
        config.upstream_roots.clone_from(&shared.upstream_ca);
        let gateway = Gateway::start(config, services, envelope)
            .await
            .map_err(explained)
            .with_context(|| object.to_string())?;
        Ok(One { gateway, shutdown })
    }

    /// Ends the gateways that `wanted` does not name: their listeners close, their sessions finish what they are in.
    pub(super) async fn end_others(&self, wanted: impl Fn(&ObjectRef) -> bool, within: Duration) {
        let mut running = self.running.lock().await;
        let gone: Vec<ObjectRef> = running
            .keys()
            .filter(|object| !wanted(object))
            .cloned()
            .collect();
        for object in gone {
            let Some(one) = running.remove(&object) else {
                continue;
            };
            tracing::info!(gateway = %object, "its object was deleted; the gateway ends");
            self.shared
                .configs
                .withdraw(&format!("{}/{}", object.namespace, object.name));
            self.shared.state.forget(&object);
            self.shared
                .shutdown
                .spawn(async move { one.shutdown.drain(within).await });
        }
    }

    /// Says whether the files can be read; while they cannot, `onUnavailable.config` decides.
    pub(super) async fn set_config_state(&self, state: ConfigState) {
        for one in self.all().await {
            one.gateway.set_config_state(state);
            if state.is_current() {
                one.gateway.confirm_current();
            }
        }
    }

    /// Reads all certificates anew.
    pub(super) async fn reload_certificates(&self) {
        for one in self.all().await {
            one.gateway.reload_certificates().await;
        }
    }

    /// Waits until all sessions have ended, `within` this time.
    pub(super) async fn drain(&self, within: Duration) -> usize {
        let mut drains = JoinSet::new();
        for one in self.all().await {
            drains.spawn(async move { one.shutdown.drain(within).await.cut_short });
        }
        drains.join_all().await.into_iter().sum()
    }

    async fn of_namespace(&self, namespace: &str) -> Vec<Arc<One>> {
        let running = self.running.lock().await;
        let own = running
            .iter()
            .filter(|(object, _)| object.namespace == namespace);
        own.map(|(_, one)| one.clone()).collect()
    }

    async fn all(&self) -> Vec<Arc<One>> {
        self.running.lock().await.values().cloned().collect()
    }
}

impl Running for Gateways {
    fn gateways(&self) -> Answer<'_, Vec<RunningGateway>> {
        Box::pin(async {
            let mut views = Vec::new();
            for one in self.all().await {
                let status = one.gateway.status().await;
                let listeners = status
                    .listeners
                    .into_iter()
                    .map(|listener| RunningListener {
                        name: listener.name,
                        address: listener.address.to_string(),
                        open_sessions: listener.open_sessions,
                    });
                views.push(RunningGateway {
                    name: format!("{}/{}", status.gateway.namespace, status.gateway.name),
                    listeners: listeners.collect(),
                    tripped: status
                        .tripped
                        .into_iter()
                        .map(|trip| ObjectRef::clone(&trip.object))
                        .collect(),
                    proxies: None,
                });
            }
            views
        })
    }

    fn scores<'a>(&'a self, namespace: &'a str, account: &'a Account) -> Answer<'a, Points> {
        Box::pin(async move {
            let mut points = Points::default();
            for one in self.of_namespace(namespace).await {
                let Ok(own) = one.gateway.scores(account).await else {
                    points.unknown = Some("counters do not answer now; try again".to_owned());
                    continue;
                };
                // A rule that is attached to several gateways counts for all of them.
                for score in own {
                    let mut known = points.known.iter();
                    if known.all(|known| known.score.rule != score.rule) {
                        let gateway = None;
                        points.known.push(Tallied { gateway, score });
                    }
                }
            }
            points
        })
    }

    fn bounced<'a>(
        &'a self,
        gateway: &'a str,
        account: &'a Account,
        count: u64,
        of: Option<Bounced>,
    ) -> Answer<'a, Result<Option<u64>, Unanswered>> {
        Box::pin(async move {
            let running = self.running.lock().await;
            let is_it =
                |object: &ObjectRef| format!("{}/{}", object.namespace, object.name) == gateway;
            let one = running.iter().find(|(object, _)| is_it(object));
            let one = one.map(|(_, one)| one.clone());
            drop(running);
            let Some(one) = one else {
                return Ok(None);
            };
            Ok(Some(one.gateway.bounced(account, count, of).await))
        })
    }

    fn reset_brake<'a>(&'a self, rule: &'a ObjectRef) -> Answer<'a, Result<Vec<String>, NotHere>> {
        Box::pin(async move {
            let running = self.running.lock().await;
            let held = running
                .iter()
                .filter(|(_, one)| one.gateway.reset_brake(rule));
            Ok(held
                .map(|(object, _)| format!("{}/{}", object.namespace, object.name))
                .collect())
        })
    }
}

/// A gateway's error with what would mend it, where that is not in it.
fn explained(error: Error) -> anyhow::Error {
    match error.remedy() {
        Some(remedy) => anyhow::anyhow!("{error}; {remedy}"),
        None => error.into(),
    }
}
