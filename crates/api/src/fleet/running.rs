//! What runs in a cluster, as the local server shows it: nothing in this process, proxies elsewhere.

use std::sync::Arc;

use sekisho_policy::{Fleet, ObjectRef};
use tokio::sync::watch;

use crate::configs::Configs;
use crate::state::{Answer, NotHere, Running, RunningGateway};

/// The gateways of a cluster.
pub struct FleetRunning {
    configs: Configs,
    fleet: watch::Receiver<Arc<Fleet>>,
}

impl FleetRunning {
    /// What is published, with the proxies that are connected. What sessions they have, they say themselves at `/metrics`.
    pub fn new(configs: Configs, fleet: watch::Receiver<Arc<Fleet>>) -> Self {
        Self { configs, fleet }
    }
}

impl Running for FleetRunning {
    fn gateways(&self) -> Answer<'_, Vec<RunningGateway>> {
        let fleet = Arc::clone(&self.fleet.borrow());
        let gateways = self.configs.all().into_iter().map(|published| {
            let object = &published.envelope().snapshot.gateway.object;
            let name = format!("{}/{}", object.namespace, object.name);
            RunningGateway {
                proxies: Some(fleet.get(&name).cloned().unwrap_or_default()),
                name,
                listeners: Vec::new(),
                tripped: Vec::new(),
            }
        });
        let gateways = gateways.collect();
        Box::pin(async { gateways })
    }

    fn reset_brake<'a>(&'a self, _rule: &'a ObjectRef) -> Answer<'a, Result<Vec<String>, NotHere>> {
        Box::pin(async {
            Err(NotHere(
                "in a cluster each proxy holds its own brakes, and the control plane has no way to them: set the rule's brake to Off, or delete the proxy's pod, which starts with the rule in force",
            ))
        })
    }
}
