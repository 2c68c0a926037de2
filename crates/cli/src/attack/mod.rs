//! `sekisho attack`: honest senders and one stolen account against a gateway on this machine, and what became of each
//! message. It connects to loopback addresses only; the countries that clients come from are in PROXY headers.

mod client;
mod outcome;
mod random;
mod report;
mod run;
mod scenario;
mod texts;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, bail, ensure};
use sekisho_policy::snapshot::{Listener, ListenerTls, Snapshot};
use sekisho_runtime::Clock;
use serde::Deserialize;

use crate::args::Attack;
use crate::objects::Compiled;
use crate::output;
use crate::server::Server;
use run::Run;
use scenario::Scenario;
use texts::Texts;

/// How long the ledger may take to write down what happened.
const LEDGER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(command: Attack) -> Result<()> {
    let compiled = Compiled::read(&command.objects);
    if let Some(error) = compiled.diagnostics.iter().find(|found| found.is_error()) {
        bail!("{error}");
    }
    let target = Target::find(&command, &compiled)?;
    let server = Server::at(&command.url, command.token_file.as_deref())?;
    let running = running(&server, &command).await?;
    let seed = command.seed.unwrap_or_else(|| Clock::system().now_ms());
    let scenario = Scenario::gather(&compiled.demos, &target.snapshot.gateway, seed)?;
    let texts = Texts::gather(command.corpus.as_deref());
    output::print(&report::opening(&running, &target, &scenario, &texts))?;
    let run = Run {
        address: target.address,
        scenario: &scenario,
        texts: &texts,
        lasts: Duration::from_millis(command.lasts.0),
    };
    let traffic = run.send_all().await?;
    let outcomes = outcome::learn(&server, &traffic, LEDGER_WITHIN).await?;
    output::print(&report::closing(
        target.snapshot,
        &scenario,
        &traffic,
        &outcomes,
    ))
}

/// What is asked of the overview.
#[derive(Deserialize)]
struct Running {
    version: String,
    transactions: Transactions,
}

/// How transactions ended since the gateway was started.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Transactions {
    delivered: u64,
    refused_by_policy: u64,
    refused_by_next_hop: u64,
    uncertain: u64,
    failed: u64,
    abandoned: u64,
}

impl Transactions {
    fn total(&self) -> u64 {
        [
            self.delivered,
            self.refused_by_policy,
            self.refused_by_next_hop,
            self.uncertain,
            self.failed,
            self.abandoned,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}

async fn running(server: &Server, command: &Attack) -> Result<Running> {
    let nobody = |error: Error| {
        error.context(format!(
            "nothing of Sekisho answers at {}: `sekisho up {}` in another terminal first",
            command.url,
            command.objects.display()
        ))
    };
    match server.fetch("/v1/overview").await {
        Ok(Some(running)) => Ok(running),
        Ok(None) => Err(nobody(Error::msg("there is no overview"))),
        Err(error) if error.root_cause().is::<io::Error>() => Err(nobody(error)),
        Err(error) => Err(error),
    }
}

/// The gateway, and where it is talked to.
struct Target<'a> {
    snapshot: &'a Snapshot,
    address: SocketAddr,
}

impl<'a> Target<'a> {
    /// A listener that takes clients from loopback behind a PROXY header, without TLS: that of a load balancer.
    fn find(command: &Attack, compiled: &'a Compiled) -> Result<Self> {
        let connect = command.connect;
        ensure!(
            connect.is_loopback(),
            "{connect}: an attack is played on this machine alone"
        );
        let fits = |listener: &&Listener| {
            let trusted = listener.proxy_from.iter().flatten();
            listener.tls == ListenerTls::Off
                && trusted
                    .into_iter()
                    .any(|network| network.contains(&connect))
        };
        let mut snapshots = compiled.gateways.values().flatten();
        let found = snapshots.find_map(|snapshot| {
            let listener = snapshot.gateway.listeners.iter().find(fits)?;
            let address = SocketAddr::new(connect, listener.port);
            Some(Self { snapshot, address })
        });
        found.with_context(|| {
            format!(
                "{}: no gateway has a listener with `tls: \"Off\"` and `proxyProtocol: {{ mode: Required, from: [{connect}/{}] }}`, by which clients from everywhere could be played",
                command.objects.display(),
                if connect.is_ipv4() { 32 } else { 128 }
            )
        })
    }
}
