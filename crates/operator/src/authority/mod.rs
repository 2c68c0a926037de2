//! The certificate that this replica shows, and the authorities by which its peers know it.

mod keyring;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use kube::{Api, Client};
use sekisho_runtime::tls::{CertResolver, Identity};
use sekisho_runtime::{Clock, Metrics, Shutdown};
use tokio::sync::watch;
use tokio::time::sleep;

pub use keyring::Lifetimes;

use crate::error::Error;
use crate::lease::Leadership;
use keyring::Keyring;

/// The Secret that holds the authority.
const SECRET: &str = "sekisho.authority";
/// Its key for us, and that for people.
const KEYRING: &str = "keyring.json";
const BUNDLE: &str = "ca.crt";
/// How often it is looked at whether something is to be renewed. Other replicas learn of a change no later.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Where certificates come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// An authority of our own, in a Secret of the control plane's namespace.
    Own {
        /// The namespace.
        namespace: String,
        /// How long things last.
        lifetimes: Lifetimes,
        /// What the Secret is deleted with.
        owner: Option<OwnerReference>,
    },
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`, such as cert-manager writes; read again when it changes.
    Folder(PathBuf),
}

/// What this replica shows and what peers are to believe. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Authorities {
    /// Answers TLS handshakes with the newest certificate.
    pub resolver: Arc<CertResolver>,
    /// The authorities as PEM, whenever they change.
    pub bundle: watch::Receiver<String>,
}

/// Keeps certificates.
pub(crate) struct Keeper {
    client: Client,
    source: Source,
    names: Vec<String>,
    clock: Clock,
    metrics: Metrics,
    leadership: watch::Receiver<Leadership>,
}

impl Keeper {
    pub(crate) fn new(
        client: Client,
        source: Source,
        names: Vec<String>,
        clock: Clock,
        metrics: Metrics,
        leadership: watch::Receiver<Leadership>,
    ) -> Self {
        Self {
            client,
            source,
            names,
            clock,
            metrics,
            leadership,
        }
    }

    /// Reads or makes the first certificate, then renews it until the process drains.
    ///
    /// # Errors
    /// There is none and none can be made.
    pub(crate) async fn start(self, shutdown: &Shutdown) -> Result<Authorities, Error> {
        let mut state = self.first().await?;
        let resolver = CertResolver::new(state.identity.clone(), Vec::new());
        let (bundle, changes) = watch::channel(state.bundle.clone());
        self.measure(&state);
        let (shown, ending) = (resolver.clone(), shutdown.clone());
        shutdown.spawn(async move {
            loop {
                tokio::select! {
                    () = sleep(LOOK_EVERY.min(self.pace())) => {}
                    () = ending.draining() => return,
                }
                match self.look(&state).await {
                    Ok(None) => {}
                    Ok(Some(next)) => {
                        shown.replace(next.identity.clone(), Vec::new());
                        bundle.send_if_modified(|known| {
                            let differs = *known != next.bundle;
                            known.clone_from(&next.bundle);
                            differs
                        });
                        self.measure(&next);
                        state = next;
                    }
                    Err(error) => tracing::error!(%error, "certificates could not be looked after; those in use stay"),
                }
            }
        });
        Ok(Authorities {
            resolver,
            bundle: changes,
        })
    }

    /// Short lifetimes are looked at more often.
    fn pace(&self) -> Duration {
        match &self.source {
            Source::Own { lifetimes, .. } => lifetimes.leaf.min(lifetimes.propagation) / 10,
            Source::Folder(_) => Duration::from_secs(5),
        }
    }

    fn measure(&self, state: &State) {
        self.metrics.authority_expires(state.expires_at);
    }

    async fn first(&self) -> Result<State, Error> {
        match &self.source {
            Source::Folder(folder) => State::of_folder(folder, self.clock.now_ms()),
            Source::Own { lifetimes, .. } => {
                let keyring = match self.read().await? {
                    Some((keyring, _)) => keyring,
                    None => self.create(*lifetimes).await?,
                };
                State::of_keyring(keyring, &self.names, *lifetimes, self.clock.now_ms())
            }
        }
    }

    /// What is to be shown from now on, if that is something else.
    async fn look(&self, state: &State) -> Result<Option<State>, Error> {
        let now_ms = self.clock.now_ms();
        let lifetimes = match &self.source {
            Source::Folder(folder) => {
                let next = State::of_folder(folder, now_ms)?;
                return Ok((next.print != state.print).then_some(next));
            }
            Source::Own { lifetimes, .. } => *lifetimes,
        };
        let is_fresh = state.renew_at_ms > now_ms;
        let read = match self.read().await {
            // What we hold goes on signing, whatever became of the Secret.
            Err(error) if !is_fresh => {
                tracing::error!(%error, "the authority cannot be read; certificates are renewed by what is known of it");
                None
            }
            read => read?,
        };
        let (mut keyring, secret) = match read {
            Some(found) => found,
            None if self.leadership.borrow().may_write() => {
                // Somebody deleted it: what we hold goes on, or every proxy would lose us.
                let Some(kept) = state.keyring.clone() else {
                    return Ok(None);
                };
                self.write(&kept, None).await?;
                return Ok(None);
            }
            None if is_fresh => return Ok(None),
            None => {
                let Some(kept) = state.keyring.clone() else {
                    return Ok(None);
                };
                return State::of_keyring(kept, &self.names, lifetimes, now_ms).map(Some);
            }
        };
        if self.leadership.borrow().may_write()
            && let Some(renewed) = keyring.renewed(lifetimes, now_ms)?
        {
            tracing::info!(signer = renewed.signer(), "the authorities change");
            self.write(&renewed, secret.metadata.resource_version)
                .await?;
            keyring = renewed;
        }
        if is_fresh && state.keyring.as_ref() == Some(&keyring) {
            return Ok(None);
        }
        State::of_keyring(keyring, &self.names, lifetimes, now_ms).map(Some)
    }

    fn api(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn read(&self) -> Result<Option<(Keyring, Secret)>, Error> {
        let Source::Own { namespace, .. } = &self.source else {
            return Ok(None);
        };
        let found = self.api(namespace).get_opt(SECRET).await;
        let Some(secret) = found.map_err(Error::api(format!(
            "reading the Secret {namespace}/{SECRET}"
        )))?
        else {
            return Ok(None);
        };
        let json = secret.data.as_ref().and_then(|data| data.get(KEYRING));
        let keyring = json.and_then(|json| serde_json::from_slice(&json.0).ok());
        let keyring = keyring.ok_or_else(|| {
            Error::Certificates(format!(
                "the Secret {namespace}/{SECRET} holds no keyring in {KEYRING}; delete it, and a new authority is made"
            ))
        })?;
        Ok(Some((keyring, secret)))
    }

    /// Makes the first keyring; of several replicas that try, one succeeds and the others take what it made.
    async fn create(&self, lifetimes: Lifetimes) -> Result<Keyring, Error> {
        let made = Keyring::make(lifetimes, self.clock.now_ms())?;
        match self.write(&made, None).await {
            Ok(()) => Ok(made),
            Err(error) if error.is_conflict() => {
                let found = self.read().await?;
                found.map(|(keyring, _)| keyring).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn write(&self, keyring: &Keyring, replaces: Option<String>) -> Result<(), Error> {
        let Source::Own {
            namespace, owner, ..
        } = &self.source
        else {
            return Ok(());
        };
        let json =
            serde_json::to_vec(keyring).map_err(|error| Error::Certificates(error.to_string()))?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                resource_version: replaces.clone(),
                owner_references: owner.clone().map(|owner| vec![owner]),
                labels: Some(crate::labels::of_control()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([
                (KEYRING.to_owned(), ByteString(json)),
                (BUNDLE.to_owned(), ByteString(keyring.bundle().into_bytes())),
            ])),
            ..Secret::default()
        };
        let (api, params) = (self.api(namespace), PostParams::default());
        let written = match replaces {
            Some(_) => api.replace(SECRET, &params, &secret).await,
            None => api.create(&params, &secret).await,
        };
        written.map(drop).map_err(Error::api(format!(
            "writing the Secret {namespace}/{SECRET}"
        )))
    }
}

/// What is shown now.
struct State {
    identity: Identity,
    bundle: String,
    keyring: Option<Keyring>,
    renew_at_ms: u64,
    expires_at: u64,
    /// The files that it was read from.
    print: Vec<u8>,
}

impl State {
    fn of_keyring(
        keyring: Keyring,
        names: &[String],
        lifetimes: Lifetimes,
        now_ms: u64,
    ) -> Result<Self, Error> {
        let identity = keyring.leaf(names, lifetimes, now_ms)?;
        let leaf = u64::try_from(lifetimes.leaf.as_millis()).unwrap_or(u64::MAX);
        Ok(Self {
            identity,
            bundle: keyring.bundle(),
            renew_at_ms: now_ms.saturating_add(leaf / 3 * 2),
            expires_at: keyring.expires_at(),
            keyring: Some(keyring),
            print: Vec::new(),
        })
    }

    fn of_folder(folder: &std::path::Path, now_ms: u64) -> Result<Self, Error> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path)
                .map_err(|error| Error::Certificates(format!("{}: {error}", path.display())))
        };
        let (chain, key, bundle) = (read("tls.crt")?, read("tls.key")?, read(BUNDLE)?);
        let origin = folder.display().to_string();
        let identity = Identity::from_pem(&origin, &chain, &key, now_ms)
            .map_err(|error| Error::Certificates(error.to_string()))?;
        let print = [chain.as_slice(), &key, &bundle].concat();
        let bundle = String::from_utf8(bundle)
            .map_err(|_| Error::Certificates(format!("{origin}/{BUNDLE} is not PEM")))?;
        Ok(Self {
            expires_at: u64::try_from(identity.expires_at()).unwrap_or_default(),
            identity,
            bundle,
            keyring: None,
            renew_at_ms: u64::MAX,
            print,
        })
    }
}
