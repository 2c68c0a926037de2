//! Watches, compiles, publishes, writes status, injects: what Sekisho does in a cluster.
//!
//! `watch` tells `index` what there is; `operator` is the loop that decides when it is quiet for a moment; `decide` says what
//! is to be written, and `writer` writes it if this replica holds the `lease`. Every replica serves what lies in the snapshot
//! objects, whoever wrote them.

mod authority;
pub mod bypass;
mod callers;
mod client;
mod cluster_keys;
mod decide;
mod dirty;
mod error;
mod gateways;
mod index;
pub mod inject;
mod kinds;
pub mod labels;
mod lease;
mod operator;
mod secrets;
mod settings;
mod snapshots;
mod start;
mod status;
mod watch;
mod watches;
mod webhook;
pub mod workload;
mod writer;

#[cfg(test)]
mod testing;

pub use authority::{Authorities, Lifetimes, Source as AuthoritySource};
pub use callers::{AUDIENCE, Caller, Callers, NotAdmitted};
pub use client::connect;
pub use error::Error;
pub use gateways::{Gateways, Injectable};
pub use lease::{Candidate, Leadership};
pub use operator::Publish;
pub use secrets::ChannelSecrets;
pub use settings::{GatewayInput, PullPolicy, Settings};
pub use start::{Config, Running, start};
