//! Which snapshot objects are to be written.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};
use sekisho_compile::ObjectKey;
use sekisho_policy::{Envelope, Snapshot};

use super::{Memory, Turn, print};
use crate::error::Error;
use crate::index::FUTURE_MS;
use crate::snapshots::{Wanted, name_of};
use crate::workload;
use crate::writer::What;

/// A proxy that claims to be ahead is overtaken no more often, in milliseconds: one that lies must not make us write all day.
const OVERTAKE_EVERY: u64 = 30_000;

impl Memory {
    pub(super) fn snapshots(&mut self, turn: &Turn<'_>) {
        for (gateway, body) in turn.bodies {
            let Some(owner) = turn.owner(gateway) else {
                continue;
            };
            let path = turn.path(gateway);
            let stored = turn.held.snapshots.of(gateway);
            let may_overtake = self
                .overtaken
                .get(&path)
                .is_none_or(|last| turn.now_ms.saturating_sub(*last) >= OVERTAKE_EVERY);
            let (envelope, overtakes) = match body {
                Some(body) => turn.next(gateway, body, may_overtake),
                // The rules stay as they are; the authorities beside them must not.
                None => match turn.held.snapshots.last(gateway) {
                    Some(last) => (last.clone(), false),
                    None => continue,
                },
            };
            if overtakes {
                self.overtaken.insert(path.clone(), turn.now_ms);
            }
            let is_there = stored.is_some_and(|stored| {
                stored.envelope == envelope && stored.authorities == turn.tools.authorities
            });
            if is_there {
                self.is_settled(What::Snapshot, &path);
                continue;
            }
            let replaces = stored.map(|stored| stored.resource_version.clone());
            let basis = replaces.as_deref().unwrap_or_default().as_bytes();
            // Not the generation: it is the time, and would be another one at each look.
            let wish = print(&[
                envelope.digest.as_bytes(),
                turn.tools.authorities.as_bytes(),
                basis,
            ]);
            if !self.is_new(What::Snapshot, &path, wish) {
                continue;
            }
            tracing::info!(
                gateway = path,
                generation = envelope.generation,
                digest = envelope.digest,
                "a new snapshot"
            );
            let wanted = Wanted {
                gateway: ObjectKey::new(turn.namespace, gateway),
                owner,
                envelope,
                authorities: turn.tools.authorities.clone(),
                replaces,
            };
            let client = turn.tools.client.clone();
            turn.tools.writer.put(What::Snapshot, path, move || {
                write(client.clone(), wanted.clone())
            });
        }
    }
}

impl Turn<'_> {
    /// The envelope that is to be in force: the last one if its body is the same and no proxy is ahead of it.
    fn next(&self, gateway: &str, body: &Snapshot, may_overtake: bool) -> (Arc<Envelope>, bool) {
        let last = self.held.snapshots.last(gateway);
        let ahead = self
            .generation_ahead(gateway, last)
            .filter(|_| may_overtake);
        if let Some(last) = last
            && last.snapshot == *body
            && ahead.is_none()
        {
            return (last.clone(), false);
        }
        let after = last
            .map_or(0, |last| last.generation)
            .max(ahead.unwrap_or_default());
        let generation = after.saturating_add(1).max(self.now_ms);
        (
            Arc::new(Envelope::seal(generation, body.clone())),
            ahead.is_some(),
        )
    }

    /// The generation of a proxy that enforces something later than what is published, as it is after the cluster was restored
    /// from an older backup. It would refuse anything older, so what is published must overtake it.
    fn generation_ahead(&self, gateway: &str, last: Option<&Arc<Envelope>>) -> Option<u64> {
        let published = last.map_or(0, |last| last.generation);
        let proxies = self.tools.fleet.get(&self.path(gateway))?;
        let reported = proxies
            .values()
            .filter_map(|report| report.in_force.as_ref());
        reported
            .map(|revision| revision.generation)
            .filter(|generation| {
                *generation > published && *generation < self.now_ms.saturating_add(FUTURE_MS)
            })
            .max()
    }
}

async fn write(client: Client, wanted: Wanted) -> Result<(), Error> {
    let mut object = wanted.object()?;
    let api: Api<ConfigMap> = Api::namespaced(client, &wanted.gateway.namespace);
    let name = name_of(&wanted.gateway.name);
    let what = format!("the ConfigMap {}/{name}", wanted.gateway.namespace);
    let writing = || Error::api(format!("writing {what}"));
    let params = PostParams::default();
    if wanted.replaces.is_none() {
        match api.create(&params, &object).await {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(writing()(error)),
        }
        // It is there without our label: ours that somebody spoilt, or somebody else's.
        let found = api.get_metadata(&name).await.map_err(writing())?;
        if !workload::is_own(&found.metadata, &wanted.owner.uid) {
            return Err(Error::NotOurs(what));
        }
        object.metadata.resource_version = found.metadata.resource_version;
    }
    let replaced = api.replace(&name, &params, &object).await;
    replaced.map(drop).map_err(writing())
}
