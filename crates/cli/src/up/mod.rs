//! `sekisho up`: everything in one process, from files. Starts what the objects ask for, follows the files, and ends in order.

mod banner;
mod certificates;
mod credentials;
mod follow;
mod gateways;
mod housekeeping;
mod json_lines;
mod records;
mod restrictions;
mod secrets;
mod settings;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_api::{Configs, Inbox, Server, Sources, Tally, Token};
use sekisho_counters::{Counters, Limits};
pub(crate) use sekisho_proxy::last_good;
use sekisho_proxy::ledger::{self, Ledger};
use sekisho_proxy::{Dns, FleetKey, HashPool, MessageMemory, Reach, StateFolder, Webhooks};
use sekisho_runtime::{Clock, Health, Metrics, Shutdown, logs};
use sekisho_store::{AccountStates, Store};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::banner::Banner;
use self::follow::Follower;
use self::gateways::{Gateways, Shared};
use self::json_lines::JsonLines;
use self::records::{Listeners, Witnesses};
use self::restrictions::Desks;
use self::secrets::Secrets;
use self::settings::SettingsBooks;
use crate::args::{self, LogFormat, Up};
use crate::herald::{self, Herald};
use crate::output::{self, Palette};
use crate::service::{self, explained, read_authorities, read_token};
use crate::{Outcome, demo};

/// How long the last records may take to be written.
const LAST_RECORDS: Duration = Duration::from_secs(15);

pub(crate) async fn run(args: Up) -> Result<Outcome> {
    let format = match args.log_format {
        LogFormat::Text => logs::Format::Text,
        LogFormat::Json => logs::Format::Json,
    };
    logs::init(format, &args.log)?;
    let process = Process::prepare(args).await?;
    process.serve().await?;
    Ok(Outcome::Done)
}

/// Everything that lives as long as the process.
struct Process {
    args: Up,
    shutdown: Shutdown,
    gateways: Arc<Gateways>,
    follower: Follower,
    records: JoinHandle<()>,
    server: Server,
    store: Store,
    accounts: AccountStates,
    herald: Herald,
}

/// What the command line names, opened.
struct Named {
    token: Option<Token>,
    json_lines: Option<JsonLines>,
    upstream_ca: Option<(String, Vec<u8>)>,
}

/// What everything else stands on.
struct Foundation {
    clock: Clock,
    metrics: Metrics,
    health: Health,
    shutdown: Shutdown,
    state: StateFolder,
    store: Store,
    key: FleetKey,
}

/// Where records go.
struct Bookkeeping {
    ledger: Ledger,
    tally: Tally,
    records: JoinHandle<()>,
}

impl Process {
    /// Opens and binds whatever can fail; no client is let in yet.
    async fn prepare(args: Up) -> Result<Self> {
        let named = Named::open(&args)?;
        let base = Foundation::lay(&args).await?;
        let follower = Follower::read(
            args.objects.clone(),
            &base.state,
            &base.clock,
            &base.metrics,
            &base.health,
        )?;
        let demo_relays: Vec<_> = follower
            .demos()
            .iter()
            .flat_map(|demo| demo.relays.clone())
            .collect();
        let inbox = (!demo_relays.is_empty()).then(Inbox::default);
        let Bookkeeping {
            ledger,
            tally,
            records,
        } = base.keep_books(inbox.clone(), named.json_lines);
        let (shared, herald) = base.share(&args, named.upstream_ca, follower.secrets(), ledger)?;
        let gateways = Arc::new(Gateways::new(shared));
        let shared = gateways.shared();
        let (shutdown, store) = (shared.shutdown.clone(), shared.store.clone());
        let accounts = shared.accounts.clone();
        if let Some(inbox) = &inbox {
            demo::start(&demo_relays, &shared.clock, &shutdown, inbox).await?;
        }
        let sources = Sources {
            clock: shared.clock.clone(),
            metrics: shared.metrics.clone(),
            health: shared.health.clone(),
            shutdown: shutdown.clone(),
            configs: shared.configs.clone(),
            store: Some(store.clone()),
            accounts: Some(accounts.clone()),
            tally,
            running: gateways.clone(),
            inbox,
            first_message: banner(&args, args.http, &follower, Palette::Plain).first_message(),
        };
        let server = Server::bind(args.http, named.token, sources)
            .await
            .map_err(explained)?;
        Ok(Self {
            args,
            shutdown,
            gateways,
            follower,
            records,
            server,
            store,
            accounts,
            herald,
        })
    }

    /// Serves until a signal, then drains.
    async fn serve(self) -> Result<()> {
        let Self {
            args,
            shutdown,
            gateways,
            follower,
            records,
            server,
            store,
            accounts,
            herald,
        } = self;
        let limit = args::as_std(args.drain);
        shutdown.on_signals()?;
        follower.begin(&gateways).await?;
        gateways.shared().desks.begin_to_store();
        shutdown.spawn(herald.run(shutdown.clone()));
        output::print(&banner(&args, server.address(), &follower, Palette::of_stdout()).draw())?;
        shutdown.spawn(server.run());
        shutdown.spawn(housekeeping::run(gateways.clone()));
        let (clock, ending) = (gateways.shared().clock.clone(), shutdown.clone());
        shutdown.spawn(service::housekeeping::forget_old_records(
            store.clone(),
            clock.clone(),
            args.retention,
            ending.clone(),
        ));
        let work =
            service::changes::work(accounts.settings().clone(), clock.clone(), ending.clone());
        shutdown.spawn(work);
        let tending = service::housekeeping::tend_accounts(accounts, clock, ending);
        shutdown.spawn(tending);
        shutdown.spawn(follower.follow(gateways.clone(), shutdown.clone(), limit));

        shutdown.draining().await;
        let sessions = gateways.drain(limit).await;
        let tasks = shutdown.drain(limit).await.cut_short;
        if sessions + tasks > 0 {
            tracing::warn!(sessions, tasks, "cut short at the end of --drain");
        }
        let soon = tokio::time::Instant::now() + LAST_RECORDS;
        gateways.shared().desks.close(soon).await;
        gateways.shared().settings.close().await;
        // The gateways hold the ends of the ledger's channel.
        drop(gateways);
        if timeout(LAST_RECORDS, records).await.is_err() {
            tracing::error!("the last records were not written in time");
        }
        store.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

impl Named {
    fn open(args: &Up) -> Result<Self> {
        let token = args.http_token_file.as_deref().map(read_token);
        let json_lines = args.ledger_json.as_deref().map(JsonLines::open);
        let upstream_ca = args.upstream_ca.as_deref().map(read_authorities);
        Ok(Self {
            token: token.transpose()?,
            json_lines: json_lines.transpose()?,
            upstream_ca: upstream_ca.transpose()?,
        })
    }
}

impl Foundation {
    async fn lay(args: &Up) -> Result<Self> {
        let state = StateFolder::take(&args.state)?;
        let key_path = state.path().join("fleet.key");
        let key =
            FleetKey::read_or_create(&key_path).with_context(|| key_path.display().to_string())?;
        let store = Store::open(&crate::ledger::path(state.path())).await?;
        Ok(Self {
            clock: Clock::system(),
            metrics: Metrics::new(),
            health: Health::default(),
            shutdown: Shutdown::new(),
            state,
            store,
            key,
        })
    }

    /// Begins to write down what sessions report.
    fn keep_books(&self, inbox: Option<Inbox>, json_lines: Option<JsonLines>) -> Bookkeeping {
        let (ledger, waiting) =
            ledger::channel(ledger::CAPACITY, self.key.clone(), self.metrics.clone());
        let tally = Tally::default();
        let listeners = Listeners {
            tally: tally.clone(),
            inbox,
            json_lines,
        };
        let witnesses = Witnesses {
            metrics: self.metrics.clone(),
            component: self.health.component("ledger"),
        };
        let vital = self.health.vital("ledger");
        let records = records::start(self.store.clone(), waiting, listeners, witnesses, vital);
        Bookkeeping {
            ledger,
            tally,
            records,
        }
    }

    /// What all gateways have in common, and who tells channels once it is known which there are.
    fn share(
        self,
        args: &Up,
        upstream_ca: Option<(String, Vec<u8>)>,
        secrets: Secrets,
        ledger: Ledger,
    ) -> Result<(Shared, Herald)> {
        let accounts = AccountStates::in_ledger(&self.store);
        let dns = Dns::system(self.metrics.clone())?;
        let configs = Configs::default();
        let authorities = upstream_ca.as_ref();
        let authorities = authorities.map(|(name, pem)| (name.as_str(), pem.as_slice()));
        let herald = Herald::new(herald::Tools {
            outbox: accounts.outbox().clone(),
            configs: configs.clone(),
            secrets: Arc::new(secrets.clone()),
            license: Arc::new(herald::Alone),
            // Who writes the files may reach what this process reaches.
            webhooks: Webhooks::new(dns.clone(), authorities, Reach::Anywhere)?,
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        });
        let desks = Desks::new(
            accounts.clone(),
            configs.clone(),
            self.state.path().to_owned(),
            self.clock.clone(),
            self.metrics.clone(),
        );
        let settings = SettingsBooks::new(
            accounts.settings().clone(),
            self.state.path().to_owned(),
            self.metrics.clone(),
        );
        let shared = Shared {
            desks,
            settings,
            accounts,
            listen: args.listen,
            host_name: host_name(args.host_name.as_deref()),
            upstream_ca,
            state: self.state,
            secrets,
            counters: Arc::new(Counters::memory(Limits::default())),
            dns,
            hashing: HashPool::new(self.metrics.clone()),
            key: self.key,
            message_memory: MessageMemory::new(usize::try_from(args.message_memory.as_bytes())?),
            ledger,
            store: self.store,
            clock: self.clock,
            metrics: self.metrics,
            health: self.health,
            shutdown: self.shutdown,
            configs,
        };
        Ok((shared, herald))
    }
}

fn banner<'a>(args: &Up, http: SocketAddr, follower: &'a Follower, palette: Palette) -> Banner<'a> {
    Banner {
        snapshots: follower.snapshots().collect(),
        listen: args.listen,
        http,
        demos: follower.demos(),
        palette,
    }
}

/// The machine's name, unless another is wanted.
fn host_name(wanted: Option<&str>) -> String {
    wanted.map_or_else(
        || {
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned()
        },
        str::to_owned,
    )
}
