//! Between replicas: `POST /v1/fleet/errands`, by which a replica passes on to the lease holder what it is asked, what its proxies wait for,
//! and what they answer. What was passed on is not passed on again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sekisho_policy::errand::{Done, Errand, ErrandId, MAX_DONE_BYTES, Offer, Work};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::board::DONE_WITHIN;
use super::{Inner, Undone};
use crate::fleet::name::{is_name, is_part};
use crate::fleet::poll::Patience;
use crate::fleet::replicas::ReplicaError;

pub(in crate::fleet) const PATH: &str = "/v1/fleet/errands";
/// The most octets of what is passed on, and of what is answered: what a proxy says, and what is around it.
pub(super) const MAX_PASSED_BYTES: usize = MAX_DONE_BYTES + 16 * 1024;
/// An answer may come so much later than it would without another replica in between.
const LATER: Duration = Duration::from_secs(2);
/// A poll that is passed on ends so much before the proxy's does: what is handed out last still reaches it.
const EARLIER: Duration = Duration::from_secs(1);
/// Polls of one gateway's proxies that are passed on at once: one is answered, another stands by. The others wait here, since an errand
/// needs one proxy.
const POLLS_OF_GATEWAY: usize = 2;
/// And of all.
const POLLS: usize = 512;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Passed {
    /// Somebody asks; answered with [`Done`] or [`Undone`].
    Ask { gateway: String, work: Work },
    /// A proxy waits; answered with an [`Offer`].
    Poll {
        gateway: String,
        proxy: String,
        wait_ms: u64,
    },
    /// A proxy answers; answered with [`super::Received`].
    Answer {
        gateway: String,
        proxy: String,
        id: ErrandId,
        done: Done,
    },
}

/// Why something was not passed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPassed {
    #[error("not an errand that is passed on: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("a gateway is named as namespace/name and a proxy as its pod is called")]
    Misnamed,
}

impl Passed {
    pub(super) fn read(json: &[u8]) -> Result<Self, BadPassed> {
        let passed: Self = serde_json::from_slice(json)?;
        let fits = match &passed {
            Self::Ask { gateway, .. } => is_name(gateway),
            Self::Poll { gateway, proxy, .. } | Self::Answer { gateway, proxy, .. } => {
                is_name(gateway) && is_part(proxy)
            }
        };
        match fits {
            true => Ok(passed),
            false => Err(BadPassed::Misnamed),
        }
    }

    /// How long the holder may take.
    fn within(&self) -> Duration {
        match self {
            Self::Ask { .. } => DONE_WITHIN,
            Self::Poll { wait_ms, .. } => Duration::from_millis(*wait_ms),
            Self::Answer { .. } => Duration::ZERO,
        }
    }
}

/// Proxies of this replica whose polls wait at the holder.
#[derive(Debug)]
pub(super) struct Standby {
    gateways: Mutex<HashMap<String, Weak<Semaphore>>>,
    all: Semaphore,
}

impl Default for Standby {
    fn default() -> Self {
        Self {
            gateways: Mutex::default(),
            all: Semaphore::new(POLLS),
        }
    }
}

impl Standby {
    fn of(&self, gateway: &str) -> Arc<Semaphore> {
        let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = gateways.get(gateway).and_then(Weak::upgrade) {
            return places;
        }
        gateways.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(POLLS_OF_GATEWAY));
        gateways.insert(gateway.to_owned(), Arc::downgrade(&places));
        places
    }
}

impl Inner {
    /// Has the holder answer.
    pub(super) async fn pass<T: DeserializeOwned>(
        &self,
        holder: SocketAddr,
        passed: &Passed,
    ) -> Result<T, Undone> {
        let Some(replicas) = &self.replicas else {
            return Err(Undone::NoHolder);
        };
        let within = passed.within() + LATER;
        let passing = async {
            let mut line = replicas.connect(holder).await?;
            let body = serde_json::to_vec(passed)?;
            let answer = line.post(PATH, body, within, MAX_PASSED_BYTES).await?;
            Ok::<T, ReplicaError>(serde_json::from_slice(&answer)?)
        };
        let answered = timeout(within, passing).await;
        let answered = answered.unwrap_or(Err(ReplicaError::Late("the lease holder")));
        answered.map_err(|error| {
            // The relay says aloud what is wrong with the holder.
            tracing::debug!(%holder, %error, "an errand could not be passed on to the lease holder");
            match error {
                ReplicaError::Introduction { .. }
                | ReplicaError::Tls(_)
                | ReplicaError::Connect(_)
                | ReplicaError::Refused { .. } => Undone::NoHolder,
                _ => Undone::HolderSilent,
            }
        })
    }

    /// Has a proxy of this replica wait at the holder, when it is its turn.
    pub(super) async fn pass_poll(
        &self,
        holder: SocketAddr,
        gateway: &str,
        proxy: &str,
        patience: &Patience<'_>,
    ) -> Result<Option<Errand>, Undone> {
        let places = self.standby.of(gateway);
        // The semaphores are never closed.
        let (Ok(_place), Ok(_turn)) = (places.acquire().await, self.standby.all.acquire().await)
        else {
            return Ok(None);
        };
        let wait = patience.left().saturating_sub(EARLIER);
        let passed = Passed::Poll {
            gateway: gateway.to_owned(),
            proxy: proxy.to_owned(),
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(0),
        };
        let offer: Offer = self.pass(holder, &passed).await?;
        Ok(offer.errand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_on_is_read_strictly() {
        let good = r#"{"Poll":{"gateway":"m/out","proxy":"a","waitMs":5}}"#;
        assert!(matches!(
            Passed::read(good.as_bytes()),
            Ok(Passed::Poll { wait_ms: 5, .. })
        ));
        for bad in [
            "",
            "{}",
            r#"{"Poll":{"gateway":"m/out","proxy":"a"}}"#,
            r#"{"Poll":{"gateway":"m/out","proxy":"a","waitMs":-1}}"#,
            r#"{"Poll":{"gateway":"out","proxy":"a","waitMs":1}}"#,
            r#"{"Poll":{"gateway":"m/out","proxy":"../a","waitMs":1}}"#,
            r#"{"Poll":{"gateway":"m/out","proxy":"a","waitMs":1,"more":1}}"#,
            r#"{"Ask":{"gateway":"m/out","work":{"Dance":{}}}}"#,
            r#"{"Answer":{"gateway":"m/out","proxy":"a","id":"1","done":{"Failed":"NotRunning"}}}"#,
        ] {
            assert!(Passed::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
