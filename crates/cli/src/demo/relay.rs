//! The accept loop of a built-in relay.

use std::sync::Arc;
use std::time::Duration;

use sekisho_runtime::Shutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::{Relay, session};

/// Connections at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 512;

/// Takes connections until the process drains. Sessions that are open then end after the transaction they are in, as
/// the gateway in front of them does.
pub(super) async fn serve(listener: TcpListener, relay: Arc<Relay>, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.draining() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (relay, stop) = (relay.clone(), shutdown.clone());
                shutdown.spawn(async move {
                    if let Err(error) = session::serve(stream, peer, &relay, &stop).await {
                        tracing::debug!(relay = relay.settings.name, %peer, %error, "a connection to a demo relay broke");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(relay = relay.settings.name, %error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
