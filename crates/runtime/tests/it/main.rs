//! The runtime as its users see it.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod country;
mod metrics;
mod tls;
