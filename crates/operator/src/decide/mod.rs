//! From what is there to what is to be written, one namespace at a time. Nothing here waits: wishes go to the writer.

mod blocking;
mod events;
mod pods;
mod secrets;
mod snapshots;
mod statuses;
mod workloads;

pub(crate) use blocking::AdminPolicies;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::runtime::events::Recorder;
use sekisho_compile::{Diagnostic, ObjectKey, compile_all};
use sekisho_crd::Kind;
use sekisho_policy::{Envelope, Fleet, Snapshot};
use sekisho_runtime::Metrics;
use sha2::{Digest as _, Sha256};

use crate::cluster_keys::ClusterKeys;
use crate::index::{Index, Namespace};
use crate::secrets::{Finding, Secrets};
use crate::settings::{Settings, owner_of};
use crate::writer::{Done, Key, What, Writer};

/// What wishes are made with.
pub(crate) struct Tools {
    pub(crate) client: Client,
    pub(crate) writer: Writer,
    pub(crate) secrets: Secrets,
    pub(crate) cluster_keys: ClusterKeys,
    pub(crate) recorder: Recorder,
    pub(crate) settings: Arc<Settings>,
    pub(crate) metrics: Metrics,
    /// The gateways by `namespace/name`, for the webhook.
    pub(crate) gateways: crate::gateways::Gateways,
    /// What is connected.
    pub(crate) fleet: Arc<Fleet>,
    /// The control plane's authorities, as PEM.
    pub(crate) authorities: String,
    /// Whether AdminNetworkPolicies are to be had here.
    pub(crate) admin_policies: AdminPolicies,
}

/// What was wished for and found before, so that nothing is wished for twice.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    wished: BTreeMap<Key, Print>,
    /// What is wrong with Secrets, by gateway.
    secret_findings: BTreeMap<ObjectKey, Finding>,
    /// What is wrong with writing, by gateway: a snapshot that is too large, a quota, a missing permission.
    write_failures: BTreeMap<ObjectKey, BTreeMap<Key, String>>,
    /// Objects that are not accepted, by namespace.
    invalid: BTreeMap<String, BTreeSet<(Kind, String)>>,
    /// What each namespace's gateways have elsewhere.
    strewn: BTreeMap<String, blocking::Strewn>,
    /// When a proxy that was ahead of each gateway's snapshot was last overtaken, in milliseconds since 1970.
    overtaken: BTreeMap<String, u64>,
    /// With which generation each object, by its uid, was last said to be enforced.
    told_programmed: BTreeMap<String, i64>,
    /// The gateways that each namespace had when it was last looked at.
    gateways: BTreeMap<String, BTreeSet<String>>,
    /// Pods that were said to lack their sidecar, by their uid.
    told_pods: BTreeSet<String>,
}

/// So many uids are remembered.
const REMEMBERED: usize = 100_000;

pub(crate) type Print = [u8; 32];

pub(crate) fn print(parts: &[&[u8]]) -> Print {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// What is decided about one namespace.
pub(crate) struct Turn<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) held: &'a Namespace,
    pub(crate) index: &'a Index,
    pub(crate) tools: &'a Tools,
    pub(crate) now_ms: u64,
    pub(crate) settling: Settling,
    /// The next body of each gateway; none while it is not valid and never was.
    pub(crate) bodies: &'a BTreeMap<String, Option<Snapshot>>,
    /// What is wrong, by object.
    pub(crate) findings: &'a BTreeMap<(Kind, String), Vec<&'a Diagnostic>>,
}

/// Whether this replica writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    No,
    Settling,
    Yes,
}

/// Whether this replica began to write a moment ago, and may not have heard of all proxies yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settling {
    Yes,
    No,
}

/// The last good snapshot, as `compile` borrows it.
struct Last(Arc<Envelope>);

impl Borrow<Snapshot> for Last {
    fn borrow(&self) -> &Snapshot {
        &self.0.snapshot
    }
}

impl Memory {
    /// Looks at one namespace, and wishes for what is not as it should be if this replica may write.
    pub(crate) fn decide(
        &mut self,
        index: &Index,
        namespace: &str,
        tools: &Tools,
        writes: Writes,
        now_ms: u64,
    ) {
        let Some(held) = index.namespaces.get(namespace) else {
            self.invalid.remove(namespace);
            self.forget_gateways(tools, namespace, &BTreeSet::new());
            tools.metrics.pods_without_sidecar(namespace, 0);
            tools.gateways.replace(namespace, BTreeMap::new());
            return;
        };
        let gateways: Vec<ObjectKey> = held.objects.gateways.keys().cloned().collect();
        let last: BTreeMap<ObjectKey, Last> = gateways
            .iter()
            .filter_map(|key| Some((key.clone(), Last(held.snapshots.last(&key.name)?.clone()))))
            .collect();
        let compiled = compile_all(&held.objects, &last);
        let bodies = compiled
            .gateways
            .into_iter()
            .map(|(key, body)| (key.name, body))
            .collect();
        let findings = by_object(held, &compiled.diagnostics);
        let has_error = |all: &Vec<&Diagnostic>| all.iter().any(|finding| finding.is_error());
        let invalid = findings
            .iter()
            .filter(|(_, all)| has_error(all))
            .map(|(key, _)| key.clone());
        self.invalid.insert(namespace.to_owned(), invalid.collect());
        let settling = match writes {
            Writes::Settling => Settling::Yes,
            _ => Settling::No,
        };
        let turn = Turn {
            namespace,
            held,
            index,
            tools,
            now_ms,
            settling,
            bodies: &bodies,
            findings: &findings,
        };
        tools.gateways.replace(namespace, turn.injectable());
        if writes == Writes::No {
            return;
        }
        self.forget_gateways(
            tools,
            namespace,
            &gateways.iter().map(|key| key.name.clone()).collect(),
        );
        self.snapshots(&turn);
        self.secrets(&turn);
        self.workloads(&turn);
        self.pods(&turn);
        self.statuses(&turn);
    }

    /// What was wished for a gateway that is gone is wished no more.
    fn forget_gateways(&mut self, tools: &Tools, namespace: &str, there: &BTreeSet<String>) {
        let before = self
            .gateways
            .insert(namespace.to_owned(), there.clone())
            .unwrap_or_default();
        for gone in before.difference(there) {
            let path = format!("{namespace}/{gone}");
            tools.writer.cancel(&path);
            let below = format!("{path}/");
            self.wished
                .retain(|key, _| key.name != path && !key.name.starts_with(&below));
            let key = ObjectKey::new(namespace, &**gone);
            self.secret_findings.remove(&key);
            self.write_failures.remove(&key);
            self.overtaken.remove(&path);
        }
    }

    /// The objects that are not accepted: kind, namespace and name.
    pub(crate) fn invalid(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.invalid.iter().flat_map(|(namespace, objects)| {
            objects
                .iter()
                .map(|(kind, name)| (kind.as_str(), namespace.as_str(), name.as_str()))
        })
    }

    /// Uids are never used again; those of objects that are gone must not gather for ever.
    fn forget_what_is_long_gone(&mut self) {
        if self.told_programmed.len() > REMEMBERED {
            self.told_programmed.clear();
        }
        if self.told_pods.len() > REMEMBERED {
            self.told_pods.clear();
        }
    }

    /// Whether a wish is another one than the last for this thing.
    fn is_new(&mut self, what: What, name: &str, print: Print) -> bool {
        let key = Key {
            what,
            name: name.to_owned(),
        };
        self.wished.insert(key, print) != Some(print)
    }

    /// Forgets what was wished for a thing, because it is as it should be.
    fn is_settled(&mut self, what: What, name: &str) {
        self.wished.remove(&Key {
            what,
            name: name.to_owned(),
        });
    }

    /// Takes note of what became of a wish; the namespace that is to be looked at again because of it.
    pub(crate) fn take_outcome(&mut self, done: &Done) -> Option<String> {
        let (namespace, gateway) = {
            let mut parts = done.key.name.split('/');
            (parts.next()?.to_owned(), parts.next()?.to_owned())
        };
        let gateway = ObjectKey::new(&*namespace, gateway);
        match &done.outcome {
            Ok(()) => {
                let failures = self.write_failures.get_mut(&gateway)?;
                failures.remove(&done.key)?;
                if failures.is_empty() {
                    self.write_failures.remove(&gateway);
                }
                Some(namespace)
            }
            Err(error) if error.is_passing() => {
                self.wished.remove(&done.key);
                if done.key.what == What::Snapshot {
                    // Nobody was overtaken: what is decided next may do so at once.
                    self.overtaken.remove(&done.key.name);
                }
                Some(namespace)
            }
            Err(error) => {
                if !matches!(done.key.what, What::Snapshot | What::Secret | What::Object) {
                    return None;
                }
                let failures = self.write_failures.entry(gateway).or_default();
                let text = error.to_string();
                let known = failures.insert(done.key.clone(), text.clone());
                (known != Some(text)).then_some(namespace)
            }
        }
    }

    /// Takes note of what is wrong with a gateway's Secrets; whether that is news.
    pub(crate) fn take_finding(&mut self, finding: Finding) -> bool {
        let before = self
            .secret_findings
            .insert(finding.gateway.clone(), finding.clone());
        before.map_or(!finding.problems.is_empty(), |before| before != finding)
    }
}

/// What is wrong with each object that is there.
fn by_object<'a>(
    held: &'a Namespace,
    compiled: &'a [Diagnostic],
) -> BTreeMap<(Kind, String), Vec<&'a Diagnostic>> {
    let mut all: BTreeMap<(Kind, String), Vec<&Diagnostic>> = BTreeMap::new();
    for (key, known) in &held.known {
        if !known.findings.is_empty() {
            all.entry(key.clone()).or_default().extend(&known.findings);
        }
    }
    for diagnostic in compiled {
        let Some(object) = &diagnostic.object else {
            continue;
        };
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == object.kind);
        if let Some(kind) = kind {
            all.entry((kind, object.name.clone()))
                .or_default()
                .push(diagnostic);
        }
    }
    all
}

impl Turn<'_> {
    /// `namespace/name`, as everything is named that is wished for.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// What everything is deleted with that is made for a gateway; none if the gateway is not there.
    pub(crate) fn owner(&self, gateway: &str) -> Option<OwnerReference> {
        let known = self
            .held
            .known
            .get(&(Kind::MailGateway, gateway.to_owned()))?;
        Some(owner_of(gateway, &known.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_snapshot_that_was_not_written_has_overtaken_nobody() {
        let mut memory = Memory::default();
        memory.overtaken.insert("mail/outbound".to_owned(), 7);
        let key = |what| Key {
            what,
            name: "mail/outbound".to_owned(),
        };
        let done = |what, outcome| Done {
            key: key(what),
            outcome,
        };
        memory.take_outcome(&done(What::Status, Err(Error::NotHolder)));
        memory.take_outcome(&done(What::Snapshot, Ok(())));
        assert_eq!(memory.overtaken["mail/outbound"], 7);
        memory.take_outcome(&done(What::Snapshot, Err(Error::NotHolder)));
        assert!(memory.overtaken.is_empty());
    }
}
