//! The other replicas: the one that holds the lease is told what is connected to this one, and has its proxies' errands.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::pki_types::ServerName;
use sekisho_api::Answer;
use sekisho_api::fleet::{Errands, Holder, Introduction, Relay, Replicas, Reports};
use sekisho_operator::{Leadership, Running};
use sekisho_runtime::{Metrics, Shutdown};
use tokio::sync::watch;

use crate::args::Control;

/// Starts to tell the holder, whoever that is, and says how errands are done: there, too. Without a token this is the only replica.
pub(super) fn begin(
    args: &Control,
    reports: &Reports,
    running: &Running,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Result<Errands> {
    let Some(token_file) = args.token_file.clone() else {
        return Ok(Errands::alone(reports.clone()));
    };
    let name = format!("{}.{}.svc", args.service, args.namespace);
    let service = ServerName::try_from(name.clone())
        .with_context(|| format!("{name} is no name of a Service"))?;
    let introduction = Files {
        token_file,
        authorities: running.authorities.bundle.clone(),
    };
    let replicas = Replicas::new(Arc::new(introduction), service);
    let holder = follow(running.leadership.clone(), args.pod.clone(), shutdown);
    let errands = Errands::among(reports.clone(), holder.clone(), replicas.clone());
    let relay = Relay {
        reports: reports.clone(),
        holder,
        replicas,
        metrics: metrics.clone(),
    };
    let ending = shutdown.clone();
    shutdown.spawn(async move { relay.run(&ending).await });
    Ok(errands)
}

/// Who holds the lease, as the relay wants to know it: it changes when another holds it, not at each renewal.
fn follow(
    mut leadership: watch::Receiver<Leadership>,
    own: String,
    shutdown: &Shutdown,
) -> watch::Receiver<Option<Holder>> {
    let (told, holder) = watch::channel(None);
    let ending = shutdown.clone();
    shutdown.spawn(async move {
        loop {
            let now = holder_of(&leadership.borrow_and_update(), &own);
            told.send_if_modified(|known| std::mem::replace(known, now) != now);
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                () = ending.draining() => return,
            }
        }
    });
    holder
}

fn holder_of(leadership: &Leadership, own: &str) -> Option<Holder> {
    if leadership.holder.as_deref()? == own {
        return Some(Holder::Me);
    }
    leadership.address.as_deref()?.parse().ok().map(Holder::At)
}

/// What this replica shows, and what it believes.
struct Files {
    token_file: PathBuf,
    authorities: watch::Receiver<String>,
}

impl Introduction for Files {
    fn token(&self) -> Answer<'_, Result<String, String>> {
        Box::pin(async {
            let read = tokio::fs::read_to_string(&self.token_file).await;
            let token = read.map_err(|error| format!("{}: {error}", self.token_file.display()))?;
            Ok(token.trim().to_owned())
        })
    }

    fn authorities(&self) -> Answer<'_, Result<Vec<u8>, String>> {
        let bundle = self.authorities.borrow().clone();
        Box::pin(async { Ok(bundle.into_bytes()) })
    }
}
