//! What each Sekisho binary would otherwise repeat: logs, metrics, health, shutdown, time, TLS and country lookup.
//! Nothing here knows a policy rule; labels and names come in from the caller.

pub mod clock;
pub mod country;
mod error;
mod executor;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod shutdown;
pub mod tls;

pub use clock::Clock;
pub use error::Error;
pub use executor::executor;
pub use health::Health;
pub use metrics::Metrics;
pub use shutdown::Shutdown;
