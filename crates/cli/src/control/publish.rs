//! What the operator publishes, and where it goes: to the proxies, and to the ledger, which replays records under it.

use std::sync::Arc;

use sekisho_api::Configs;
use sekisho_api::fleet::Ready;
use sekisho_operator::Publish;
use sekisho_policy::{Envelope, Timestamp};
use sekisho_runtime::health::Component;
use sekisho_runtime::{Clock, Metrics};
use sekisho_store::Store;
use tokio::runtime::Handle;

pub(super) struct Publisher {
    pub(super) configs: Configs,
    pub(super) ready: Ready,
    pub(super) component: Component,
    pub(super) store: Option<Store>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) runtime: Handle,
}

impl Publish for Publisher {
    fn publish(&self, envelope: &Arc<Envelope>, written: &Arc<[u8]>) {
        if let Err(error) = self.configs.publish_written(written.to_vec()) {
            tracing::error!(%error, "a snapshot cannot be served; the one before still is");
            return;
        }
        let envelope = envelope.clone();
        let Some(store) = self.store.clone() else {
            return;
        };
        let now = Timestamp(self.clock.now_ms());
        // Proxies do not wait for the ledger.
        self.runtime.spawn(async move {
            if let Err(error) = store.put_snapshot(&envelope, now).await {
                tracing::error!(%error, "the ledger does not keep the snapshot; records made under it cannot be replayed");
            }
        });
    }

    fn withdraw(&self, gateway: &str) {
        self.configs.withdraw(gateway);
        self.metrics.forget_fleet(gateway);
    }

    fn complete(&self) {
        self.ready.set();
        self.component.ok();
    }
}
