//! Drives SMTP sessions through policy to an upstream: one [`Gateway`] for each checkpoint that this process is.
//!
//! The way of a message: `listener` takes the connection, `session` speaks with the client (one file for each verb), `engine` has
//! each event judged, `upstream` speaks with the next hop, and `ledger` takes the record away.

mod abuse;
mod auth;
mod brakes;
mod classify;
pub mod content;
mod detect;
mod dns;
mod engine;
mod error;
mod fields;
mod gateway;
mod held;
mod ids;
pub mod ledger;
mod limits;
mod listener;
mod live;
mod luck;
mod memory;
mod outbound;
mod received;
mod restrictions;
mod session;
mod settings;
mod shared;
mod state_folder;
mod tarpit;
mod trust;
mod upstream;
mod webhook;

pub use auth::{AccountsError, FleetKey, HashPool, accounts_file};
pub use dns::{Dns, DnsError};
pub use error::Error;
pub use gateway::{
    Applied, Certificates, Credentials, CredentialsPending, Gateway, GatewayConfig, ListenerStatus,
    Login, MissingCertificate, PendingCause, Services, Status,
};
pub use ids::Ids;
pub use limits::Limits;
pub use memory::MessageMemory;
pub use outbound::{Reach, TooWide};
pub use restrictions::Restrictions;
pub use settings::KnownSettings;
pub use state_folder::{StateFolder, last_good};
pub use webhook::{Attempt, NotTold, Webhooks};
