//! Sekisho on a real Kubernetes API server: its kinds, its chart, and what it does there.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chart;
mod crds;
mod files;
mod certificates;
mod failures;
mod journey;
mod mail;
mod sidecars;
mod tokens;
mod release;
mod site;
