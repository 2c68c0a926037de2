//! The Kubernetes kinds of Sekisho, one file each: shapes, defaults, bounds and CEL rules on the Rust types.
//!
//! The schema of a kind ([`schema()`], [`all`]) is derived from these types, so the API server, `sekisho lint` and
//! `sekisho up` check an object by the same rules. Nothing here talks to a cluster.
#![warn(missing_docs)]
#![expect(
    clippy::duplicated_attributes,
    reason = "each printcolumn of kube's derive has the same keys"
)]

mod abuse_rule;
mod country_rule;
mod egress_pool;
mod error;
mod kind;
mod login_guard;
mod mail_gateway;
mod notification_channel;
mod rate_limit;
mod schema;
mod shared;
mod submission_policy;
mod values;

pub use abuse_rule::*;
pub use country_rule::*;
pub use egress_pool::*;
pub use error::Error;
pub use kind::Kind;
pub use login_guard::*;
pub use mail_gateway::*;
pub use notification_channel::*;
pub use rate_limit::*;
pub use schema::{all, render, schema, to_yaml};
pub use shared::*;
pub use submission_policy::*;
pub use values::*;

/// The API group of every kind.
pub const GROUP: &str = "sekisho.dev";
/// The version that this build serves. It only ever grows new fields.
pub const VERSION: &str = "v1alpha1";
/// `GROUP/VERSION`, as written in `apiVersion`.
pub const API_VERSION: &str = "sekisho.dev/v1alpha1";
