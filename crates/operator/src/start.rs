//! Puts the operator together and lets it run.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client};
use sekisho_compile::Messenger;
use sekisho_policy::Fleet;
use sekisho_runtime::{Clock, Metrics, Shutdown};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::authority::{Authorities, Keeper, Source};
use crate::callers::Callers;
use crate::cluster_keys::ClusterKeys;
use crate::decide::{AdminPolicies, Memory, Tools};
use crate::error::Error;
use crate::gateways::Gateways;
use crate::index::Index;
use crate::lease::{self, Candidate, Leadership};
use crate::operator::{Ears, Operator, PATIENCE, Publish};
use crate::secrets::{ChannelSecrets, Secrets};
use crate::settings::Settings;
use crate::{Lifetimes, inject, watches, webhook, writer};

/// What the operator is told by its process.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the objects of gateways are made with.
    pub settings: Settings,
    /// This replica's pod, and `ip:port` where the other replicas reach it.
    pub pod: String,
    /// See `pod`.
    pub address: String,
    /// The Deployment of the control plane: what it makes for itself is deleted with it.
    pub deployment: Option<String>,
    /// The control plane's service account.
    pub service_account: String,
    /// The namespaces that are looked at; none are all.
    pub namespaces: Vec<String>,
    /// Addresses that are the cluster's own.
    pub cluster_networks: Vec<IpNet>,
    /// Whether this process tells channels of restrictions.
    pub messenger: Messenger,
    /// The MutatingWebhookConfiguration that is told our authorities.
    pub webhook: Option<String>,
    /// How long a holder of the lease may be silent.
    pub lease: Duration,
    /// A folder with a certificate and its authority; without it there is an authority of our own.
    pub certificates: Option<std::path::PathBuf>,
    /// How long our own certificates last.
    pub lifetimes: Lifetimes,
}

/// What runs, for those that serve.
pub struct Running {
    /// Checks the tokens of callers.
    pub callers: Callers,
    /// The certificates of the server.
    pub authorities: Authorities,
    /// What messages for channels are signed with.
    pub channel_secrets: ChannelSecrets,
    /// Who writes.
    pub leadership: watch::Receiver<Leadership>,
    /// The routes of the webhook that injects sidecars.
    pub webhook: axum::Router,
}

/// The name of the Lease.
const LEASE: &str = "sekisho-control";

/// Starts the operator. What is published goes to `publisher`; what is connected comes from `fleet`.
///
/// # Errors
/// The API server cannot be asked, or there is no certificate and none can be made.
pub async fn start(
    client: Client,
    config: Config,
    publisher: Arc<dyn Publish>,
    fleet: watch::Receiver<Arc<Fleet>>,
    clock: Clock,
    metrics: Metrics,
    shutdown: Shutdown,
) -> Result<Running, Error> {
    let owner = owner(&client, &config).await?;
    let (told, leadership) = watch::channel(Leadership::default());
    let candidate = Candidate {
        identity: config.pod.clone(),
        address: config.address.clone(),
        namespace: config.settings.namespace.clone(),
        lease: LEASE.to_owned(),
        duration: config.lease,
        owner: owner.clone(),
    };
    // Not among the tasks that are waited for at the end: it gives the lease back when the others drain.
    let campaign = lease::campaign(
        client.clone(),
        candidate,
        clock.clone(),
        Arc::new(told),
        shutdown.clone(),
    );
    shutdown.spawn(campaign);
    let keeper = Keeper::new(
        client.clone(),
        source(&config, owner.clone()),
        names(&config),
        clock.clone(),
        metrics.clone(),
        leadership.clone(),
    );
    let authorities = keeper.start(&shutdown).await?;
    let (writer, done) = writer::start(leadership.clone(), &shutdown);
    let (findings, heard) = mpsc::unbounded_channel();
    let namespace = config.settings.namespace.clone();
    let secrets = Secrets::new(
        client.clone(),
        clock.clone(),
        namespace.clone(),
        owner,
        findings,
    );
    let admin_policies = match config.namespaces.as_slice() {
        [] => AdminPolicies::discover(&client).await?,
        // They are of the whole cluster, and our rights are not.
        _ => AdminPolicies::Absent,
    };
    let (seen, begun) = watches::begin(&client, &config.namespaces, &shutdown);
    let gateways = Gateways::default();
    let connected = fleet.borrow().clone();
    if let Some(name) = config.webhook.clone() {
        let keeping = webhook::keep(
            client.clone(),
            name,
            authorities.bundle.clone(),
            leadership.clone(),
            shutdown.clone(),
        );
        shutdown.spawn(keeping);
    }
    let reporter = Reporter {
        controller: "sekisho.dev/control".to_owned(),
        instance: Some(config.pod.clone()),
    };
    let cluster_keys = ClusterKeys::start(client.clone(), &shutdown);
    let changed_keys = cluster_keys.changes();
    let operator = Operator {
        index: Index::new(config.cluster_networks.clone(), config.messenger, begun),
        tools: Tools {
            recorder: Recorder::new(client.clone(), reporter),
            client: client.clone(),
            writer,
            secrets,
            settings: Arc::new(config.settings.clone()),
            metrics: metrics.clone(),
            gateways: gateways.clone(),
            admin_policies,
            fleet: connected,
            authorities: authorities.bundle.borrow().clone(),
            cluster_keys,
        },
        ears: Ears {
            seen,
            fleet,
            leadership: leadership.clone(),
            authorities: authorities.bundle.clone(),
            cluster_keys: changed_keys,
            done,
            findings: heard,
        },
        memory: Memory::default(),
        publisher,
        clock,
        metrics,
        dirty: Default::default(),
        leads: false,
        settled: None,
        said_complete: false,
        impatient: Some(Instant::now() + PATIENCE),
        spent: Duration::ZERO,
    };
    shutdown.spawn(operator.run(shutdown.clone()));
    Ok(Running {
        channel_secrets: ChannelSecrets::new(client.clone()),
        callers: Callers::new(client, &namespace, &config.service_account),
        authorities,
        leadership,
        webhook: inject::router(Arc::new(config.settings.clone()), Arc::new(gateways)),
    })
}

/// The control plane's own Deployment, by which the cluster cleans up after an uninstall.
async fn owner(client: &Client, config: &Config) -> Result<Option<OwnerReference>, Error> {
    let Some(name) = &config.deployment else {
        return Ok(None);
    };
    let namespace = &config.settings.namespace;
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let found = api.get_metadata_opt(name).await;
    let found = found.map_err(Error::api(format!(
        "reading the Deployment {namespace}/{name}"
    )))?;
    if found.is_none() {
        tracing::warn!(
            namespace,
            name,
            "the control plane's own Deployment is not there; what it makes for itself stays after an uninstall"
        );
    }
    Ok(found.and_then(|found| {
        Some(OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name: name.clone(),
            uid: found.metadata.uid?,
            ..OwnerReference::default()
        })
    }))
}

fn source(config: &Config, owner: Option<OwnerReference>) -> Source {
    match &config.certificates {
        Some(folder) => Source::Folder(folder.clone()),
        None => Source::Own {
            namespace: config.settings.namespace.clone(),
            lifetimes: config.lifetimes,
            owner,
        },
    }
}

/// The names by which proxies, replicas and the API server know the control plane.
fn names(config: &Config) -> Vec<String> {
    let Settings {
        namespace, service, ..
    } = &config.settings;
    let address = config
        .address
        .rsplit_once(':')
        .map(|(host, _)| host.trim_matches(['[', ']']));
    let mut names = vec![
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
        format!("{service}.{namespace}"),
    ];
    names.extend(address.map(str::to_owned));
    names
}
