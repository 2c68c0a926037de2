//! The helpers against the real thing, and the purity of every crate's dependency tree.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod cluster;
mod postfix;
mod purity;
mod sink;
