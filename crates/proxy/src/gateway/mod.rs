//! One gateway in this process: starts its listeners, puts snapshots in force without dropping a session, and ends in order.

mod certificates;
mod components;
mod config;
mod country;
mod credentials;
mod doors;
mod hops;
mod status;
mod tallies;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use sekisho_counters::Counters;
use sekisho_policy::errand::{Bounced, Counts};
use sekisho_policy::event::{ConfigState, SourceTrust};
use sekisho_policy::watch::Score;
use sekisho_policy::{Account, Envelope, ObjectRef, Ruleset, Unavailable};
use sekisho_runtime::country::CountryLookup;
use sekisho_runtime::metrics::{GatewayMetrics, PoolMembers};
use sekisho_runtime::tls::{Roots, Verification, client_config};
use sekisho_smtp::command::ClientName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use crate::abuse::Pardons;
use crate::auth::{Backends, Tools};
use crate::brakes::Brakes;
use crate::classify::Classifier;
use crate::engine::Engine;
use crate::error::Error;
use crate::listener::{self, Door};
use crate::live::Live;
use crate::memory::MessageMemory;
use crate::session::{Ends, Hellos};
use crate::shared::Shared;
use crate::tarpit::Pit;
use crate::trust::SourceTally;
use crate::upstream::{Deadlines, Environment, NextHops, Tokens};
pub use certificates::Certificates;
use components::Components;
pub use config::{GatewayConfig, MissingCertificate, Services};
use country::Country;
pub use credentials::{Credentials, CredentialsPending, Login, PendingCause};
pub(crate) use credentials::{value, visible};
use doors::Doors;
pub use status::{ListenerStatus, Status};
pub(crate) use tallies::Tallies;
use tallies::{Counting, Means};

/// How often accounts files are looked at for changes.
const ACCOUNTS_EVERY: Duration = Duration::from_secs(1);

/// A gateway that runs. Dropping it leaves its sessions and listeners running until the process drains.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    environment: Arc<Environment>,
    tools: Tools,
    /// What `apply` changes, one at a time.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    doors: Doors,
    country: Country,
    counting: Counting,
    _components: Components,
}

/// What became of a snapshot that was put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// New transactions are judged by it from now on.
    InForce,
    /// It is the one in force already.
    Unchanged,
}

impl Gateway {
    /// Starts the gateway with its first snapshot. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// What of the configuration or the snapshot cannot be used, or which listener cannot be opened.
    pub async fn start(
        config: GatewayConfig,
        services: Services,
        first: &Envelope,
    ) -> Result<Self, Error> {
        let name = {
            let object = &first.snapshot.gateway.object;
            format!("{}/{}", object.namespace, object.name)
        };
        let metrics = services.metrics.gateway(&name);
        let host_name = ClientName::new(&config.host_name)
            .ok_or_else(|| Error::HostName(config.host_name.clone()))?;
        let environment = environment(&config, &services, metrics.clone(), host_name)?;
        let environment = Arc::new(environment);
        let tools = tools(&services, &environment);
        let memory = &services.message_memory;
        let live = load(first, &environment, &tools, &metrics, memory, None)?;
        let components = Components::new(&name, &services.health);
        let mut country = Country::new(config.scratch.clone(), components.country.clone());
        let mut doors = Doors::new(&config, services.certificates.clone(), &components);
        let means = Means {
            in_process: services.counters.clone(),
            credentials: services.credentials.clone(),
            component: components.counters.clone(),
            metrics: metrics.clone(),
            shutdown: services.shutdown.clone(),
            deadline: config.limits.counters,
        };
        let mut counting = Counting::new(means, &services.key);
        let shared = Arc::new(share(config, services, live, &environment));
        let members: Weak<dyn PoolMembers> = Arc::<Shared>::downgrade(&shared);
        shared.metrics.watch_members(members);
        let prepared = doors.prepare(&first.snapshot.gateway.listeners, &shared)?;
        country.follow(&first.snapshot.gateway, &shared).await;
        counting.follow(&first.snapshot.gateway.counters, &shared.engine.tallies);
        doors.open(prepared, &shared);
        shared
            .metrics
            .snapshot_loaded(first.generation, shared.clock.now_ms());
        let watching = watch_accounts(shared.clone(), components.accounts.clone());
        shared.shutdown.spawn(watching);
        shared.shutdown.spawn(hops::watch(shared.clone()));
        let (released, releases) = shared.restrictions.released_from_here();
        shared.engine.pardons.begin(releases);
        shared
            .shutdown
            .spawn(crate::abuse::pardon_released(shared.clone(), released));
        let tending = tend_services(shared.clone(), components.services.clone());
        shared.shutdown.spawn(tending);
        let state = Mutex::new(State {
            doors,
            country,
            counting,
            _components: components,
        });
        Ok(Self {
            shared,
            environment,
            tools,
            state,
        })
    }

    /// Puts a snapshot in force: transactions under way end under the one they began with. Listeners that are new are opened,
    /// those that are gone take no more connections, and certificates are read anew.
    ///
    /// # Errors
    /// Why it cannot be put in force; then nothing has changed.
    pub async fn apply(&self, envelope: &Envelope) -> Result<Applied, Error> {
        let mut state = self.state.lock().await;
        let applied = self.put_in_force(&mut state, envelope).await;
        match &applied {
            Ok(Applied::InForce) => {
                self.shared
                    .metrics
                    .snapshot_loaded(envelope.generation, self.shared.clock.now_ms());
            }
            Ok(Applied::Unchanged) => self
                .shared
                .metrics
                .snapshot_current(self.shared.clock.now_ms()),
            Err(_) => self.shared.metrics.snapshot_refused(),
        }
        applied
    }

    async fn put_in_force(&self, state: &mut State, envelope: &Envelope) -> Result<Applied, Error> {
        let before = self.shared.live();
        if self.is_in_force(&before.rules, envelope)? {
            return Ok(Applied::Unchanged);
        }
        let live = load(
            envelope,
            &self.environment,
            &self.tools,
            &self.shared.metrics,
            &self.shared.message_memory,
            Some(&before),
        )?;
        let gateway = &envelope.snapshot.gateway;
        let prepared = state.doors.prepare(&gateway.listeners, &self.shared)?;
        state.country.follow(gateway, &self.shared).await;
        let tallies = &self.shared.engine.tallies;
        state.counting.follow(&gateway.counters, tallies);
        self.shared.engine.brakes.retain(&live.rules);
        self.shared.classifier.retain(live.rules.engines());
        let networks = &before.rules.gateway().cluster_networks;
        let others = *networks != gateway.cluster_networks;
        self.shared.live.store(Arc::new(live));
        if others {
            self.shared.sources.forget();
            self.shared.metrics.source_untrusted(false);
        }
        state.doors.open(prepared, &self.shared);
        Ok(Applied::InForce)
    }

    /// # Errors
    /// It is older than the one in force, or another gateway's.
    fn is_in_force(&self, rules: &Ruleset, envelope: &Envelope) -> Result<bool, Error> {
        let ours = rules.gateway_ref();
        let theirs = &envelope.snapshot.gateway.object;
        if **ours != *theirs {
            return Err(Error::OtherGateway {
                ours: ours.to_string(),
                offered: theirs.to_string(),
            });
        }
        let same_body = **rules.digest() == *envelope.digest;
        match envelope.generation.cmp(&rules.generation()) {
            std::cmp::Ordering::Equal if same_body => Ok(true),
            std::cmp::Ordering::Greater => Ok(false),
            _ => Err(Error::Stale {
                in_force: rules.generation(),
                offered: envelope.generation,
            }),
        }
    }

    /// Says whether the source of configuration can be read; while it cannot, `onUnavailable.config` decides.
    pub fn set_config_state(&self, state: ConfigState) {
        self.shared
            .config_unavailable
            .store(!state.is_current(), Ordering::Relaxed);
    }

    /// Notes that the snapshot in force is known to be the newest now.
    pub fn confirm_current(&self) {
        self.shared
            .metrics
            .snapshot_current(self.shared.clock.now_ms());
    }

    /// Reads the certificates of all listeners anew: call it when the files of a Secret have changed. What cannot be read
    /// leaves the last good one in use; the log and `/readyz` say so. Listeners that wait for a certificate open once it is there.
    /// Where counters are in Redis, its address and our login there are read anew too.
    pub async fn reload_certificates(&self) {
        let mut state = self.state.lock().await;
        state.doors.reload_certificates(&self.shared);
        let live = self.shared.live();
        let tallies = &self.shared.engine.tallies;
        state
            .counting
            .follow(&live.rules.gateway().counters, tallies);
    }

    /// Whether the addresses that sessions come from are those of clients, as the last sessions show. Where they are the
    /// cluster's own, rules that go by them do not act.
    pub fn source_trust(&self) -> SourceTrust {
        self.shared.sources.trust()
    }

    /// Puts a rule that its brake holds in shadow back in force; whether it was held.
    pub fn reset_brake(&self, rule: &ObjectRef) -> bool {
        self.shared.engine.brakes.reset(rule)
    }

    /// What speaks against an account: its points under each AbuseRule, and what they were awarded for.
    ///
    /// # Errors
    /// Counters that do not answer.
    pub async fn scores(&self, account: &Account) -> Result<Vec<Score>, Unavailable> {
        let live = self.shared.live();
        let now = self.shared.now();
        self.shared.engine.scores(&live, account, now).await
    }

    /// Whether what is counted here is counted together with other processes.
    pub fn counts(&self) -> Counts {
        match &*self.shared.engine.tallies.now() {
            Counters::Memory(_) => Counts::Alone,
            Counters::Redis(_) | Counters::Absent(_) => Counts::Together,
        }
    }

    /// So many recipients of a message of an account's, or of messages that nobody names, turned out not to exist; how many of them
    /// were not known of yet. Rules that are narrowed to sources or listeners do not hear of it: it is not known where those messages
    /// came from.
    pub async fn bounced(&self, account: &Account, count: u64, of: Option<Bounced>) -> u64 {
        crate::abuse::see_bounces(&self.shared, account, count, of).await
    }

    /// What runs.
    pub async fn status(&self) -> Status {
        let state = self.state.lock().await;
        Status::of(&self.shared, &state.doors)
    }

    /// Where the listener of that name can be reached.
    pub async fn address(&self, listener: &str) -> Option<SocketAddr> {
        self.state.lock().await.doors.address(listener)
    }

    /// Serves a connection that was accepted elsewhere, as one of the listener `listener`'s: by a socket that the process
    /// inherited, or a pipe in a test. Returns when the session is over; `false` if there is no such listener.
    pub async fn serve<S>(
        &self,
        listener: &str,
        stream: S,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> bool
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let door: Option<Arc<Door>> = self.state.lock().await.doors.door(listener);
        let limits = self.shared.live().limits.clone();
        let (Some(door), Ok(place)) = (door, self.shared.connections.admit(&limits)) else {
            return false;
        };
        let ends = Ends {
            source,
            destination,
        };
        listener::serve(stream, ends, door, self.shared.clone(), place).await;
        true
    }
}

fn share(
    config: GatewayConfig,
    services: Services,
    live: Live,
    environment: &Environment,
) -> Shared {
    let metrics = environment.metrics.clone();
    Shared {
        host_name: environment.host_name.clone(),
        engine: Engine {
            tallies: Tallies::new(services.counters),
            dns: services.dns,
            brakes: Brakes::new(metrics.clone()),
            restrictions: services.restrictions.clone(),
            pardons: Pardons::default(),
        },
        restrictions: services.restrictions,
        settings: services.settings,
        clock: services.clock,
        ids: services.ids,
        ledger: services.ledger,
        key: services.key,
        shutdown: services.shutdown,
        connections: Arc::default(),
        pit: Pit::default(),
        places: Arc::default(),
        hellos: Hellos::default(),
        country: ArcSwap::from_pointee(CountryLookup::embedded()),
        live: ArcSwap::from_pointee(live),
        config_unavailable: false.into(),
        sources: SourceTally::default(),
        message_memory: services.message_memory,
        classifier: Classifier::new(
            environment.dns.clone(),
            metrics.process().clone(),
            config.limits.engine_pause,
        ),
        spool: config.scratch,
        limits: config.limits,
        metrics,
    }
}

fn environment(
    config: &GatewayConfig,
    services: &Services,
    metrics: GatewayMetrics,
    host_name: ClientName,
) -> Result<Environment, Error> {
    let roots = match &config.upstream_roots {
        Some((origin, pem)) => Roots::Pem { origin, pem },
        None => Roots::WebPki,
    };
    Ok(Environment {
        tls_opportunistic: client_config(Verification::Opportunistic)?,
        tls_required: client_config(Verification::Required(roots))?,
        dns: services.dns.clone(),
        credentials: services.credentials.clone(),
        tokens: Tokens::default(),
        metrics,
        host_name,
        deadlines: Deadlines::default(),
    })
}

fn load(
    envelope: &Envelope,
    environment: &Arc<Environment>,
    tools: &Tools,
    metrics: &GatewayMetrics,
    memory: &MessageMemory,
    before: Option<&Live>,
) -> Result<Live, Error> {
    let rules = Ruleset::load(envelope)?;
    let snapshot = &envelope.snapshot;
    let hops = NextHops::load(snapshot, environment.clone(), before.map(|live| &live.hops))
        .map_err(Error::upstream)?;
    let previous = before.map(|live| &*live.backends);
    let backends = Backends::load(&snapshot.gateway.authentication, tools, previous)
        .map_err(Error::accounts)?;
    let limits = &snapshot.gateway.limits;
    let memory = MessageMemory::of_gateway(memory, limits, before.map(|live| &live.memory));
    Ok(Live::new(
        rules,
        hops,
        Arc::new(backends),
        metrics.clone(),
        memory,
    ))
}

fn tools(services: &Services, environment: &Environment) -> Tools {
    Tools {
        pool: services.hashing.clone(),
        dns: environment.dns.clone(),
        tls: environment.tls_required.clone(),
        credentials: environment.credentials.clone(),
        metrics: environment.metrics.clone(),
        clock: services.clock.clone(),
        default_domain: None,
    }
}

/// Lets services that logins are checked by fetch what they need before somebody waits for it, and says which are away.
async fn tend_services(shared: Arc<Shared>, component: sekisho_runtime::health::Component) {
    component.ok();
    let mut before = Vec::new();
    loop {
        let backends = shared.live().backends.clone();
        backends.tend();
        let troubles = backends.troubles();
        if troubles != before {
            match &*troubles {
                [] => component.ok(),
                troubles => component.degraded(troubles.join("; ")),
            }
            before = troubles;
        }
        tokio::select! {
            () = tokio::time::sleep(ACCOUNTS_EVERY) => {}
            () = shared.shutdown.draining() => return,
        }
    }
}

/// Keeps accounts as new as their files. Reading them is left to threads that may block.
async fn watch_accounts(shared: Arc<Shared>, component: sekisho_runtime::health::Component) {
    component.ok();
    loop {
        tokio::select! {
            () = tokio::time::sleep(ACCOUNTS_EVERY) => {}
            () = shared.shutdown.draining() => return,
        }
        let backends = shared.live().backends.clone();
        // A panic in there was logged by the runtime; the next round tries again.
        let Ok(outcomes) = tokio::task::spawn_blocking(move || backends.refresh()).await else {
            continue;
        };
        for outcome in outcomes {
            match outcome {
                Ok(crate::auth::Refresh::Reloaded) => {
                    tracing::info!("an accounts file was read anew");
                    component.ok();
                }
                Ok(crate::auth::Refresh::Unchanged) => {}
                Err(error) => {
                    tracing::error!(%error, "an accounts file cannot be used; the last good one stays");
                    component.degraded(error.to_string());
                }
            }
        }
    }
}
