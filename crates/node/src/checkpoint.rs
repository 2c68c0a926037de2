//! The gateway of this process: started with the first snapshot that can be put in force, changed by each newer one, and
//! reported as it is.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use sekisho_counters::Counters;
use sekisho_policy::event::ConfigState;
use sekisho_policy::report::{Refused, Revision};
use sekisho_policy::snapshot::SCHEMA;
use sekisho_policy::{Envelope, ObjectRef, Report};
use sekisho_proxy::{
    Applied, Dns, Error, Gateway, GatewayConfig, HashPool, Ids, KnownSettings, MessageMemory,
    MissingCertificate, Restrictions, Services, StateFolder,
};
use sekisho_runtime::health::Component;
use sekisho_runtime::metrics::GatewayMetrics;
use sekisho_runtime::{Clock, Health, Metrics, Shutdown};
use tokio::sync::{Mutex, watch};
use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::records::Courier;
use crate::secrets::{FolderCertificates, Secrets};

/// So often is tried again what could not be put in force although the snapshot is good, such as a port that is taken; and so
/// often is looked whether there has been no word for too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const TRY_AGAIN_EVERY: u32 = 5;

/// What the gateway is started with.
pub(crate) struct Base {
    pub(crate) object: ObjectRef,
    pub(crate) config: GatewayConfig,
    pub(crate) state: StateFolder,
    pub(crate) secrets: Secrets,
    pub(crate) counters: Arc<Counters>,
    pub(crate) restrictions: Restrictions,
    pub(crate) settings: KnownSettings,
    pub(crate) dns: Dns,
    pub(crate) hashing: HashPool,
    pub(crate) message_memory: MessageMemory,
    pub(crate) courier: Courier,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    /// The end of the sessions.
    pub(crate) sessions: Shutdown,
    /// [`crate::args::Args::stale_after`].
    pub(crate) stale_after: Duration,
}

/// The one gateway that this process is a proxy of.
pub(crate) struct Checkpoint {
    base: Base,
    held: Mutex<Held>,
    contact: StdMutex<Contact>,
    report: watch::Sender<Report>,
    component: Component,
    metrics: GatewayMetrics,
}

/// What changes one at a time.
#[derive(Default)]
struct Held {
    running: Option<Running>,
    /// A good snapshot that something of this place kept from being put in force.
    again: Option<Envelope>,
    /// Why the last one was not taken.
    fault: Option<String>,
}

struct Running {
    gateway: Arc<Gateway>,
    envelope: Envelope,
}

/// When the control plane was last heard.
struct Contact {
    at: Instant,
    state: ConfigState,
}

/// Where a snapshot came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The state folder or the mounted file: either may be older than what is in force, which is in order.
    File,
    /// The control plane.
    Control,
}

/// What became of a snapshot that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    InForce,
    Unchanged,
    /// It is no good here.
    Refused,
    /// It is older than what is in force; the same rules may come again under a newer generation.
    Outdated,
}

/// What the control plane said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// What is in force is what it has.
    Current,
    /// It has another one, which was refused here.
    Another,
}

/// A generation is a time in milliseconds; one that is more than a day ahead was not made by a control plane.
const FUTURE_MS: u64 = 86_400_000;

/// Why a snapshot is not in force.
enum Fault {
    /// Something newer is in force.
    Outdated(String),
    /// As long as it is this one, it never will be.
    Lasting(String),
    /// Something here is in the way, and may go.
    Passing(String),
}

impl Checkpoint {
    pub(crate) fn new(base: Base) -> Self {
        let report = Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schema: SCHEMA,
            ..Report::default()
        };
        let metrics = base
            .metrics
            .gateway(&format!("{}/{}", base.object.namespace, base.object.name));
        let checkpoint = Self {
            component: base.health.component("configuration"),
            metrics,
            held: Mutex::default(),
            contact: StdMutex::new(Contact {
                at: Instant::now(),
                state: ConfigState::Current,
            }),
            report: watch::Sender::new(report),
            base,
        };
        checkpoint.describe(&Held::default());
        checkpoint
    }

    /// What is said of this proxy, as it changes.
    pub(crate) fn report(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// The digest of what is in force.
    pub(crate) async fn digest(&self) -> Option<String> {
        let held = self.held.lock().await;
        Some(held.running.as_ref()?.envelope.digest.clone())
    }

    /// The gateway, once it runs.
    pub(crate) async fn gateway(&self) -> Option<Arc<Gateway>> {
        let held = self.held.lock().await;
        Some(held.running.as_ref()?.gateway.clone())
    }

    /// Puts a snapshot in force if it is newer and good, and keeps it as the last good one.
    pub(crate) async fn offer(&self, envelope: Envelope, origin: Origin) -> Taken {
        let mut held = self.held.lock().await;
        let in_force = held.running.as_ref().map(|running| &running.envelope);
        if origin == Origin::File
            && in_force.is_some_and(|in_force| in_force.generation >= envelope.generation)
        {
            return Taken::Unchanged;
        }
        self.take(&mut held, envelope).await
    }

    /// Refuses what is no snapshot.
    pub(crate) async fn refuse(&self, claimed: Option<Revision>, why: &str) {
        let mut held = self.held.lock().await;
        self.metrics.snapshot_refused();
        self.note_refusal(&mut held, claimed, why);
    }

    /// The control plane was heard: what it says of the snapshot in force counts from now.
    pub(crate) async fn heard(&self, what: Heard) {
        self.contact().at = Instant::now();
        let mut guard = self.held.lock().await;
        let held = &mut *guard;
        let Some(running) = &held.running else { return };
        self.set_state(ConfigState::Current, &running.gateway);
        if what == Heard::Current {
            running.gateway.confirm_current();
            held.fault = None;
            held.again = None;
            self.update_report(held);
        }
        self.describe(held);
    }

    /// The folder of secrets holds something else than before.
    pub(crate) async fn secrets_changed(&self) {
        let mut held = self.held.lock().await;
        if let Some(running) = &held.running {
            running.gateway.reload_certificates().await;
        }
        if let Some(envelope) = held.again.take() {
            self.take(&mut held, envelope).await;
        }
        self.update_report(&held);
    }

    /// Reads the certificates anew.
    pub(crate) async fn reload_certificates(&self) {
        if let Some(running) = &self.held.lock().await.running {
            running.gateway.reload_certificates().await;
        }
    }

    /// Delivers the last records, until `deadline`; the sessions have ended.
    pub(crate) async fn finish(&self, deadline: Instant) {
        self.base.courier.finish(deadline).await;
    }

    /// Tries again what could not be put in force, and notices when the control plane has been silent for too long.
    pub(crate) async fn watch(&self, shutdown: &Shutdown) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut count = 0_u32;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.draining() => return,
            }
            count = count.wrapping_add(1);
            let mut held = self.held.lock().await;
            if count.is_multiple_of(TRY_AGAIN_EVERY) {
                self.try_again(&mut held).await;
            }
            self.notice_silence(&held);
        }
    }

    async fn try_again(&self, held: &mut Held) {
        if let Some(envelope) = held.again.take() {
            self.take(held, envelope).await;
        }
        if let Some(running) = &held.running
            && running.gateway.status().await.waiting > 0
        {
            running.gateway.reload_certificates().await;
        }
        self.update_report(held);
    }

    fn notice_silence(&self, held: &Held) {
        let silent = self.contact().at.elapsed();
        if silent < self.base.stale_after {
            return;
        }
        if let Some(running) = &held.running
            && self.set_state(ConfigState::Unavailable, &running.gateway)
        {
            tracing::warn!(
                seconds = silent.as_secs(),
                "no word from the control plane; onUnavailable.config of the MailGateway decides from now on"
            );
            self.describe(held);
        }
    }

    /// Whether that is a change.
    fn set_state(&self, state: ConfigState, gateway: &Gateway) -> bool {
        let mut contact = self.contact();
        let changes = contact.state != state;
        contact.state = state;
        gateway.set_config_state(state);
        changes
    }

    async fn take(&self, held: &mut Held, envelope: Envelope) -> Taken {
        match self.put_in_force(held, &envelope).await {
            Ok(Applied::Unchanged) => Taken::Unchanged,
            Ok(Applied::InForce) => {
                tracing::info!(
                    generation = envelope.generation,
                    digest = envelope.digest,
                    "new rules are in force"
                );
                self.keep(&envelope);
                held.again = None;
                held.fault = None;
                if let Some(running) = &mut held.running {
                    running.envelope = envelope;
                }
                self.describe(held);
                self.update_report(held);
                Taken::InForce
            }
            Err(fault) => {
                let revision = revision(&envelope);
                let (Fault::Outdated(why) | Fault::Lasting(why) | Fault::Passing(why)) = &fault;
                self.note_refusal(held, Some(revision), why);
                held.again = matches!(fault, Fault::Passing(_)).then_some(envelope);
                match fault {
                    Fault::Outdated(_) => Taken::Outdated,
                    Fault::Lasting(_) | Fault::Passing(_) => Taken::Refused,
                }
            }
        }
    }

    async fn put_in_force(&self, held: &mut Held, envelope: &Envelope) -> Result<Applied, Fault> {
        let now_ms = self.base.clock.now_ms();
        if envelope.generation > now_ms.saturating_add(FUTURE_MS) {
            let generation = envelope.generation;
            return Err(Fault::Passing(format!(
                "the generation {generation} lies more than a day ahead of this machine's clock, and nothing could replace it"
            )));
        }
        if let Some(running) = &held.running {
            return Ok(running.gateway.apply(envelope).await?);
        }
        let (ours, offered) = (&self.base.object, &envelope.snapshot.gateway.object);
        if ours != offered {
            let error = Error::OtherGateway {
                ours: ours.to_string(),
                offered: offered.to_string(),
            };
            return Err(error.into());
        }
        let gateway = Arc::new(self.start(envelope).await?);
        let state = self.contact().state;
        gateway.set_config_state(state);
        let envelope = envelope.clone();
        held.running = Some(Running { gateway, envelope });
        Ok(Applied::InForce)
    }

    async fn start(&self, envelope: &Envelope) -> Result<Gateway, Fault> {
        let base = &self.base;
        let key = base.secrets.fleet_key().map_err(Fault::Passing)?;
        let ids = Ids::random()
            .map_err(|error| Fault::Passing(format!("the system has no randomness: {error}")))?;
        let certificates = FolderCertificates {
            secrets: base.secrets.clone(),
            own: base.state.path().join("self-signed.pem"),
            names: vec![base.config.host_name.clone()],
            clock: base.clock.clone(),
        };
        let services = Services {
            counters: base.counters.clone(),
            restrictions: base.restrictions.clone(),
            settings: base.settings.clone(),
            dns: base.dns.clone(),
            hashing: base.hashing.clone(),
            ledger: base.courier.ledger(&key),
            key,
            certificates: Arc::new(certificates),
            credentials: Arc::new(base.secrets.clone()),
            message_memory: base.message_memory.clone(),
            ids,
            clock: base.clock.clone(),
            metrics: base.metrics.clone(),
            health: base.health.clone(),
            shutdown: base.sessions.clone(),
        };
        let config = GatewayConfig {
            missing_certificate: MissingCertificate::Wait,
            ..base.config.clone()
        };
        Ok(Gateway::start(config, services, envelope).await?)
    }

    /// The rules are in force; a disk that does not keep them is no reason to refuse mail.
    fn keep(&self, envelope: &Envelope) {
        if let Err(error) = block_in_place(|| self.base.state.keep(envelope)) {
            tracing::error!(%error, "the last good snapshot cannot be kept; a restart would begin with an older one");
        }
    }

    fn note_refusal(&self, held: &mut Held, revision: Option<Revision>, why: &str) {
        let generation = revision.as_ref().map(|revision| revision.generation);
        let known = held.fault.as_deref() == Some(why);
        if !known {
            tracing::error!(
                generation,
                why,
                "a snapshot is not taken; what was in force stays"
            );
        }
        held.fault = Some(why.to_owned());
        let refused = revision.map(|revision| Refused {
            revision,
            why: why.to_owned(),
        });
        self.describe(held);
        self.report.send_if_modified(|report| {
            let changes = refused.is_some() && report.refused != refused;
            if changes {
                report.refused = refused;
            }
            changes
        });
    }

    /// Brings the report up to what is so.
    fn update_report(&self, held: &Held) {
        let running = held.running.as_ref();
        self.report.send_if_modified(|report| {
            let mut next = Report {
                in_force: running.map(|running| revision(&running.envelope)),
                sources: running
                    .map(|running| running.gateway.source_trust())
                    .unwrap_or_default(),
                pending: running.map_or_else(Vec::new, |running| {
                    self.base.secrets.pending(&running.envelope.snapshot)
                }),
                ..report.clone()
            };
            if held.fault.is_none() {
                next.refused = None;
            }
            let changes = *report != next;
            *report = next;
            changes
        });
    }

    /// Tells `/readyz`.
    fn describe(&self, held: &Held) {
        let fault = held.fault.as_deref();
        let stale = self.contact().state == ConfigState::Unavailable;
        match (&held.running, fault) {
            (None, None) => self.component.not_ready(
                "waits for the first snapshot, from the control plane or the mounted file; no listener is open",
            ),
            (None, Some(fault)) => self
                .component
                .not_ready(format!("no snapshot could be put in force: {fault}")),
            (Some(_), Some(fault)) => self.component.degraded(format!(
                "the newest snapshot is not in force, the one before stays: {fault}"
            )),
            (Some(_), None) if stale => self.component.degraded(
                "no word from the control plane for too long; onUnavailable.config of the MailGateway decides",
            ),
            (Some(_), None) => self.component.ok(),
        }
    }

    fn contact(&self) -> std::sync::MutexGuard<'_, Contact> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn revision(envelope: &Envelope) -> Revision {
    Revision {
        generation: envelope.generation,
        digest: envelope.digest.clone(),
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let said = match error.remedy() {
            Some(remedy) => format!("{error}; {remedy}"),
            None => error.to_string(),
        };
        match error {
            Error::Stale { .. } => Self::Outdated(said),
            Error::Bind { .. } | Error::Certificate { .. } | Error::Accounts(_) => {
                Self::Passing(said)
            }
            _ => Self::Lasting(said),
        }
    }
}
