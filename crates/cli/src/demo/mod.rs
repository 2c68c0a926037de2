//! The built-in relays that the file-only kind `Demo` starts: next hops that take everything, so that a first look needs
//! no other mail server. What arrives is listed at `/demo/messages`; nothing is delivered.

mod message;
mod relay;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use sekisho_api::Inbox;
use sekisho_compile::files::DemoRelay;
use sekisho_runtime::{Clock, Shutdown};
use tokio::net::TcpListener;

/// What the sessions of one relay share.
#[derive(Debug)]
struct Relay {
    settings: DemoRelay,
    clock: Clock,
    inbox: Inbox,
    queued: AtomicU64,
}

impl Relay {
    fn next_queue_id(&self) -> String {
        let number = self.queued.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}-{number:06}", self.settings.name)
    }
}

/// Binds each relay and serves it until the process drains.
///
/// # Errors
/// An address that cannot be bound.
pub(crate) async fn start(
    relays: &[DemoRelay],
    clock: &Clock,
    shutdown: &Shutdown,
    inbox: &Inbox,
) -> Result<()> {
    for settings in relays {
        let listener = TcpListener::bind(settings.address).await.with_context(|| {
            format!("the demo relay {} cannot listen on {}; give it another address in the Demo object, or end what listens there", settings.name, settings.address)
        })?;
        tracing::info!(relay = settings.name, address = %settings.address, "demo relay listens");
        let relay = Arc::new(Relay {
            settings: settings.clone(),
            clock: clock.clone(),
            inbox: inbox.clone(),
            queued: AtomicU64::new(0),
        });
        shutdown.spawn(relay::serve(listener, relay, shutdown.clone()));
    }
    Ok(())
}
