//! A gateway's one owned Secret: the values it needs of the Secrets that its author named, and the key of the fleet.
//!
//! A pair of certificate and key that does not serve is not passed on; what was passed on before stays, so a botched renewal
//! does not take a listener down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use sekisho_compile::ObjectKey;
use sekisho_policy::Snapshot;
use sekisho_policy::snapshot::AuthBackend;
use sekisho_runtime::Clock;
use sekisho_runtime::tls::{Identity, Roots, Verification, client_config};
use sha2::Sha256;
use tokio::sync::{OnceCell, mpsc};

use crate::cluster_keys::Known;
use crate::error::Error;
use crate::labels;
use crate::snapshots::name_of;
use crate::workload;

/// The Secret of the control plane's namespace that holds the fleet's key, and the key's name there and in owned Secrets.
const FLEET_SECRET: &str = "sekisho.fleet";
const FLEET_KEY: &str = "_fleet.key";
/// No value is larger; a Secret has at most 1 MiB as a whole.
const MAX_VALUE: usize = 128 * 1024;
/// The keys of which a value is passed on, where there is one.
const CERTIFICATE: &[&str] = &["tls.crt", "tls.key"];
const LOGIN: &[&str] = &["username", "password", "token"];
const OAUTH: &[&str] = &["username", "client_id", "client_secret", "refresh_token"];
const AUTHORITIES: &[&str] = &["ca.crt"];
const HEADER: &[&str] = &["value"];
const COUNTERS: &[&str] = &[
    "url", "username", "password", "ca.crt", "tls.crt", "tls.key",
];
/// The key of the cluster's keys in owned Secrets.
const CLUSTER_KEYS: &str = "_cluster.jwks";

/// What a gateway needs of Secrets, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    pub(crate) certificates: BTreeSet<String>,
    pub(crate) logins: BTreeSet<String>,
    /// What tokens for relays are asked for with.
    pub(crate) oauth: BTreeSet<String>,
    /// Whom certificates of next hops and login services must be issued by.
    pub(crate) authorities: BTreeSet<String>,
    /// What login services are shown.
    pub(crate) headers: BTreeSet<String>,
    /// Where counters are shared.
    pub(crate) counters: Option<String>,
    /// Where service accounts log in: the cluster's keys.
    pub(crate) cluster_keys: Option<Known>,
}

impl Needed {
    pub(crate) fn by(snapshot: &Snapshot) -> Self {
        let listeners = snapshot.gateway.listeners.iter();
        let members = snapshot.pools.values().flat_map(|pool| &pool.members);
        let relays = members.filter_map(|member| member.relay.as_ref());
        let of_relays = relays.clone().map(|relay| &relay.trust);
        let trusts = of_relays.chain([&snapshot.gateway.upstream.trust]);
        let backends = &snapshot.gateway.authentication.backends;
        let of_backends = backends.iter().filter_map(AuthBackend::authorities);
        let clients = backends.iter().filter_map(AuthBackend::credentials);
        Self {
            certificates: listeners
                .flat_map(|listener| listener.certificates.clone())
                .collect(),
            logins: relays
                .clone()
                .filter_map(|relay| relay.credentials.clone())
                .chain(clients.map(str::to_owned))
                .collect(),
            oauth: relays
                .filter_map(|relay| Some(relay.oauth.as_ref()?.credentials.clone()))
                .collect(),
            authorities: trusts
                .filter_map(|trust| trust.authorities.clone())
                .chain(of_backends.map(str::to_owned))
                .collect(),
            headers: backends
                .iter()
                .filter_map(AuthBackend::header)
                .map(str::to_owned)
                .collect(),
            counters: snapshot.gateway.counters.secret().map(str::to_owned),
            cluster_keys: None,
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.certificates
            .iter()
            .chain(&self.logins)
            .chain(&self.oauth)
            .chain(&self.authorities)
            .chain(&self.headers)
            .chain(&self.counters)
    }
}

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
    /// Where the fleet's key is kept.
    namespace: String,
    owner: Option<OwnerReference>,
    fleet_key: OnceCell<Vec<u8>>,
    findings: mpsc::UnboundedSender<Finding>,
}

impl Secrets {
    pub(crate) fn new(
        client: Client,
        clock: Clock,
        namespace: String,
        owner: Option<OwnerReference>,
        findings: mpsc::UnboundedSender<Finding>,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            clock,
            namespace,
            owner,
            fleet_key: OnceCell::new(),
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
        let key = gateway_key(&self.fleet_key().await?, &gateway);
        let mut data = BTreeMap::from([(FLEET_KEY.to_owned(), ByteString(key))]);
        let mut problems = Vec::new();
        for source in &needed.certificates {
            let found = read(&api, source).await?;
            let checked = found
                .as_ref()
                .map(|values| self.certificate(&gateway, source, values));
            collect(
                source,
                CERTIFICATE,
                "InvalidCertificateRef",
                found,
                checked,
                &before,
                &mut data,
                &mut problems,
            );
        }
        let shared = needed.counters.iter().cloned().collect();
        for (sources, keys, check) in [
            (&needed.logins, LOGIN, login as Check),
            (&needed.oauth, OAUTH, oauth),
            (&needed.authorities, AUTHORITIES, authorities),
            (&needed.headers, HEADER, header),
            (&shared, COUNTERS, counters),
        ] {
            for source in sources {
                let found = read(&api, source).await?;
                let checked = found.as_ref().map(|values| check(&gateway, source, values));
                collect(
                    source,
                    keys,
                    "CredentialsPending",
                    found,
                    checked,
                    &before,
                    &mut data,
                    &mut problems,
                );
            }
        }
        if let Some(known) = &needed.cluster_keys {
            let keys = match known {
                Known::Keys(keys) => Some(ByteString(keys.to_vec())),
                Known::NotAsked => before.get(CLUSTER_KEYS).cloned(),
                Known::Failed(why) => {
                    problems.push(Problem {
                        reason: "CredentialsPending",
                        message: format!("the cluster's keys for tokens cannot be read: {why}"),
                    });
                    before.get(CLUSTER_KEYS).cloned()
                }
            };
            data.extend(keys.map(|keys| (CLUSTER_KEYS.to_owned(), keys)));
        }
        let wanted = data
            .iter()
            .all(|(key, value)| before.get(key) == Some(value))
            && before.len() == data.len();
        if !wanted {
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

    fn certificate(&self, gateway: &ObjectKey, name: &str, values: &Values) -> Result<(), String> {
        let origin = format!("Secret {}/{name}", gateway.namespace);
        let value = |key: &str| values.get(key).map_or(&[][..], |value| &value.0);
        Identity::from_pem(
            &origin,
            value("tls.crt"),
            value("tls.key"),
            self.0.clock.now_ms(),
        )
        .map(drop)
        .map_err(|error| error.to_string())
    }

    /// The fleet's key, made once for the control plane.
    async fn fleet_key(&self) -> Result<Vec<u8>, Error> {
        let key = self
            .0
            .fleet_key
            .get_or_try_init(|| self.read_or_make_key())
            .await;
        key.cloned()
    }

    async fn read_or_make_key(&self) -> Result<Vec<u8>, Error> {
        let api: Api<Secret> = Api::namespaced(self.0.client.clone(), &self.0.namespace);
        let key_of = |values: &Values| {
            values
                .get(FLEET_KEY)
                .map(|key| key.0.clone())
                .filter(|key| key.len() == 32)
        };
        if let Some(values) = read(&api, FLEET_SECRET).await? {
            return key_of(&values).ok_or_else(|| {
                Error::Unwritable(format!(
                    "the Secret {}/{FLEET_SECRET} holds no key of 32 octets; delete it, and a new one is made",
                    self.0.namespace
                ))
            });
        }
        let mut key = vec![0; 32];
        rustls::crypto::aws_lc_rs::default_provider()
            .secure_random
            .fill(&mut key)
            .map_err(|_| Error::Unwritable("the system has no randomness to give".to_owned()))?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(FLEET_SECRET.to_owned()),
                labels: Some(labels::of_control()),
                owner_references: self.0.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(
                FLEET_KEY.to_owned(),
                ByteString(key.clone()),
            )])),
            immutable: Some(true),
            ..Secret::default()
        };
        let what = format!("creating the Secret {}/{FLEET_SECRET}", self.0.namespace);
        api.create(&PostParams::default(), &secret)
            .await
            .map_err(Error::api(what))?;
        Ok(key)
    }
}

type Values = BTreeMap<String, ByteString>;

async fn read(api: &Api<Secret>, name: &str) -> Result<Option<Values>, Error> {
    let found = api
        .get_opt(name)
        .await
        .map_err(Error::api(format!("reading the Secret {name}")))?;
    Ok(found.map(|secret| secret.data.unwrap_or_default()))
}

/// The key of one gateway, made from that of the fleet: whoever reads a gateway's Secret learns nothing of the others'.
fn gateway_key(fleet: &[u8], gateway: &ObjectKey) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(fleet).expect("HMAC takes keys of any length");
    mac.update(gateway.namespace.as_bytes());
    mac.update(b"/");
    mac.update(gateway.name.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whether the values of a Secret serve.
type Check = fn(&ObjectKey, &str, &Values) -> Result<(), String>;

fn login(gateway: &ObjectKey, name: &str, values: &Values) -> Result<(), String> {
    let proof = if has(values, "token") {
        "token"
    } else {
        "password"
    };
    require(gateway, name, values, &["username", proof])
}

fn oauth(gateway: &ObjectKey, name: &str, values: &Values) -> Result<(), String> {
    let keys = ["username", "client_id", "client_secret"];
    require(gateway, name, values, &keys)
}

/// A bundle that cannot be read would leave its relays without mail: the last good one stays.
fn authorities(gateway: &ObjectKey, name: &str, values: &Values) -> Result<(), String> {
    require(gateway, name, values, AUTHORITIES)?;
    let origin = format!("Secret {}/{name}", gateway.namespace);
    let pem = values.get("ca.crt").map_or(&[][..], |value| &value.0);
    let roots = Roots::Pem {
        origin: &origin,
        pem,
    };
    client_config(Verification::Required(roots))
        .map(drop)
        .map_err(|error| error.to_string())
}

fn header(gateway: &ObjectKey, name: &str, values: &Values) -> Result<(), String> {
    require(gateway, name, values, HEADER)
}

/// Whether the rest of it serves is seen by the proxies, which go on as they were if it does not.
fn counters(gateway: &ObjectKey, name: &str, values: &Values) -> Result<(), String> {
    require(gateway, name, values, &["url"])
}

fn has(values: &Values, key: &str) -> bool {
    values.get(key).is_some_and(|value| !value.0.is_empty())
}

fn require(gateway: &ObjectKey, name: &str, values: &Values, keys: &[&str]) -> Result<(), String> {
    match keys.iter().find(|key| !has(values, key)) {
        None => Ok(()),
        Some(key) => Err(format!(
            "Secret {}/{name} has no `{key}`",
            gateway.namespace
        )),
    }
}

/// Takes the values of one Secret over, or those that were taken over before if it does not serve.
#[expect(clippy::too_many_arguments, reason = "one step of a loop, twice")]
fn collect(
    source: &str,
    keys: &[&str],
    reason: &'static str,
    found: Option<Values>,
    checked: Option<Result<(), String>>,
    before: &Values,
    data: &mut Values,
    problems: &mut Vec<Problem>,
) {
    let problem = match (&found, checked) {
        (None, _) => Some(format!("Secret {source} is not there")),
        (Some(_), Some(Err(why))) => Some(why),
        (Some(values), _) => keys
            .iter()
            .find(|key| {
                values
                    .get(**key)
                    .is_some_and(|value| value.0.len() > MAX_VALUE)
            })
            .map(|key| format!("Secret {source}: `{key}` is larger than {MAX_VALUE} octets")),
    };
    let good = found.filter(|_| problem.is_none());
    for key in keys {
        let own = format!("{source}_{key}");
        let value = match &good {
            Some(values) => values.get(*key),
            None => before.get(&own),
        };
        if let Some(value) = value {
            data.insert(own, value.clone());
        }
    }
    if let Some(message) = problem {
        problems.push(Problem { reason, message });
    }
}
