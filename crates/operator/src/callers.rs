//! Who calls the control plane: a projected service-account token, reviewed by the API server, bound to a pod that is a proxy
//! of the gateway it asks for.
//!
//! A token of another audience, of another pod, of no pod, or of a pod of another gateway opens nothing. What the API server
//! said is remembered for a minute by the token's hash, so a deleted pod is out within that time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// So many answers of each sort are remembered; beyond it the ones that are over go, and then all of the sort. Wrong tokens are
/// made up at will, and so never take the place of right ones.
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
    remembered: Mutex<Remembered>,
}

/// What the API server said, and until when it holds.
#[derive(Debug, Default)]
struct Remembered {
    good: HashMap<Print, (Instant, Identity)>,
    bad: HashMap<Print, (Instant, NotAdmitted)>,
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

fn print_of(token: &str) -> Print {
    Sha256::digest(token.as_bytes()).into()
}

impl Remembered {
    fn answer(&self, print: &Print) -> Option<Result<Identity, NotAdmitted>> {
        let now = Instant::now();
        if let Some((until, identity)) = self.good.get(print) {
            return (*until > now).then(|| Ok(identity.clone()));
        }
        let (until, why) = self.bad.get(print)?;
        (*until > now).then(|| Err(why.clone()))
    }

    fn put(&mut self, print: Print, answer: &Result<Identity, NotAdmitted>) {
        match answer {
            Ok(identity) => {
                self.bad.remove(&print);
                insert(&mut self.good, print, GOOD_FOR, identity.clone());
            }
            Err(NotAdmitted::Unavailable(_)) => {}
            Err(why) => {
                self.good.remove(&print);
                insert(&mut self.bad, print, BAD_FOR, why.clone());
            }
        }
    }
}

fn insert<T>(into: &mut HashMap<Print, (Instant, T)>, print: Print, held: Duration, what: T) {
    let now = Instant::now();
    if into.len() >= REMEMBERED {
        into.retain(|_, (until, _)| *until > now);
        if into.len() >= REMEMBERED {
            into.clear();
        }
    }
    into.insert(print, (now + held, what));
}

impl Identity {
    /// Who that is, if it may ask for `gateway`.
    fn admit(self, gateway: Option<&str>) -> Result<Caller, NotAdmitted> {
        match (self, gateway) {
            (Self::Control { pod }, None) => Ok(Caller::Replica { pod }),
            (Self::Control { .. }, Some(_)) => Err(NotAdmitted::Forbidden(
                "the control plane's own token is not a proxy's".to_owned(),
            )),
            (
                Self::Pod {
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
                Self::Pod {
                    namespace, name, ..
                },
                None,
            ) => Err(NotAdmitted::Forbidden(format!(
                "the pod {namespace}/{name} is no replica of the control plane"
            ))),
        }
    }
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

    /// What is remembered of whoever shows `token` and asks for `gateway` (`namespace/name`); the other replicas ask for none.
    /// Nobody is asked.
    pub fn recall(
        &self,
        token: &str,
        gateway: Option<&str>,
    ) -> Option<Result<Caller, NotAdmitted>> {
        let known = self.remembered().answer(&print_of(token))?;
        Some(known.and_then(|identity| identity.admit(gateway)))
    }

    /// Whether `token` was good when the API server was asked last, however long ago that was.
    pub fn was_good(&self, token: &str) -> bool {
        self.remembered().good.contains_key(&print_of(token))
    }

    /// Who it is that shows `token` and asks for `gateway`, as for [`Self::recall`].
    ///
    /// # Errors
    /// Why the call is not served.
    pub async fn identify(
        &self,
        token: &str,
        gateway: Option<&str>,
    ) -> Result<Caller, NotAdmitted> {
        if let Some(known) = self.recall(token, gateway) {
            return known;
        }
        let answer = match timeout(WITHIN, self.ask(token)).await {
            Ok(answer) => answer,
            Err(_) => Err(NotAdmitted::Unavailable(format!(
                "no answer within {WITHIN:?}"
            ))),
        };
        self.remembered().put(print_of(token), &answer);
        answer?.admit(gateway)
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        let remembered = self.0.remembered.lock();
        remembered.unwrap_or_else(PoisonError::into_inner)
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
            // The API server's words tell whoever tries tokens what is wrong with them.
            if let Some(why) = status.error.filter(|error| !error.is_empty()) {
                tracing::debug!(why, "a token was refused");
            }
            return Err(NotAdmitted::Unauthenticated(format!(
                "the token is not valid for the audience {AUDIENCE}"
            )));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn print(n: usize) -> Print {
        print_of(&n.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_tokens_push_no_right_one_out() {
        let mut remembered = Remembered::default();
        let own = Identity::Pod {
            namespace: "mail".to_owned(),
            name: "a".to_owned(),
            gateway: Some("out".to_owned()),
        };
        remembered.put(print(0), &Ok(own.clone()));
        let why = NotAdmitted::Unauthenticated("no".to_owned());
        for n in 1..=REMEMBERED * 2 + 5 {
            remembered.put(print(n), &Err(why.clone()));
        }
        assert_eq!(remembered.answer(&print(0)), Some(Ok(own.clone())));
        assert!(remembered.bad.len() <= REMEMBERED);
        assert_eq!(
            remembered.answer(&print(REMEMBERED * 2 + 5)),
            Some(Err(why.clone()))
        );
        tokio::time::advance(GOOD_FOR).await;
        assert_eq!(remembered.answer(&print(0)), None);
        assert!(remembered.good.contains_key(&print(0)));
        remembered.put(print(0), &Err(NotAdmitted::Unavailable("away".to_owned())));
        assert!(remembered.good.contains_key(&print(0)));
        remembered.put(print(0), &Err(why.clone()));
        assert!(remembered.good.is_empty());
        assert_eq!(remembered.answer(&print(0)), Some(Err(why)));
    }

    #[test]
    fn a_pod_has_its_own_gateway_alone() {
        let own = Identity::Pod {
            namespace: "mail".to_owned(),
            name: "a".to_owned(),
            gateway: Some("out".to_owned()),
        };
        let proxy = Caller::Proxy {
            pod: "a".to_owned(),
        };
        assert_eq!(own.clone().admit(Some("mail/out")), Ok(proxy));
        for other in [Some("mail/in"), Some("other/out"), Some("out"), None] {
            assert!(own.clone().admit(other).is_err(), "{other:?}");
        }
    }
}
