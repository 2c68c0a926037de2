//! Sekisho on a real Kubernetes API server: its kinds, its chart, and what it does there.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod certificates;
mod chart;
mod crds;
mod failures;
mod files;
mod journey;
mod mail;
mod notices;
mod release;
mod sidecars;
mod site;
mod tokens;
mod workloads;
