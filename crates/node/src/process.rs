//! Everything that lives as long as the process: opened, started in order, and ended in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_counters::{Counters, Limits};
use sekisho_proxy::{Dns, GatewayConfig, HashPool, Ids, MessageMemory, StateFolder};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown, logs};
use tokio::net::TcpListener;
use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::args::{Args, LogFormat};
use crate::checkpoint::{Base, Checkpoint, Origin};
use crate::control::{self, Backoff, Control, Told};
use crate::http;
use crate::mounted::{self, Mounted, Unreadable};
use crate::records::Courier;
use crate::restrictions::Keeping;
use crate::secrets::{Refreshed, Secrets};
use crate::settings::Following;

/// Kubelet brings a changed Secret within a minute or so; it need not wait for us.
const SECRETS_EVERY: Duration = Duration::from_secs(2);
/// So often certificates are read anew although no file changed: one made by ourselves may come to its end.
const CERTIFICATES_EVERY: u32 = 1800;
/// The last records get this long, even if sessions took all of --drain.
const LAST_RECORDS: Duration = Duration::from_secs(3);

/// Runs until a signal, then drains.
pub(crate) async fn run(args: Args) -> Result<()> {
    let format = match args.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    logs::init(format, &args.log)?;
    tracing::info!(gateway = %args.gateway, name = args.name, version = env!("CARGO_PKG_VERSION"), "starting");
    let process = Process::prepare(args).await?;
    process.serve().await
}

struct Process {
    args: Args,
    clock: Clock,
    metrics: Metrics,
    health: Health,
    shutdown: Shutdown,
    sessions: Shutdown,
    secrets: Secrets,
    base: Base,
    keeping: Keeping,
    following: Following,
    http: TcpListener,
}

impl Process {
    /// Opens whatever can fail; no client is let in yet.
    async fn prepare(args: Args) -> Result<Self> {
        let shutdown = Shutdown::new();
        shutdown.on_signals()?;
        let (clock, metrics, health) = (Clock::system(), Metrics::new(), Health::default());
        let state = StateFolder::take(&args.state)?;
        let secrets = Secrets::new(args.secrets.clone(), &args.gateway.namespace);
        let sessions = shutdown.child();
        let http = http::bind(args.http).await?;
        let courier = Courier::start(
            Control::of(&args),
            Told::new("records", well(&health, "records")),
            &state.path().join("refusals.spool"),
            random()?,
            metrics.clone(),
        );
        let keeping = Keeping::start(&args, state.path(), &clock, &metrics, &health)?;
        let following = Following::start(&args, state.path(), &metrics, &health)?;
        let base = Base {
            object: args.gateway.object(),
            config: gateway_config(&args)?,
            state,
            secrets: secrets.clone(),
            counters: Arc::new(Counters::memory(Limits::default())),
            restrictions: keeping.restrictions(),
            settings: following.known(),
            dns: Dns::system(metrics.clone())?,
            hashing: HashPool::new(metrics.clone()),
            message_memory: MessageMemory::new(args.message_memory),
            courier,
            clock: clock.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            sessions: sessions.clone(),
            stale_after: args.stale_after,
        };
        Ok(Self {
            args,
            clock,
            metrics,
            health,
            shutdown,
            sessions,
            secrets,
            base,
            keeping,
            following,
            http,
        })
    }

    async fn serve(self) -> Result<()> {
        let Self {
            args,
            clock,
            metrics,
            health,
            shutdown,
            sessions,
            secrets,
            base,
            keeping,
            following,
            http,
        } = self;
        let sources = http::Sources {
            clock,
            metrics,
            health: health.clone(),
            shutdown: shutdown.clone(),
        };
        let probes = tokio::spawn(http::serve(http, sources));
        read_secrets(&secrets, &mut false);
        let kept = base.state.last_good_of(&base.object);
        let checkpoint = Arc::new(Checkpoint::new(base));
        let mut mounted = Mounted::new(args.snapshot.clone());
        begin(&checkpoint, kept, &mut mounted).await;

        let tasks = Tasks {
            checkpoint: checkpoint.clone(),
            health,
            shutdown: shutdown.clone(),
        };
        tasks.start(&args, mounted, secrets)?;
        shutdown.draining().await;

        let deadline = Instant::now() + args.drain;
        let cut_short = sessions.drain(args.drain).await.cut_short;
        if cut_short > 0 {
            tracing::warn!(sessions = cut_short, "cut short at the end of --drain");
        }
        let last = deadline.max(Instant::now() + LAST_RECORDS);
        checkpoint.finish(last).await;
        keeping.finish(last).await;
        following.finish().await;
        shutdown.drain(LAST_RECORDS).await;
        probes.abort();
        tracing::info!("stopped");
        Ok(())
    }
}

/// Puts in force the newer of what the last run kept and what is mounted; if it is no good, the other.
async fn begin(
    checkpoint: &Checkpoint,
    kept: Option<sekisho_policy::Envelope>,
    mounted: &mut Mounted,
) {
    let found = match block_in_place(|| mounted.read_news()) {
        Ok(found) => found,
        Err(Unreadable { claimed, why }) => {
            checkpoint.refuse(claimed, &why).await;
            None
        }
    };
    let mut candidates: Vec<_> = kept.into_iter().chain(found).collect();
    candidates.sort_by_key(|envelope| std::cmp::Reverse(envelope.generation));
    if candidates.is_empty() {
        tracing::info!(
            mounted = %mounted.path().display(),
            "there is no snapshot yet; no mail is let in until the control plane has one"
        );
    }
    for envelope in candidates {
        checkpoint.offer(envelope, Origin::File).await;
    }
}

/// What runs beside the sessions, until the process drains.
struct Tasks {
    checkpoint: Arc<Checkpoint>,
    health: Health,
    shutdown: Shutdown,
}

impl Tasks {
    fn start(self, args: &Args, mounted: Mounted, secrets: Secrets) -> Result<()> {
        let component = self.health.component("control plane");
        // No mail waits for it; what does is said by the configuration.
        component.degraded("not reached yet");
        let told = Told::new("configuration", component);
        let (control, backoff) = (Control::of(args), Backoff::new(random()?));
        self.vital("control plane", move |checkpoint, shutdown| async move {
            control::follow(control, &checkpoint, told, backoff, &shutdown).await;
        });
        let (control, backoff) = (Control::of(args), Backoff::new(random()?));
        let told = Told::new("errands", well(&self.health, "errands"));
        self.vital("errands", move |checkpoint, shutdown| async move {
            tokio::select! {
                () = control::run_errands(control, checkpoint, told, backoff) => {}
                () = shutdown.draining() => {}
            }
        });
        self.vital("mounted snapshot", move |checkpoint, shutdown| async move {
            mounted::follow(mounted, &checkpoint, &shutdown).await;
        });
        self.vital("secrets", move |checkpoint, shutdown| async move {
            follow_secrets(&secrets, &checkpoint, &shutdown).await;
        });
        self.vital("checkpoint", |checkpoint, shutdown| async move {
            checkpoint.watch(&shutdown).await;
        });
        Ok(())
    }

    /// A task without which the process should be started anew.
    fn vital<F>(&self, task: &str, doing: impl FnOnce(Arc<Checkpoint>, Shutdown) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let vital = self.health.vital(task);
        let doing = doing(self.checkpoint.clone(), self.shutdown.clone());
        self.shutdown.spawn(async move {
            doing.await;
            vital.finish();
        });
    }
}

/// Looks at the folder of secrets until the process drains.
async fn follow_secrets(secrets: &Secrets, checkpoint: &Checkpoint, shutdown: &Shutdown) {
    let mut ticks = interval(SECRETS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut count, mut failing) = (0_u32, false);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.draining() => return,
        }
        count = count.wrapping_add(1);
        match block_in_place(|| read_secrets(secrets, &mut failing)) {
            Refreshed::Changed => {
                tracing::info!("the folder of secrets changed");
                checkpoint.secrets_changed().await;
            }
            Refreshed::Unchanged if count.is_multiple_of(CERTIFICATES_EVERY) => {
                checkpoint.reload_certificates().await;
            }
            Refreshed::Unchanged => {}
        }
    }
}

/// A folder that cannot be read is logged once; what was read before stays.
fn read_secrets(secrets: &Secrets, failing: &mut bool) -> Refreshed {
    match secrets.refresh() {
        Ok(refreshed) => {
            *failing = false;
            refreshed
        }
        Err(error) => {
            if !std::mem::replace(failing, true) {
                tracing::warn!(%error, ?secrets, "the folder of secrets cannot be read; what was read before stays");
            }
            Refreshed::Unchanged
        }
    }
}

fn gateway_config(args: &Args) -> Result<GatewayConfig> {
    let host_name = args.host_name.as_ref().unwrap_or(&args.name);
    let mut config = GatewayConfig::new(args.listen, host_name, &args.state);
    config.upstream_roots = args
        .upstream_ca
        .as_deref()
        .map(read_authorities)
        .transpose()?;
    config.limits.counters = args.counters_deadline;
    Ok(config)
}

/// The file's name and its content; whether it holds certificates is seen when the gateway starts.
fn read_authorities(path: &Path) -> Result<(String, Vec<u8>)> {
    let name = path.display().to_string();
    let pem = std::fs::read(path).with_context(|| format!("--upstream-ca {name}"))?;
    Ok((name, pem))
}

fn random() -> Result<Ids> {
    Ids::random().context("the system has no randomness to give")
}

/// A component that has nothing to say yet.
fn well(health: &Health, name: &str) -> sekisho_runtime::health::Component {
    let component = health.component(name);
    component.ok();
    component
}
