//! Who of the replicas writes: a `coordination.k8s.io/v1` Lease.
//!
//! Every replica watches, compiles and serves; the lease gates writing and nothing else. Only differences of the local
//! monotonic clock are compared, so replicas' clocks need not agree (as in client-go's leader election).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use sekisho_runtime::{Clock, Shutdown};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::Error;

/// Where the holder can be reached by the other replicas: `ip:port`.
const ADDRESS: &str = "sekisho.dev/address";

/// What a replica brings into the election.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its pod.
    pub identity: String,
    /// `ip:port` where other replicas reach it.
    pub address: String,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: String,
    /// A holder that was not heard of for so long has lost it.
    pub duration: Duration,
    /// What the Lease is deleted with.
    pub owner: Option<OwnerReference>,
}

/// Who holds the lease, as far as this replica knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The pod that holds it; nobody while it is vacant.
    pub holder: Option<String>,
    /// Where the holder is reached.
    pub address: Option<String>,
    /// Until when this replica itself may write; it renews long before.
    until: Option<Instant>,
    /// When writes that began before must have ended: others may hold it soon after.
    ends: Option<Instant>,
}

impl Leadership {
    /// How long a write that begins now may take; nothing if this replica may not write.
    #[must_use]
    pub fn time_to_write(&self) -> Option<Duration> {
        let ends = self.ends.filter(|_| self.may_write())?;
        Some(ends.saturating_duration_since(Instant::now()))
    }

    /// Whether this replica may write now.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }
}

/// Campaigns until the process drains, then gives the lease back so that another replica has it at once.
pub(crate) async fn campaign(
    client: Client,
    candidate: Candidate,
    clock: Clock,
    told: Arc<watch::Sender<Leadership>>,
    shutdown: Shutdown,
) {
    let mut campaign = Campaign {
        api: Api::namespaced(client, &candidate.namespace),
        candidate,
        clock,
        seen: None,
        told,
    };
    loop {
        let pause = campaign.candidate.duration / 5;
        let next = Instant::now() + pause;
        // An API server that hangs must not make the holder believe that it still holds.
        let round = timeout(campaign.candidate.duration / 3, campaign.round()).await;
        match round {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.is_conflict() => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be looked after"),
            Err(_) => tracing::warn!("the API server did not answer in time about the lease"),
        }
        campaign.expire();
        tokio::select! {
            () = sleep_until(next) => {}
            () = shutdown.draining() => break,
        }
    }
    campaign.give_back().await;
}

struct Campaign {
    api: Api<Lease>,
    candidate: Candidate,
    clock: Clock,
    /// The version of the Lease that was seen last, and when it was first seen.
    seen: Option<(String, Instant)>,
    told: Arc<watch::Sender<Leadership>>,
}

impl Campaign {
    /// Renews, takes over, or learns who holds it.
    async fn round(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let name = self.candidate.lease.clone();
        let found = self
            .api
            .get_opt(&name)
            .await
            .map_err(Error::api("reading the Lease"))?;
        let Some(lease) = found else {
            let fresh = self.written(None);
            self.api
                .create(&PostParams::default(), &fresh)
                .await
                .map_err(Error::api("creating the Lease"))?;
            self.hold(begun);
            return Ok(());
        };
        if !self.is_ours(&lease) && !self.is_over(&lease) {
            self.follow(&lease);
            return Ok(());
        }
        let renewed = self.written(Some(&lease));
        self.api
            .replace(&name, &PostParams::default(), &renewed)
            .await
            .map_err(Error::api("writing the Lease"))?;
        self.hold(begun);
        Ok(())
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.candidate.identity)
    }

    /// Whether nobody holds it, or its holder did nothing for as long as it promised.
    fn is_over(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                let now = Instant::now();
                self.seen = Some((version, now));
                now
            }
        };
        let promised = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_duration_seconds);
        let promised = promised
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs);
        // A holder of another mind cannot keep the lease for longer than a minute in silence.
        let promised = promised
            .unwrap_or(self.candidate.duration)
            .min(Duration::from_secs(60));
        holder(lease).is_none() || since.elapsed() > promised
    }

    fn written(&self, before: Option<&Lease>) -> Lease {
        let now = i64::try_from(self.clock.now_ms())
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let now = now.map(MicroTime);
        let ours = before.filter(|lease| self.is_ours(lease));
        let old = before
            .and_then(|lease| lease.spec.clone())
            .unwrap_or_default();
        let transitions = old.lease_transitions.unwrap_or_default();
        let Candidate {
            identity,
            address,
            lease,
            duration,
            owner,
            ..
        } = &self.candidate;
        Lease {
            metadata: ObjectMeta {
                name: Some(lease.clone()),
                annotations: Some(BTreeMap::from([(ADDRESS.to_owned(), address.clone())])),
                resource_version: before.and_then(|lease| lease.metadata.resource_version.clone()),
                owner_references: owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(identity.clone()),
                lease_duration_seconds: i32::try_from(duration.as_secs()).ok(),
                acquire_time: if ours.is_some() {
                    old.acquire_time
                } else {
                    now.clone()
                },
                lease_transitions: Some(if ours.is_some() {
                    transitions
                } else {
                    transitions.saturating_add(1)
                }),
                renew_time: now,
                ..LeaseSpec::default()
            }),
        }
    }

    fn hold(&mut self, begun: Instant) {
        // Others take over after the whole duration; what is left in between is for writes under way to end.
        let until = begun + self.candidate.duration * 2 / 3;
        self.tell(Leadership {
            holder: Some(self.candidate.identity.clone()),
            address: Some(self.candidate.address.clone()),
            until: Some(until),
            ends: Some(begun + self.candidate.duration * 9 / 10),
        });
    }

    fn follow(&self, lease: &Lease) {
        let annotations = lease.metadata.annotations.as_ref();
        self.tell(Leadership {
            holder: holder(lease).cloned(),
            address: annotations.and_then(|all| all.get(ADDRESS)).cloned(),
            until: None,
            ends: None,
        });
    }

    /// Steps back when the lease was not renewed in time.
    fn expire(&self) {
        let lost = {
            let current = self.told.borrow();
            current.until.is_some() && !current.may_write()
        };
        if lost {
            self.tell(Leadership::default());
        }
    }

    fn tell(&self, news: Leadership) {
        self.told.send_if_modified(|known| {
            let (was, is) = (known.until.is_some(), news.until.is_some());
            if was != is {
                tracing::info!(
                    holder = news.holder.as_deref().unwrap_or("nobody"),
                    writes = is,
                    "the lease changed hands"
                );
            }
            let differs = *known != news;
            *known = news;
            differs
        });
    }

    async fn give_back(&self) {
        if !self.told.borrow().may_write() {
            return;
        }
        self.tell(Leadership::default());
        let given_back = async {
            let lease = self.api.get(&self.candidate.lease).await?;
            if !self.is_ours(&lease) {
                return Ok(());
            }
            let mut vacant = lease;
            if let Some(spec) = &mut vacant.spec {
                spec.holder_identity = None;
            }
            let name = &self.candidate.lease;
            self.api
                .replace(name, &PostParams::default(), &vacant)
                .await
                .map(drop)
        };
        match timeout(Duration::from_secs(3), given_back).await {
            Ok(Ok(())) => tracing::info!("the lease was given back"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the lease could not be given back; another replica waits until it is over")
            }
            Err(_) => tracing::warn!(
                "the lease could not be given back in time; another replica waits until it is over"
            ),
        }
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    let holder = lease.spec.as_ref()?.holder_identity.as_ref()?;
    (!holder.is_empty()).then_some(holder)
}
