//! `sekisho attack`: honest senders and one stolen account, played against a gateway on this machine, and what became of
//! each message. It connects to loopback addresses only; the countries that clients come from are in PROXY headers.

mod cast;
mod client;
mod fate;
mod play;
mod random;
mod report;
mod texts;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sekisho_policy::snapshot::{ListenerTls, Snapshot};
use sekisho_runtime::Clock;
use serde::Deserialize;

use crate::args::Attack;
use crate::objects::Compiled;
use crate::output;
use crate::server::Server;
use cast::Cast;
use play::Stage;
use texts::Texts;

/// How long the ledger may take to write down what happened.
const LEDGER_WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(command: Attack) -> Result<()> {
    let compiled = Compiled::read(&command.objects);
    let address = door(&command, &compiled)?;
    let server = Server::at(&command.url, None)?;
    let running: Running = server
        .fetch("/v1/overview")
        .await
        .and_then(|overview| overview.context("there is nothing of the sort"))
        .with_context(|| {
            format!(
                "nothing of Sekisho answers at {}: `sekisho up {}` in another terminal first",
                command.url,
                command.objects.display()
            )
        })?;
    let clock = Clock::system();
    let cast = Cast::gather(&compiled, clock.now_ms())?;
    let texts = Texts::gather(command.corpus.as_deref());
    output::print(&report::opening(&running.version, address, &cast, &texts))?;
    let stage = Stage {
        address,
        cast: &cast,
        texts: &texts,
        lasts: Duration::from_millis(command.lasts.0),
    };
    let played = stage.play().await?;
    let fates = fate::learn(&server, &played, LEDGER_WITHIN).await?;
    output::print(&report::closing(&cast, &played, &fates))
}

/// What is asked of the overview.
#[derive(Deserialize)]
struct Running {
    version: String,
}

/// The listener that takes clients from loopback behind a PROXY header, without TLS: that of a load balancer.
fn door(command: &Attack, compiled: &Compiled) -> Result<SocketAddr> {
    ensure!(
        command.connect.is_loopback(),
        "{}: an attack is played on this machine alone",
        command.connect
    );
    let mut listeners = compiled
        .gateways
        .values()
        .flatten()
        .flat_map(|snapshot: &Snapshot| &snapshot.gateway.listeners);
    let fits = listeners.find(|listener| {
        listener.tls == ListenerTls::Off
            && listener.proxy_from.as_ref().is_some_and(|from| {
                from.iter()
                    .any(|network| network.contains(&command.connect))
            })
    });
    match fits {
        Some(listener) => Ok(SocketAddr::new(command.connect, listener.port)),
        None => bail!(
            "{}: no gateway has a listener with `tls: \"Off\"` and `proxyProtocol: {{ mode: Required, from: [{}/32] }}`, by which clients from everywhere could be played",
            command.objects.display(),
            command.connect
        ),
    }
}
