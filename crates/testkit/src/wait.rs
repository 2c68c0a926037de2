//! Waiting for something that another process does, without guessing how long it takes.

use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take before a test gives up. Long, because a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `address` takes connections.
///
/// # Panics
/// Nothing listens there within [`PATIENCE`].
pub fn wait_for_port(address: SocketAddr) {
    wait_until(&format!("a listener on {address}"), || {
        TcpStream::connect_timeout(&address, PATIENCE).ok()
    });
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// There is none within [`PATIENCE`]; `what` says what was waited for.
pub fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} for {what} in vain"
        );
        sleep(PAUSE);
    }
}
