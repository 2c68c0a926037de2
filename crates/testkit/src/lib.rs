//! What the tests of several crates need: real programs and their data (or a loud skip), ports and processes that
//! do not outlive a test, peers that follow a script or misbehave on purpose.
//!
//! A dev-dependency only. Helpers panic with a message that says what was expected: they are part of a test.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests may panic like a test"
)]

mod alone;
mod cluster;
mod component;
mod data;
mod desk;
mod dovecot;
mod http;
mod link;
pub mod mmdb;
mod mta;
mod peer;
mod port;
mod postfix;
mod postgres;
mod process;
mod redis;
mod redis_user;
mod rspamd;
pub mod scene;
mod sink;
mod smtp_sink;
mod spamd;
mod trusting;
mod wait;

pub use alone::{FullDisk, alone, bound_by_permissions};
pub use cluster::{Backup, BoundTo, ControlPlane, Controllers, Ran};
pub use component::{program, require, skip, unpacked};
pub use data::{Corpus, corpus, country_database, documentation, fetched};
pub use desk::{Desk, Heard};
pub use dovecot::Dovecot;
pub use http::ask_http;
pub use link::{Conduct, Cut, Link, Towards};
pub use mta::{Mta, MtaSetup};
pub use peer::Peer;
pub use port::Port;
pub use postfix::{Postfix, PostfixSetup};
pub use postgres::PostgresServer;
pub use process::Process;
pub use redis::{RedisCluster, RedisServer};
pub use redis_user::RedisUser;
pub use rspamd::Rspamd;
pub use sink::{At, Fault, Received, Sink, SinkSetup};
pub use smtp_sink::SmtpSink;
pub use spamd::Spamd;
pub use trusting::trusting_client;
pub use wait::{PATIENCE, wait_for_port, wait_until};
