//! The gateway's lines in `/readyz`; they go with it.

use sekisho_runtime::Health;
use sekisho_runtime::health::Component;

/// One for each thing of the gateway that can be in a bad way on its own.
#[derive(Debug)]
pub(super) struct Components {
    pub(super) listeners: Component,
    pub(super) certificates: Component,
    pub(super) country: Component,
    pub(super) accounts: Component,
    pub(super) services: Component,
    pub(super) counters: Component,
}

impl Components {
    pub(super) fn new(gateway: &str, health: &Health) -> Self {
        let component = |what: &str| health.component(&format!("{gateway}: {what}"));
        Self {
            listeners: component("listeners"),
            certificates: component("certificates"),
            country: component("country data"),
            accounts: component("accounts"),
            services: component("login services"),
            counters: component("counters"),
        }
    }
}

impl Drop for Components {
    fn drop(&mut self) {
        let Self {
            listeners,
            certificates,
            country,
            accounts,
            services,
            counters,
        } = self;
        for component in [
            listeners,
            certificates,
            country,
            accounts,
            services,
            counters,
        ] {
            component.remove();
        }
    }
}
