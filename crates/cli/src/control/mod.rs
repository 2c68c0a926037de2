//! `sekisho control`: the operator, the proxies' configuration, the webhook, and the API, in a cluster.

mod accounts;
mod callers;
mod notices;
mod peers;
mod publish;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sekisho_api::fleet::{Books, Errands, FleetRunning, FleetServer, FleetSources, Ready, Reports};
use sekisho_api::{Configs, Server, Sources, Tally};
use sekisho_compile::Messenger;
use sekisho_operator as operator;
use sekisho_runtime::health::Component;
use sekisho_runtime::{Clock, Health, Metrics, Shutdown, logs};
use sekisho_store::{AccountStates, Store};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::callers::Reviewed;
use self::publish::Publisher;
use crate::Outcome;
use crate::args::{self, Control, LogFormat};
use crate::herald::Herald;
use crate::service::{changes, explained, housekeeping, read_token};

/// How long the last records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(15);
/// A shorter lease changes hands at every hiccup of the API server.
const SHORTEST_LEASE: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Control) -> Result<Outcome> {
    let format = match args.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    // What these crates say of failures we say ourselves, with the thing that failed; `--log kube_client=...` brings it back.
    logs::init(
        format,
        &format!("kube_client=off,kube_runtime=off,{}", args.log),
    )?;
    let process = Process::prepare(args).await?;
    process.serve().await?;
    Ok(Outcome::Done)
}

/// Everything that lives as long as the process.
struct Process {
    args: Control,
    reports: Reports,
    clock: Clock,
    shutdown: Shutdown,
    fleet: FleetServer,
    server: Server,
    store: Option<Store>,
    accounts: Option<(AccountStates, Component)>,
    herald: Option<Herald>,
    books: Option<JoinHandle<()>>,
}

/// What everything else stands on.
struct Foundation {
    clock: Clock,
    metrics: Metrics,
    health: Health,
    shutdown: Shutdown,
    configs: Configs,
    reports: Reports,
    tally: Tally,
    ready: Ready,
}

impl Process {
    async fn prepare(args: Control) -> Result<Self> {
        let lease = args::as_std(args.lease_duration);
        ensure!(
            lease >= SHORTEST_LEASE,
            "--lease-duration must be at least {SHORTEST_LEASE:?}"
        );
        let token = args
            .http_token_file
            .as_deref()
            .map(read_token)
            .transpose()?;
        let base = Foundation::lay();
        // Before the cluster is asked: whoever stops us while it does not answer is heard.
        base.shutdown.on_signals()?;
        let store = match &args.store {
            Some(folder) => Some(open_store(folder).await?),
            None => None,
        };
        let accounts = accounts::open(args.accounts_database.as_deref(), store.as_ref())?;
        let (books, writing) = base.books(store.clone());
        let running = base.operate(&args, store.clone()).await?;
        let errands = peers::begin(
            &args,
            &base.reports,
            &running,
            &base.metrics,
            &base.shutdown,
        )?;
        let fleet = base
            .serve_fleet(&args, &running, &errands, books, accounts.clone())
            .await?;
        let herald = match &accounts {
            Some(states) => Some(notices::herald(&args, &base, &running, states)?),
            None => None,
        };
        let component = base.health.component("account states");
        match &accounts {
            Some(_) => component.degraded("they are being read"),
            None => component.ok(),
        }
        let sources = base.sources(errands, store.clone(), accounts.clone());
        let server = Server::bind(args.http, token, sources)
            .await
            .map_err(explained)?;
        Ok(Self {
            args,
            reports: base.reports,
            clock: base.clock,
            shutdown: base.shutdown,
            fleet,
            server,
            store,
            accounts: accounts.map(|accounts| (accounts, component)),
            herald,
            books: writing,
        })
    }

    /// Serves until a signal, then drains.
    async fn serve(self) -> Result<()> {
        let Self {
            args,
            reports,
            clock,
            shutdown,
            fleet,
            server,
            store,
            accounts,
            herald,
            books,
        } = self;
        tracing::info!(fleet = %fleet.address(), http = %server.address(), "the control plane serves");
        shutdown.spawn(fleet.run());
        shutdown.spawn(server.run());
        let (watching, ending) = (reports, shutdown.clone());
        shutdown.spawn(async move { watching.run(&ending).await });
        if let Some((accounts, component)) = accounts {
            let (clock, ending) = (clock.clone(), shutdown.clone());
            let work = changes::work(accounts.settings().clone(), clock.clone(), ending.clone());
            shutdown.spawn(work);
            shutdown.spawn(housekeeping::tend_accounts(accounts.clone(), clock, ending));
            shutdown.spawn(accounts::follow(accounts, component, shutdown.clone()));
        }
        if let Some(herald) = herald {
            shutdown.spawn(herald.run(shutdown.clone()));
        }
        if let Some(store) = &store {
            shutdown.spawn(housekeeping::forget_old_records(
                store.clone(),
                clock,
                args.retention,
                shutdown.clone(),
            ));
        }
        shutdown.draining().await;
        let drained = shutdown.drain(args::as_std(args.drain)).await;
        if drained.cut_short > 0 {
            tracing::warn!(tasks = drained.cut_short, "cut short at the end of --drain");
        }
        if let Some(books) = books
            && timeout(LAST_RECORDS, books).await.is_err()
        {
            tracing::error!("the last records were not written in time");
        }
        if let Some(store) = store {
            store.close().await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

impl Foundation {
    fn lay() -> Self {
        let metrics = Metrics::new();
        Self {
            clock: Clock::system(),
            health: Health::default(),
            shutdown: Shutdown::new(),
            configs: Configs::default(),
            reports: Reports::new(metrics.clone()),
            tally: Tally::default(),
            ready: Ready::default(),
            metrics,
        }
    }

    fn books(&self, store: Option<Store>) -> (Books, Option<JoinHandle<()>>) {
        let (tally, clock, metrics) =
            (self.tally.clone(), self.clock.clone(), self.metrics.clone());
        match store {
            None => (Books::without_store(tally, clock, metrics), None),
            Some(store) => {
                let (books, writer) = Books::with_store(store, tally, clock, metrics);
                (books, Some(tokio::spawn(writer.run())))
            }
        }
    }

    /// What the API draws from.
    fn sources(
        &self,
        errands: Errands,
        store: Option<Store>,
        accounts: Option<AccountStates>,
    ) -> Sources {
        Sources {
            running: Arc::new(FleetRunning::new(
                self.configs.clone(),
                self.reports.fleet(),
                errands,
                self.ready.clone(),
            )),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
            shutdown: self.shutdown.clone(),
            configs: self.configs.clone(),
            store,
            accounts,
            tally: self.tally.clone(),
            inbox: None,
            first_message: None,
        }
    }

    async fn operate(&self, args: &Control, store: Option<Store>) -> Result<operator::Running> {
        let client = operator::connect(args.kubeconfig.as_deref()).await?;
        let component = self.health.component("cluster");
        component.not_ready("the objects of the cluster are being read");
        let publisher = Publisher {
            configs: self.configs.clone(),
            ready: self.ready.clone(),
            component,
            store,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            runtime: tokio::runtime::Handle::current(),
        };
        let running = operator::start(
            client,
            config(args),
            Arc::new(publisher),
            self.reports.fleet(),
            self.clock.clone(),
            self.metrics.clone(),
            self.shutdown.clone(),
        );
        Ok(running.await?)
    }

    async fn serve_fleet(
        &self,
        args: &Control,
        running: &operator::Running,
        errands: &Errands,
        books: Books,
        accounts: Option<AccountStates>,
    ) -> Result<FleetServer> {
        let sources = FleetSources {
            metrics: self.metrics.clone(),
            shutdown: self.shutdown.clone(),
            configs: self.configs.clone(),
            reports: self.reports.clone(),
            errands: errands.clone(),
            books,
            accounts,
            clock: self.clock.clone(),
            callers: Arc::new(Reviewed(running.callers.clone())),
            ready: self.ready.clone(),
        };
        let certificates = running.authorities.resolver.clone();
        let webhook = running.webhook.clone();
        FleetServer::bind(args.listen, certificates, sources, webhook)
            .await
            .with_context(|| format!("--listen {}", args.listen))
    }
}

fn config(args: &Control) -> operator::Config {
    operator::Config {
        settings: operator::Settings {
            namespace: args.namespace.clone(),
            service: args.service.clone(),
            proxy_image: args.proxy_image.clone(),
            pull_policy: args.proxy_pull_policy.into(),
        },
        pod: args.pod.clone(),
        address: std::net::SocketAddr::new(args.pod_address, args.listen.port()).to_string(),
        deployment: args.deployment.clone(),
        service_account: args.service_account.clone(),
        namespaces: args.watch_namespaces.clone(),
        cluster_networks: args.cluster_networks.clone(),
        messenger: match (&args.store, &args.accounts_database) {
            (None, None) => Messenger::NoStore,
            _ => Messenger::There,
        },
        webhook: args.webhook_configuration.clone(),
        lease: args::as_std(args.lease_duration),
        certificates: args.tls_dir.clone(),
        lifetimes: operator::Lifetimes {
            authority: args::as_std(args.authority_lifetime),
            leaf: args::as_std(args.certificate_lifetime),
            propagation: args::as_std(args.authority_propagation),
        },
    }
}

async fn open_store(folder: &Path) -> Result<Store> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("the folder {} of --store cannot be made", folder.display()))?;
    Ok(Store::open(&crate::ledger::path(folder)).await?)
}
