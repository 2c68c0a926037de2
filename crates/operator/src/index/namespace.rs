//! One namespace: what is compiled together, since no reference leaves it.

use std::collections::BTreeMap;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sekisho_compile::{Diagnostic, Messenger, ObjectKey, Objects, Platform, SecretKeys, cluster};
use sekisho_crd::{Kind, Status};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::stored::Snapshots;
use super::{LabelledPod, OwnedKind, Touched, Watched};
use crate::labels;
use crate::watch::Item;

/// What is known of one namespace.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// The objects as `compile` takes them.
    pub(crate) objects: Objects,
    /// What else is known of each object.
    pub(crate) known: BTreeMap<(Kind, String), KnownObject>,
    /// The snapshot objects.
    pub(crate) snapshots: Snapshots,
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
    /// Of the spec: in a cluster that was restored from a backup, the same generation may come twice.
    print: Print,
    pub(crate) status: Option<Status>,
    /// What is wrong with it alone.
    pub(crate) findings: Vec<Diagnostic>,
}

type Print = [u8; 32];

/// No NetworkPolicy that people write is larger, in octets of JSON.
const LARGEST_POLICY: usize = 64 * 1024;

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
    pub(super) fn new(cluster_networks: Vec<IpNet>, messenger: Messenger) -> Self {
        Self {
            objects: Objects {
                platform: Platform::Cluster,
                cluster_networks,
                messenger,
                ..Objects::default()
            },
            known: BTreeMap::new(),
            snapshots: Snapshots::default(),
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
            Watched::Snapshots => self.snapshots.names(),
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

    pub(super) fn apply(&mut self, of: Watched, item: Item, now_ms: u64, touched: &mut Touched) {
        let (namespace, name) = (item.namespace().to_owned(), item.name().to_owned());
        let changed = match of {
            Watched::Kind(kind) => {
                let uid = |held: &Self| {
                    let known = held.known.get(&(kind, name.clone()));
                    known.map(|known| known.uid.clone())
                };
                let before = uid(self);
                let news = self.apply_object(kind, name.clone(), item);
                if kind == Kind::MailGateway && before != uid(self) {
                    self.gateway_came(&namespace, &name, now_ms, touched);
                }
                match news {
                    News::Nothing => false,
                    News::Said => true,
                    News::Status => {
                        touched.echoes.insert(namespace);
                        return;
                    }
                }
            }
            Watched::Snapshots => return self.apply_snapshot(item, now_ms, touched),
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
                let policy = kept_policy(&item);
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
            print: Sha256::digest(item.data["spec"].to_string()).into(),
            status,
            findings: Vec::new(),
        };
        if let Some(before) = self.known.get_mut(&(kind, name.clone()))
            && (&before.uid, before.generation, before.print)
                == (&known.uid, known.generation, known.print)
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
                    self.gateway_went(namespace, name, touched);
                }
            }
            Watched::Snapshots => self.delete_snapshot(namespace, name, touched),
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

/// A NetworkPolicy, as far as it is of use. One that is very large is kept as one that allows everything: that counts as
/// reopening what it might.
fn kept_policy(item: &Item) -> Value {
    let spec = &item.data["spec"];
    let is_large = spec.to_string().len() > LARGEST_POLICY;
    let all = json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": [{}] });
    let ObjectMeta {
        name,
        namespace,
        labels,
        uid,
        owner_references,
        ..
    } = item.metadata.clone();
    let metadata = ObjectMeta {
        name,
        namespace,
        labels,
        uid,
        owner_references,
        ..ObjectMeta::default()
    };
    json!({ "metadata": metadata, "spec": if is_large { &all } else { spec } })
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
