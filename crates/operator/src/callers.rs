//! Who calls the control plane: a projected service-account token, reviewed by the API server, bound to a pod that is a proxy
//! of the gateway it asks for.
//!
//! A token of another audience, of another pod, of no pod, or of a pod of another gateway opens nothing. What the API server
//! said is remembered for a minute by the token's hash, so a deleted pod is out within that time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use crate::labels;

/// The audience that a token must be for.
pub const AUDIENCE: &str = "sekisho-control";
/// What was said of a good token holds so long, and of a bad one so long.
const GOOD_FOR: Duration = Duration::from_secs(60);
const BAD_FOR: Duration = Duration::from_secs(10);
/// So many answers are remembered; beyond it the ones that are over go, and then all.
const REMEMBERED: usize = 20_000;
/// The API server has so long.
const WITHIN: Duration = Duration::from_secs(5);
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A pod that may have the configuration of the gateway it asked for.
    Proxy {
        /// The pod's name.
        pod: String,
    },
    /// Another replica of the control plane.
    Replica {
        /// Its pod's name.
        pod: String,
    },
}

/// Why a call is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The token proves nothing.
    #[error("{0}")]
    Unauthenticated(String),
    /// The token is good, and not for this.
    #[error("{0}")]
    Forbidden(String),
    /// The API server could not be asked.
    #[error("the API server could not be asked: {0}")]
    Unavailable(String),
}

/// Checks tokens. Cloning shares what is remembered.
#[derive(Clone, Debug)]
pub struct Callers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: ClientBox,
    /// `system:serviceaccount:NAMESPACE:NAME` of the control plane itself.
    control: String,
    remembered: Mutex<HashMap<Print, (Instant, Result<Identity, NotAdmitted>)>>,
}

struct ClientBox(Client);

impl std::fmt::Debug for ClientBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

type Print = [u8; 32];

/// What a token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    Control {
        pod: String,
    },
    Pod {
        namespace: String,
        name: String,
        /// The gateway of that namespace that the pod is a proxy of.
        gateway: Option<String>,
    },
}

impl Callers {
    /// Checks tokens against the API server of `client`; `service_account` is the control plane's own, in `namespace`.
    pub fn new(client: Client, namespace: &str, service_account: &str) -> Self {
        Self(Arc::new(Inner {
            client: ClientBox(client),
            control: format!("system:serviceaccount:{namespace}:{service_account}"),
            remembered: Mutex::default(),
        }))
    }

    /// Who it is that shows `token` and asks for `gateway` (`namespace/name`); the other replicas ask for none.
    ///
    /// # Errors
    /// Why the call is not served.
    pub async fn identify(
        &self,
        token: &str,
        gateway: Option<&str>,
    ) -> Result<Caller, NotAdmitted> {
        let identity = self.identity(token).await?;
        match (identity, gateway) {
            (Identity::Control { pod }, None) => Ok(Caller::Replica { pod }),
            (Identity::Control { .. }, Some(_)) => Err(NotAdmitted::Forbidden(
                "the control plane's own token is not a proxy's".to_owned(),
            )),
            (
                Identity::Pod {
                    namespace,
                    name,
                    gateway: own,
                },
                Some(asked),
            ) => {
                let own = own.map(|own| format!("{namespace}/{own}"));
                if own.as_deref() == Some(asked) {
                    return Ok(Caller::Proxy { pod: name });
                }
                let is = own.map_or_else(
                    || "no gateway".to_owned(),
                    |own| format!("the gateway {own}"),
                );
                Err(NotAdmitted::Forbidden(format!(
                    "the pod {namespace}/{name} belongs to {is}, not to {asked}"
                )))
            }
            (
                Identity::Pod {
                    namespace, name, ..
                },
                None,
            ) => Err(NotAdmitted::Forbidden(format!(
                "the pod {namespace}/{name} is no replica of the control plane"
            ))),
        }
    }

    async fn identity(&self, token: &str) -> Result<Identity, NotAdmitted> {
        let print: Print = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = self.remembered(&print) {
            return known;
        }
        let answer = match timeout(WITHIN, self.ask(token)).await {
            Ok(answer) => answer,
            Err(_) => Err(NotAdmitted::Unavailable(format!(
                "no answer within {WITHIN:?}"
            ))),
        };
        if !matches!(answer, Err(NotAdmitted::Unavailable(_))) {
            self.remember(print, answer.clone());
        }
        answer
    }

    fn remembered(&self, print: &Print) -> Option<Result<Identity, NotAdmitted>> {
        let remembered = self
            .0
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = remembered.get(print)?;
        (*until > Instant::now()).then(|| answer.clone())
    }

    fn remember(&self, print: Print, answer: Result<Identity, NotAdmitted>) {
        let now = Instant::now();
        let until = now + if answer.is_ok() { GOOD_FOR } else { BAD_FOR };
        let mut remembered = self
            .0
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED {
            remembered.retain(|_, (until, _)| *until > now);
            if remembered.len() >= REMEMBERED {
                remembered.clear();
            }
        }
        remembered.insert(print, (until, answer));
    }

    async fn ask(&self, token: &str) -> Result<Identity, NotAdmitted> {
        let user = self.review(token).await?;
        let account = user.username.clone().unwrap_or_default();
        let mut parts = account.split(':');
        let (Some("system"), Some("serviceaccount"), Some(namespace), Some(_), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(NotAdmitted::Forbidden(format!(
                "{account} is no service account"
            )));
        };
        let extra = |key: &str| user.extra.as_ref()?.get(key)?.first().cloned();
        let (Some(name), Some(uid)) = (extra(POD_NAME), extra(POD_UID)) else {
            return Err(NotAdmitted::Forbidden(
                "the token is bound to no pod; use the projected token that the pod has for this"
                    .to_owned(),
            ));
        };
        if account == self.0.control {
            return Ok(Identity::Control { pod: name });
        }
        let gateway = self.gateway_of(namespace, &name, &uid).await?;
        Ok(Identity::Pod {
            namespace: namespace.to_owned(),
            name,
            gateway,
        })
    }

    async fn review(&self, token: &str) -> Result<UserInfo, NotAdmitted> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.0.client.0.clone());
        let answer = api.create(&PostParams::default(), &review).await;
        let status = answer
            .map_err(|error| NotAdmitted::Unavailable(error.to_string()))?
            .status
            .unwrap_or_default();
        // An API server that knows nothing of audiences would vouch for any token of any audience.
        let ours = status
            .audiences
            .iter()
            .flatten()
            .any(|audience| audience == AUDIENCE);
        if status.authenticated != Some(true) || !ours {
            let why = status.error.filter(|error| !error.is_empty());
            return Err(NotAdmitted::Unauthenticated(why.unwrap_or_else(|| {
                format!("the token is not valid for the audience {AUDIENCE}")
            })));
        }
        status
            .user
            .ok_or_else(|| NotAdmitted::Unauthenticated("the token is nobody's".to_owned()))
    }

    /// The gateway that a pod is a proxy of, by its labels.
    async fn gateway_of(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<Option<String>, NotAdmitted> {
        let pods: Api<Pod> = Api::namespaced(self.0.client.0.clone(), namespace);
        let found = pods.get_metadata_opt(name).await;
        let pod = found
            .map_err(|error| NotAdmitted::Unavailable(error.to_string()))?
            .filter(|pod| pod.metadata.uid.as_deref() == Some(uid))
            .ok_or_else(|| {
                NotAdmitted::Unauthenticated(format!("the pod {namespace}/{name} is gone"))
            })?;
        let pod_labels = pod.metadata.labels.unwrap_or_default();
        let own = pod_labels
            .get(labels::PROXY_OF)
            .or_else(|| pod_labels.get(labels::GATEWAY));
        Ok(own.cloned())
    }
}
