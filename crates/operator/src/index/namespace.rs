//! One namespace: what is compiled together, since no reference leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use sekisho_compile::{Diagnostic, ObjectKey, Objects, Platform, SecretKeys, cluster};
use sekisho_crd::{Kind, Status};
use sekisho_policy::Envelope;
use serde_json::{Value, json};

use super::{LabelledPod, OwnedKind, Touched, Watched};
use crate::labels;
use crate::snapshots::{self, Stored};
use crate::status::Since;
use crate::watch::Item;

/// What is known of one namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// The objects as `compile` takes them.
    pub(crate) objects: Objects,
    /// What else is known of each object.
    pub(crate) known: BTreeMap<(Kind, String), KnownObject>,
    /// The snapshot objects, by gateway.
    pub(crate) snapshots: BTreeMap<String, Stored>,
    /// What lay in snapshot objects that somebody deleted: their rules are still the last good ones.
    pub(crate) lost: BTreeMap<String, Arc<Envelope>>,
    /// Since which generation each gateway's objects are as they are.
    pub(crate) since: BTreeMap<String, Since>,
    /// The resource version of each Secret.
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) owned: BTreeMap<(OwnedKind, String), OwnedSeen>,
    pub(crate) pods: BTreeMap<String, LabelledPod>,
    /// As the API server holds them.
    pub(crate) policies: BTreeMap<String, Value>,
}

/// One object of our kinds, beside what it says.
#[derive(Clone, Debug)]
pub(crate) struct KnownObject {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) status: Option<Status>,
    /// What is wrong with it alone.
    pub(crate) findings: Vec<Diagnostic>,
}

/// One object that the operator made, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnedSeen {
    pub(crate) uid: String,
    /// The gateway that it is of, by name and by the uid of its owner.
    pub(crate) gateway: String,
    pub(crate) owner: String,
    /// Changes when somebody changes what the object says.
    pub(crate) version: String,
}

/// What is new about an object of our kinds.
enum News {
    Nothing,
    /// Its status alone.
    Status,
    /// What it says.
    Said,
}

impl Namespace {
    pub(super) fn new(cluster_networks: Vec<IpNet>) -> Self {
        Self {
            objects: Objects {
                platform: Platform::Cluster,
                cluster_networks,
                ..Objects::default()
            },
            known: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            lost: BTreeMap::new(),
            since: BTreeMap::new(),
            secrets: BTreeMap::new(),
            owned: BTreeMap::new(),
            pods: BTreeMap::new(),
            policies: BTreeMap::new(),
        }
    }

    pub(crate) fn has_gateway(&self, name: &str) -> bool {
        self.known
            .contains_key(&(Kind::MailGateway, name.to_owned()))
    }

    /// The last good snapshot of a gateway.
    pub(crate) fn last(&self, gateway: &str) -> Option<&Arc<Envelope>> {
        let stored = self.snapshots.get(gateway).map(|stored| &stored.envelope);
        stored.or_else(|| self.lost.get(gateway))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
            && self.snapshots.is_empty()
            && self.secrets.is_empty()
            && self.owned.is_empty()
            && self.pods.is_empty()
            && self.policies.is_empty()
    }

    pub(super) fn names(&self, of: Watched) -> Vec<String> {
        match of {
            Watched::Kind(kind) => {
                let same = self.known.keys().filter(|(each, _)| *each == kind);
                same.map(|(_, name)| name.clone()).collect()
            }
            Watched::Snapshots => self
                .snapshots
                .keys()
                .map(|gateway| snapshots::name_of(gateway))
                .collect(),
            Watched::Secrets => self.secrets.keys().cloned().collect(),
            Watched::Owned(kind) => {
                let same = self.owned.keys().filter(|(each, _)| *each == kind);
                same.map(|(_, name)| name.clone()).collect()
            }
            Watched::Pods => self.pods.keys().cloned().collect(),
            Watched::NetworkPolicies => self.policies.keys().cloned().collect(),
            Watched::Namespaces => Vec::new(),
        }
    }

    pub(super) fn apply(&mut self, of: Watched, item: Item, touched: &mut Touched) {
        let (namespace, name) = (item.namespace().to_owned(), item.name().to_owned());
        let changed = match of {
            Watched::Kind(kind) => match self.apply_object(kind, name, item) {
                News::Nothing => false,
                News::Said => true,
                News::Status => {
                    touched.echoes.insert(namespace);
                    return;
                }
            },
            Watched::Snapshots => return self.apply_snapshot(&item, touched),
            Watched::Secrets => {
                let version = item.metadata.resource_version.clone().unwrap_or_default();
                let key = ObjectKey::new(&*namespace, &*name);
                // What it holds is not watched, so that the values of Secrets that we do not need never come here.
                self.objects.secrets.insert(key, SecretKeys::Unread);
                self.secrets.insert(name, version.clone()) != Some(version)
            }
            Watched::Owned(kind) => {
                let seen = OwnedSeen::of(&item);
                if self.owned.insert((kind, name), seen.clone()) != Some(seen) {
                    touched.echoes.insert(namespace);
                }
                return;
            }
            Watched::Pods => match labelled(&item) {
                Some(pod) => self.pods.insert(name, pod.clone()) != Some(pod),
                None => self.pods.remove(&name).is_some(),
            },
            Watched::NetworkPolicies => {
                let policy = json!({ "metadata": item.metadata, "spec": item.data["spec"] });
                let spec = |policy: &Value| policy["spec"].clone();
                let before = self.policies.insert(name, policy.clone());
                before.is_none_or(|before| spec(&before) != spec(&policy))
            }
            Watched::Namespaces => false,
        };
        if changed {
            touched.namespaces.insert(namespace);
        }
    }

    fn apply_object(&mut self, kind: Kind, name: String, item: Item) -> News {
        let status = serde_json::from_value(item.data["status"].clone()).ok();
        let known = KnownObject {
            uid: item.metadata.uid.clone().unwrap_or_default(),
            generation: item.metadata.generation.unwrap_or_default(),
            status,
            findings: Vec::new(),
        };
        if let Some(before) = self.known.get_mut(&(kind, name.clone()))
            && (&before.uid, before.generation) == (&known.uid, known.generation)
        {
            // Only the status or the metadata are other ones; somebody may have spoilt the status.
            let changed = before.status != known.status;
            before.status = known.status;
            return if changed { News::Status } else { News::Nothing };
        }
        let mut object = json!({ "apiVersion": sekisho_crd::API_VERSION, "kind": kind.as_str(), "metadata": item.metadata });
        object["spec"] = item.data["spec"].clone();
        let findings = match cluster::read(kind, &object) {
            Ok(taken) => taken.put(&mut self.objects),
            Err(problem) => vec![*problem],
        };
        self.known
            .insert((kind, name), KnownObject { findings, ..known });
        News::Said
    }

    fn apply_snapshot(&mut self, item: &Item, touched: &mut Touched) {
        let namespace = item.namespace().to_owned();
        match snapshots::read(item) {
            Ok((key, stored)) => {
                let gateway = key.name;
                let since = self.since.entry(gateway.clone()).or_default();
                since.note(&stored.envelope.snapshot, stored.envelope.generation);
                self.lost.remove(&gateway);
                let before = self.snapshots.insert(gateway.clone(), stored);
                let after = &self.snapshots[&gateway];
                if before.is_none_or(|before| before.envelope != after.envelope) {
                    touched.snapshots.insert((namespace.clone(), gateway));
                }
                touched.echoes.insert(namespace);
            }
            Err(why) => {
                tracing::error!(
                    namespace,
                    name = item.name(),
                    why,
                    "a snapshot object cannot be read; it is written anew"
                );
                let gateway = item.label(snapshots::LABEL).unwrap_or_default().to_owned();
                if let Some(stored) = self.snapshots.get_mut(&gateway) {
                    // What it held is still served; that it lies there no more makes the holder write it again.
                    stored.authorities.clear();
                    stored.resource_version =
                        item.metadata.resource_version.clone().unwrap_or_default();
                }
                touched.echoes.insert(namespace);
            }
        }
    }

    pub(super) fn delete(
        &mut self,
        of: Watched,
        namespace: &str,
        name: &str,
        touched: &mut Touched,
    ) {
        let key = ObjectKey::new(namespace, name);
        match of {
            Watched::Kind(kind) => {
                self.known.remove(&(kind, name.to_owned()));
                self.objects.remove(kind, &key);
                if kind == Kind::MailGateway {
                    self.lost.remove(name);
                    self.since.remove(name);
                    // Nobody waits for the garbage collector to stop serving it.
                    touched
                        .snapshots
                        .insert((namespace.to_owned(), name.to_owned()));
                }
            }
            Watched::Snapshots => {
                let gateway = self
                    .snapshots
                    .keys()
                    .find(|gateway| snapshots::name_of(gateway) == name)
                    .cloned();
                if let Some(gateway) = gateway
                    && let Some(stored) = self.snapshots.remove(&gateway)
                {
                    if self.has_gateway(&gateway) {
                        self.lost.insert(gateway.clone(), stored.envelope);
                    }
                    touched.snapshots.insert((namespace.to_owned(), gateway));
                }
            }
            Watched::Secrets => {
                self.secrets.remove(name);
                self.objects.secrets.remove(&key);
            }
            Watched::Owned(kind) => {
                self.owned.remove(&(kind, name.to_owned()));
            }
            Watched::Pods => {
                self.pods.remove(name);
            }
            Watched::NetworkPolicies => {
                self.policies.remove(name);
            }
            Watched::Namespaces => return,
        }
        touched.namespaces.insert(namespace.to_owned());
    }
}

impl OwnedSeen {
    fn of(item: &Item) -> Self {
        // A generation counts changes of the spec; what has none changes its version with everything.
        let generation = item
            .metadata
            .generation
            .map(|generation| generation.to_string());
        let version = generation.or_else(|| item.metadata.resource_version.clone());
        let owners = item.metadata.owner_references.iter().flatten();
        let owner = owners
            .into_iter()
            .find(|owner| owner.controller == Some(true));
        Self {
            uid: item.metadata.uid.clone().unwrap_or_default(),
            gateway: item.label(labels::INSTANCE).unwrap_or_default().to_owned(),
            owner: owner.map(|owner| owner.uid.clone()).unwrap_or_default(),
            version: version.unwrap_or_default(),
        }
    }
}

/// A pod that asks for a sidecar and is neither at its end nor past it.
fn labelled(item: &Item) -> Option<LabelledPod> {
    let phase = item.data["status"]["phase"].as_str().unwrap_or_default();
    if item.metadata.deletion_timestamp.is_some() || matches!(phase, "Succeeded" | "Failed") {
        return None;
    }
    let init = item.data["spec"]["initContainers"].as_array();
    let injected = init.is_some_and(|all| {
        all.iter()
            .any(|container| container["name"] == crate::workload::proxy::CONTAINER)
    });
    Some(LabelledPod {
        uid: item.metadata.uid.clone().unwrap_or_default(),
        gateway: item.label(labels::GATEWAY)?.to_owned(),
        injected,
    })
}
