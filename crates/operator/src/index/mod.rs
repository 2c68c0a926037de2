//! What the cluster holds, as far as we are told: changed by watches, read by whoever decides. Synchronous and without IO.

mod bystanders;
mod namespace;
mod stored;

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use sekisho_compile::Messenger;
use sekisho_crd::Kind;

use crate::watch::{Change, Item};
pub(crate) use bystanders::{LabelledPod, OwnedKind};
pub(crate) use namespace::{KnownObject, Namespace};
pub(crate) use stored::FUTURE_MS;

/// What a watch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watched {
    Kind(Kind),
    /// Snapshot objects.
    Snapshots,
    /// Secrets, without what they hold.
    Secrets,
    /// What the operator made, without what it holds.
    Owned(OwnedKind),
    /// Pods that ask for a sidecar.
    Pods,
    NetworkPolicies,
    Namespaces,
}

/// Which watch says something: what it is of, and of which namespace; none is all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label {
    pub(crate) of: Watched,
    pub(crate) namespace: Option<String>,
}

/// Everything that is known.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) namespaces: BTreeMap<String, Namespace>,
    /// The labels of the namespaces themselves, where they may be watched.
    pub(crate) namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    cluster_networks: Vec<IpNet>,
    messenger: Messenger,
    /// The watches that were begun and have not said yet what there is.
    awaited: BTreeSet<Label>,
    /// What was said of snapshot objects before it was known which gateways there are.
    early: Vec<(Label, Change)>,
}

/// What a change touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Namespaces in which somebody changed something.
    pub(crate) namespaces: BTreeSet<String>,
    /// Namespaces of which we hear what, as a rule, we wrote ourselves: statuses, snapshots, what is made for gateways.
    pub(crate) echoes: BTreeSet<String>,
    /// Gateways (namespace, name) whose snapshot object is another one, or gone.
    pub(crate) snapshots: BTreeSet<(String, String)>,
}

impl Index {
    pub(crate) fn new(
        cluster_networks: Vec<IpNet>,
        messenger: Messenger,
        awaited: BTreeSet<Label>,
    ) -> Self {
        Self {
            cluster_networks,
            messenger,
            awaited,
            ..Self::default()
        }
    }

    /// Whether every watch has said what there is.
    pub(crate) fn is_complete(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Whether every watch has said what there is of a namespace. Before that nothing is decided about it: what was not seen yet
    /// is not gone. Where namespaces are watched one by one, one that may not be read any more holds up no other.
    pub(crate) fn is_read(&self, namespace: &str) -> bool {
        !self
            .awaited
            .iter()
            .any(|label| label.namespace.as_deref().is_none_or(|of| of == namespace))
    }

    /// The watches that have not said anything yet.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = &Label> {
        self.awaited.iter()
    }

    /// The namespaces with a gateway that blocks bypasses.
    pub(crate) fn blocking(&self) -> Vec<String> {
        let blocks = |held: &Namespace| {
            let mut specs = held
                .objects
                .gateways
                .values()
                .filter_map(|object| object.spec());
            specs.any(|spec| spec.block_bypass.is_some())
        };
        let all = self.namespaces.iter().filter(|(_, held)| blocks(held));
        all.map(|(name, _)| name.clone()).collect()
    }

    /// Takes note of what a watch says.
    pub(crate) fn take(&mut self, label: &Label, change: Change, now_ms: u64) -> Touched {
        let mut touched = Touched::default();
        let gateways = Label {
            of: Watched::Kind(Kind::MailGateway),
            namespace: label.namespace.clone(),
        };
        if label.of == Watched::Snapshots && self.awaited.contains(&gateways) {
            self.early.push((label.clone(), change));
            return touched;
        }
        self.take_now(label, change, now_ms, &mut touched);
        if *label == gateways && !self.awaited.contains(&gateways) {
            let early = std::mem::take(&mut self.early);
            let (ours, others) = early
                .into_iter()
                .partition(|(early, _)| early.namespace == label.namespace);
            self.early = others;
            for (label, change) in ours {
                self.take_now(&label, change, now_ms, &mut touched);
            }
        }
        touched
    }

    fn take_now(&mut self, label: &Label, change: Change, now_ms: u64, touched: &mut Touched) {
        match change {
            Change::Applied(item) => self.apply(label.of, *item, now_ms, touched),
            Change::Deleted(item) => self.delete(label.of, item.namespace(), item.name(), touched),
            Change::All(items) => {
                self.reset(label, items, now_ms, touched);
                self.awaited.remove(label);
            }
        }
    }

    /// These are all there are: those that are not among them are gone.
    fn reset(&mut self, label: &Label, items: Vec<Item>, now_ms: u64, touched: &mut Touched) {
        let there: BTreeSet<(String, String)> = items
            .iter()
            .map(|item| (item.namespace().to_owned(), item.name().to_owned()))
            .collect();
        let gone: Vec<(String, String)> = self
            .names(label)
            .filter(|name| !there.contains(name))
            .collect();
        for (namespace, name) in gone {
            self.delete(label.of, &namespace, &name, touched);
        }
        for item in items {
            self.apply(label.of, item, now_ms, touched);
        }
    }

    /// The objects that a watch is of, by namespace and name.
    fn names(&self, label: &Label) -> Box<dyn Iterator<Item = (String, String)> + '_> {
        if label.of == Watched::Namespaces {
            return Box::new(
                self.namespace_labels
                    .keys()
                    .map(|name| (String::new(), name.clone())),
            );
        }
        let of = label.of;
        let wanted = label.namespace.clone();
        let namespaces = self
            .namespaces
            .iter()
            .filter(move |(name, _)| wanted.as_ref().is_none_or(|wanted| wanted == *name));
        Box::new(namespaces.flat_map(move |(namespace, held)| {
            held.names(of)
                .into_iter()
                .map(|name| (namespace.clone(), name))
        }))
    }

    fn apply(&mut self, of: Watched, item: Item, now_ms: u64, touched: &mut Touched) {
        if of == Watched::Namespaces {
            let labels = item.metadata.labels.clone().unwrap_or_default();
            let before = self
                .namespace_labels
                .insert(item.name().to_owned(), labels.clone());
            if before.is_none_or(|before| before != labels) {
                // A namespace that asks for, or no longer asks for, a gateway of another namespace.
                touched.namespaces.extend(self.blocking());
            }
            return;
        }
        let namespace = item.namespace().to_owned();
        let (networks, messenger) = (&self.cluster_networks, self.messenger);
        let held = self
            .namespaces
            .entry(namespace.clone())
            .or_insert_with(|| Namespace::new(networks.clone(), messenger));
        held.apply(of, item, now_ms, touched);
    }

    fn delete(&mut self, of: Watched, namespace: &str, name: &str, touched: &mut Touched) {
        if of == Watched::Namespaces {
            self.namespace_labels.remove(name);
            touched.namespaces.extend(self.blocking());
            return;
        }
        if let Some(held) = self.namespaces.get_mut(namespace) {
            held.delete(of, namespace, name, touched);
            if held.is_empty() {
                self.namespaces.remove(namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests;
