//! Channels of the cluster: told by the replica that holds the lease, with the Secrets of their own namespaces, on the public network and
//! where the cluster's operator opened more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sekisho_api::Answer;
use sekisho_api::fleet::Ready;
use sekisho_operator::{ChannelSecrets, Leadership, Running};
use sekisho_proxy::{Dns, Reach, Webhooks};
use sekisho_store::AccountStates;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::Foundation;
use crate::args::Control;
use crate::herald::{Herald, License, Signing, Tools};
use crate::service::read_authorities;

/// Makes the herald of this replica.
pub(super) fn herald(
    args: &Control,
    base: &Foundation,
    running: &Running,
    states: &AccountStates,
) -> Result<Herald> {
    let reach = Reach::public(&args.cluster_networks, &args.channel_networks)
        .context("--channel-network")?;
    let authorities = args.channel_ca.as_deref().map(read_authorities);
    let authorities = authorities.transpose()?;
    let authorities = authorities.as_ref();
    let authorities = authorities.map(|(name, pem)| (name.as_str(), pem.as_slice()));
    let dns = Dns::system(base.metrics.clone())?;
    Ok(Herald::new(Tools {
        outbox: states.outbox().clone(),
        configs: base.configs.clone(),
        secrets: Arc::new(OfCluster(running.channel_secrets.clone())),
        license: Arc::new(Lease {
            leadership: running.leadership.clone(),
            ready: base.ready.clone(),
        }),
        webhooks: Webhooks::new(dns, authorities, reach)?,
        clock: base.clock.clone(),
        metrics: base.metrics.clone(),
    }))
}

/// Who holds the lease and has seen what there is may tell.
struct Lease {
    leadership: watch::Receiver<Leadership>,
    ready: Ready,
}

impl License for Lease {
    fn time_left(&self) -> Option<Duration> {
        // A channel that was not read yet is not gone.
        let leadership = self.ready.is_set().then(|| self.leadership.borrow())?;
        leadership.time_to_write()
    }
}

struct OfCluster(ChannelSecrets);

impl Signing for OfCluster {
    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Answer<'a, Result<Zeroizing<Vec<u8>>, String>> {
        Box::pin(async move {
            let secret = self.0.read(namespace, name).await;
            secret
                .map(Zeroizing::new)
                .map_err(|error| error.to_string())
        })
    }
}
