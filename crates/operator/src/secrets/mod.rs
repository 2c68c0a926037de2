//! A gateway's one owned Secret: the values it needs of the Secrets that its author named, and the key of the fleet.
//!
//! A pair of certificate and key that does not serve is not passed on; what was passed on before stays, so a botched renewal
//! does not take a listener down.

mod channel;
mod checks;
mod fleet_key;
mod needed;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use sekisho_compile::ObjectKey;
use sekisho_policy::Timestamp;
use sekisho_runtime::Clock;
use tokio::sync::{OnceCell, mpsc};

use crate::cluster_keys::Known;
use crate::error::Error;
use crate::labels;
use crate::snapshots::name_of;
use crate::workload;

pub use channel::ChannelSecrets;
use checks::{Use, Values};
use fleet_key::FleetKey;
pub(crate) use needed::Needed;

/// No value is larger; a Secret has at most 1 MiB as a whole.
const MAX_VALUE: usize = 128 * 1024;
/// The key of the cluster's keys in owned Secrets.
const CLUSTER_KEYS: &str = "_cluster.jwks";

/// What was found of a gateway's Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) gateway: ObjectKey,
    pub(crate) problems: Vec<Problem>,
}

/// What is wrong with one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The reason of the condition `ResolvedRefs`.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// Puts owned Secrets together. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Secrets(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Clock,
    fleet_key: FleetKey,
    findings: mpsc::UnboundedSender<Finding>,
}

impl Secrets {
    /// The fleet's key is kept in `namespace`, and goes with `owner`.
    pub(crate) fn new(
        client: Client,
        clock: Clock,
        namespace: String,
        owner: Option<OwnerReference>,
        findings: mpsc::UnboundedSender<Finding>,
    ) -> Self {
        let known = OnceCell::new();
        Self(Arc::new(Inner {
            client,
            clock,
            fleet_key: FleetKey {
                namespace,
                owner,
                known,
            },
            findings,
        }))
    }

    /// Writes the owned Secret of `gateway` as it should be, and says what is wrong with its sources.
    pub(crate) async fn write(
        self,
        gateway: ObjectKey,
        owner: OwnerReference,
        needed: Needed,
    ) -> Result<(), Error> {
        let api: Api<Secret> = Api::namespaced(self.0.client.clone(), &gateway.namespace);
        let name = name_of(&gateway.name);
        let before = self.own(&api, &name, &owner).await?;
        let key = self.0.fleet_key.of(&self.0.client, &gateway).await?;
        let mut draft = Draft {
            gateway: &gateway,
            before: &before,
            data: BTreeMap::from([(fleet_key::KEY.to_owned(), key)]),
            problems: Vec::new(),
        };
        for (source, used) in needed.sources() {
            let found = read(&api, source).await?;
            draft.take(source, used, found, Timestamp(self.0.clock.now_ms()));
        }
        if let Some(known) = &needed.cluster_keys {
            draft.take_cluster_keys(known);
        }
        let Draft { data, problems, .. } = draft;
        if data != before {
            self.apply(&api, &name, &gateway, owner, data).await?;
        }
        // Nobody listens any more once the process ends.
        let _ = self.0.findings.send(Finding { gateway, problems });
        Ok(())
    }

    /// What the owned Secret holds now.
    async fn own(
        &self,
        api: &Api<Secret>,
        name: &str,
        owner: &OwnerReference,
    ) -> Result<Values, Error> {
        let found = api.get_opt(name).await;
        let Some(secret) = found.map_err(Error::api(format!("reading the Secret {name}")))? else {
            return Ok(Values::new());
        };
        if !workload::is_own(&secret.metadata, &owner.uid) {
            return Err(Error::NotOurs(format!("the Secret {name}")));
        }
        Ok(secret.data.unwrap_or_default())
    }

    async fn apply(
        &self,
        api: &Api<Secret>,
        name: &str,
        gateway: &ObjectKey,
        owner: OwnerReference,
        data: BTreeMap<String, ByteString>,
    ) -> Result<(), Error> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(labels::managed(&gateway.name)),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let params = PatchParams::apply(labels::FIELD_MANAGER).force();
        let applied = api.patch(name, &params, &Patch::Apply(&secret)).await;
        applied.map(drop).map_err(Error::api(format!(
            "writing the Secret {}/{name}",
            gateway.namespace
        )))
    }
}

/// An owned Secret that is being put together.
struct Draft<'a> {
    gateway: &'a ObjectKey,
    /// What it holds now.
    before: &'a Values,
    data: Values,
    problems: Vec<Problem>,
}

impl Draft<'_> {
    /// Takes the values of one Secret over, or those that were taken over before if it does not serve.
    fn take(&mut self, source: &str, used: Use, found: Option<Values>, now: Timestamp) {
        let is_large = |key: &str, values: &Values| {
            let value = values.get(key);
            value.is_some_and(|value| value.0.len() > MAX_VALUE)
        };
        let problem = match &found {
            None => Some(format!("Secret {source} is not there")),
            Some(values) => match used.check(self.gateway, source, values, now) {
                Err(why) => Some(why),
                Ok(()) => used
                    .keys()
                    .iter()
                    .find(|key| is_large(key, values))
                    .map(|key| {
                        format!("Secret {source}: `{key}` is larger than {MAX_VALUE} octets")
                    }),
            },
        };
        let good = found.filter(|_| problem.is_none());
        for key in used.keys() {
            let own = format!("{source}_{key}");
            let value = match &good {
                Some(values) => values.get(*key),
                None => self.before.get(&own),
            };
            if let Some(value) = value {
                self.data.insert(own, value.clone());
            }
        }
        if let Some(message) = problem {
            self.problems.push(Problem {
                reason: used.reason(),
                message,
            });
        }
    }

    fn take_cluster_keys(&mut self, known: &Known) {
        let keys = match known {
            Known::Keys(keys) => Some(ByteString(keys.to_vec())),
            Known::NotAsked => self.before.get(CLUSTER_KEYS).cloned(),
            Known::Failed(why) => {
                self.problems.push(Problem {
                    reason: "CredentialsPending",
                    message: format!("the cluster's keys for tokens cannot be read: {why}"),
                });
                self.before.get(CLUSTER_KEYS).cloned()
            }
        };
        let entry = keys.map(|keys| (CLUSTER_KEYS.to_owned(), keys));
        self.data.extend(entry);
    }
}

async fn read(api: &Api<Secret>, name: &str) -> Result<Option<Values>, Error> {
    let found = api
        .get_opt(name)
        .await
        .map_err(Error::api(format!("reading the Secret {name}")))?;
    Ok(found.map(|secret| secret.data.unwrap_or_default()))
}
