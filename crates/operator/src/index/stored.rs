//! The snapshot objects of a namespace: which are believed, and what they said when they went.
//!
//! A ConfigMap may be written by others. It is looked at only if the gateway exists and owns it, so whoever may write ConfigMaps
//! in a namespace cannot make us unpack what nobody asked for; and what it says of the future is not believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use sekisho_crd::Kind;
use sekisho_policy::Envelope;

use super::{Namespace, Touched};
use crate::snapshots::{self, Stored};
use crate::status::Since;
use crate::watch::Item;
use crate::workload;

/// Snapshot objects that came before their gateway; more are not kept, and are written anew.
const MOST_EARLY: usize = 64;
/// A generation is a time in milliseconds. One that is more than a day ahead was not made by a control plane, and nothing could
/// ever overtake it.
pub(crate) const FUTURE_MS: u64 = 86_400_000;

/// What lies in the snapshot objects of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    /// By gateway.
    pub(super) stored: BTreeMap<String, Stored>,
    /// What lay in objects that somebody deleted: their rules are still the last good ones.
    lost: BTreeMap<String, Arc<Envelope>>,
    /// Since which generation each gateway's objects are as they are.
    since: BTreeMap<String, Since>,
    /// Objects whose gateway is not there yet.
    early: BTreeMap<String, Item>,
}

impl Snapshots {
    /// What lies in the object of a gateway.
    pub(crate) fn of(&self, gateway: &str) -> Option<&Stored> {
        self.stored.get(gateway)
    }

    /// The last good snapshot of a gateway.
    pub(crate) fn last(&self, gateway: &str) -> Option<&Arc<Envelope>> {
        let stored = self.stored.get(gateway).map(|stored| &stored.envelope);
        stored.or_else(|| self.lost.get(gateway))
    }

    /// Since which generation the objects of a gateway are as they are.
    pub(crate) fn since(&self, gateway: &str) -> Option<&Since> {
        self.since.get(gateway)
    }

    pub(super) fn names(&self) -> Vec<String> {
        let gateways = self.stored.keys().chain(self.early.keys());
        gateways
            .map(|gateway| snapshots::name_of(gateway))
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.early.is_empty()
    }

    fn gateway_of(&self, object: &str) -> Option<String> {
        let mut gateways = self.stored.keys().chain(self.early.keys());
        gateways
            .find(|gateway| snapshots::name_of(gateway) == object)
            .cloned()
    }
}

impl Namespace {
    pub(super) fn apply_snapshot(&mut self, item: Item, now_ms: u64, touched: &mut Touched) {
        let namespace = item.namespace().to_owned();
        let gateway = item.label(snapshots::LABEL).unwrap_or_default().to_owned();
        let Some(known) = self.known.get(&(Kind::MailGateway, gateway.clone())) else {
            if self.snapshots.early.len() < MOST_EARLY {
                self.snapshots.early.insert(gateway, item);
            }
            return;
        };
        touched.echoes.insert(namespace.clone());
        if !workload::is_own(&item.metadata, &known.uid) {
            tracing::warn!(
                namespace,
                name = item.name(),
                "a snapshot object is not the gateway's and is not looked at"
            );
            return;
        }
        match snapshots::read(&item).and_then(|read| believable(read, now_ms)) {
            Ok(stored) => {
                let since = self.snapshots.since.entry(gateway.clone()).or_default();
                since.note(&stored.envelope.snapshot, stored.envelope.generation);
                self.snapshots.lost.remove(&gateway);
                let envelope = stored.envelope.clone();
                let before = self.snapshots.stored.insert(gateway.clone(), stored);
                if before.is_none_or(|before| before.envelope != envelope) {
                    touched.snapshots.insert((namespace, gateway));
                }
            }
            Err(why) => {
                tracing::error!(
                    namespace,
                    name = item.name(),
                    why,
                    "a snapshot object cannot be used; it is written anew"
                );
                if let Some(stored) = self.snapshots.stored.get_mut(&gateway) {
                    // What it held is still served; that it lies there no more makes the holder write it again.
                    stored.authorities.clear();
                    stored.resource_version =
                        item.metadata.resource_version.clone().unwrap_or_default();
                }
            }
        }
    }

    pub(super) fn delete_snapshot(&mut self, namespace: &str, object: &str, touched: &mut Touched) {
        let Some(gateway) = self.snapshots.gateway_of(object) else {
            return;
        };
        self.snapshots.early.remove(&gateway);
        if let Some(stored) = self.snapshots.stored.remove(&gateway) {
            if self.has_gateway(&gateway) {
                self.snapshots.lost.insert(gateway.clone(), stored.envelope);
            }
            touched.snapshots.insert((namespace.to_owned(), gateway));
        }
    }

    /// A gateway is new, or another one of the same name: what lies in its object, if that came first, counts from now on.
    pub(super) fn gateway_came(
        &mut self,
        namespace: &str,
        gateway: &str,
        now_ms: u64,
        touched: &mut Touched,
    ) {
        touched
            .snapshots
            .insert((namespace.to_owned(), gateway.to_owned()));
        if let Some(early) = self.snapshots.early.remove(gateway) {
            self.apply_snapshot(early, now_ms, touched);
        }
    }

    pub(super) fn gateway_went(&mut self, namespace: &str, gateway: &str, touched: &mut Touched) {
        self.snapshots.stored.remove(gateway);
        self.snapshots.lost.remove(gateway);
        self.snapshots.since.remove(gateway);
        // Nobody waits for the garbage collector to stop serving it.
        touched
            .snapshots
            .insert((namespace.to_owned(), gateway.to_owned()));
    }
}

fn believable(read: (sekisho_compile::ObjectKey, Stored), now_ms: u64) -> Result<Stored, String> {
    let (_, stored) = read;
    let generation = stored.envelope.generation;
    if generation > now_ms.saturating_add(FUTURE_MS) {
        return Err(format!(
            "its generation {generation} lies more than a day ahead"
        ));
    }
    Ok(stored)
}
